// An order's page: follows what the shop's server heard from the bank.
"use strict";

const card = document.getElementById("order");
const path = `/demo/orders/${card.dataset.number}`;
const notices = document.getElementById("notices");
const EAGER = 700;
const CALM = 3000;

function said(body) {
  const { code, reasonCode } = JSON.parse(body);
  return `code ${code}${reasonCode ? `, reason code ${reasonCode}` : ""}`;
}

function noticeItem({ arrived, verdict, headers, body }) {
  const item = document.getElementById("notice").content.cloneNode(true);
  const [word, why] = verdict.split(/: (.*)/s);
  const stamp = item.querySelector(".verdict");
  stamp.textContent = word;
  stamp.classList.add(word);
  item.querySelector(".said").textContent = said(body);
  item.querySelector("time").dateTime = arrived;
  item.querySelector("time").textContent = new Date(arrived).toLocaleTimeString();
  item.querySelector(".why").textContent = why || "";
  item.querySelector("pre").textContent = body;
  item.querySelector(".sender").textContent = Object.entries(headers).map((pair) => pair.join(": ")).join(" · ");
  return item;
}

let shown = "";

function render(order) {
  card.dataset.state = order.state;
  document.querySelector("[data-testid=order-state]").dataset.state = order.state;
  document.getElementById("no-notices").hidden = order.notices.length > 0;
  const news = JSON.stringify(order.notices);
  if (news === shown || !order.notices.length) return;
  shown = news;
  notices.replaceChildren(...order.notices.map(noticeItem).reverse());
  notices.querySelector("details").open = true;
}

async function follow() {
  try {
    if (!document.hidden) render(await shop.ask(path));
    shop.complain("");
  } catch (error) {
    shop.complain(error.message);
  }
  setTimeout(follow, card.dataset.state === "waiting" ? EAGER : CALM);
}

document.getElementById("ask").addEventListener("click", async ({ currentTarget: button }) => {
  const answer = document.getElementById("status");
  button.disabled = true;
  try {
    const order = await shop.ask(`${path}?status=1`);
    answer.textContent = JSON.stringify(order.status, null, 2);
    render(order);
  } catch (error) {
    answer.textContent = error.message;
  }
  answer.hidden = false;
  button.disabled = false;
  button.focus();
});

follow();
