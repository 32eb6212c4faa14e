// The shelf: sums up, orders, and hands over to the bank as its documents ask.
"use strict";

const form = document.getElementById("shop");
const PATIENCE = 4000;
const pay = form.querySelector(".pay");
const show = (id, text) => { document.getElementById(id).textContent = text; };
const tenge = (amount) => `${String(amount).replace(/\B(?=(\d{3})+$)/g, "\u202f")}\u00a0₸`;
const chosen = () => form.querySelector("input[name=product]:checked");
const quantity = () => Math.min(9, Math.max(1, Math.trunc(Number(form.elements.quantity.value)) || 1));

function wish() {
  return {
    product: chosen().value,
    quantity: quantity(),
    language: form.elements.language.value,
    card_save: form.elements.card_save.checked,
  };
}

function person() {
  return Object.fromEntries(["name", "email", "phone"].map((key) => [key, form.elements[key].value]));
}

function sumUp() {
  const { name, price } = chosen().dataset;
  const total = tenge(price * quantity());
  show("till-name", name);
  show("till-price", tenge(price));
  show("till-total", total);
  show("pay-word", `Pay ${total}`);
  for (const [key, value] of Object.entries(wish())) {
    document.querySelector(`[data-snippet=${key}]`).textContent = value;
  }
  show("snippet-call", form.elements.mode.value === "widget"
    ? "halyk.showPaymentWidget(payment, ({ success }) => {\n"
      + "  location.href = success ? payment.backLink : payment.failureBackLink;\n"
      + "});"
    : "halyk.pay(payment);");
}

function busy(yes) {
  pay.disabled = yes;
  if (yes) show("pay-word", "Asking for a token…");
  else sumUp();
}

async function order() {
  if (typeof halyk === "undefined") throw new Error("payment-api.js did not load, so there is nobody to pay to.");
  const { auth, payment } = await shop.ask("/demo/orders", { ...wish(), ...person() });
  payment.auth = auth;
  if (form.elements.mode.value === "widget") {
    halyk.showPaymentWidget(payment, ({ success }) => {
      location.href = success ? payment.backLink : payment.failureBackLink;
    });
  } else {
    halyk.pay(payment);
  }
}

// Back from the pay page by the browser's button, the page may wake up just as it was left.
window.addEventListener("pageshow", () => busy(false));

form.addEventListener("input", sumUp);
form.addEventListener("change", () => {
  form.elements.quantity.value = quantity();
  sumUp();
});

form.addEventListener("click", (event) => {
  const step = event.target.dataset.step;
  if (!step) return;
  form.elements.quantity.value = quantity() + Number(step);
  form.elements.quantity.value = quantity();
  sumUp();
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  shop.complain("");
  busy(true);
  try {
    await order();
    // A redirect is on its way: a second click would only make a second order.
    setTimeout(busy, form.elements.mode.value === "widget" ? 0 : PATIENCE, false);
  } catch (error) {
    shop.complain(error.message);
    busy(false);
  }
});
