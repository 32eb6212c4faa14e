// The cabinet's frame: who is signed in, which view an address means, and what stays when the view changes.

import { CLIENT_ID, Stream, address, ask, common, get, place, toGate } from "./api.js";
import { h, toast } from "./dom.js";
import { clock, isFrozen, setWorldTime, t, worldNow } from "./words.js";

const VIEWS = {
  "": ["invoices", () => import("./list.js")],
  new: ["new", () => import("./new.js")],
  script: ["script", () => import("./script.js")],
  clock: ["clock", () => import("./clock.js")],
  settings: ["settings", () => import("./settings.js")],
  handler: ["handler", () => import("./handler.js")],
  invoices: ["invoices", () => import("./invoice.js")],
};

const main = document.getElementById("main");
const stream = new Stream(document.getElementById("live"));
let leave = () => {};
let merchant = null;
let serial = 0;

addEventListener("unhandledrejection", (event) => {
  const givenUp = event.reason?.name === "AbortError";
  if (event.reason?.status === undefined && !givenUp) return;
  event.preventDefault();
  if (!givenUp) toast(event.reason.message, "bad");
});

const session = await common("/session");
if (session.client_id !== CLIENT_ID && !session.open) await toGate();
else await begin();

async function begin() {
  document.getElementById("sign-out").hidden = session.open;
  document.getElementById("sign-out").addEventListener("click", async () => {
    await ask("DELETE", "/_control/session");
    location.assign(address("/cabinet"));
  });
  document.addEventListener("click", follow);
  addEventListener("popstate", show);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented && !event.target.closest("input, select, textarea, dialog") && parts()[0]) go(place(""));
  });
  stream.listen({ happened: (event) => event.kind === "clock.changed" && tick().catch(() => {}) });
  setInterval(tell, 1000);
  let last;
  try {
    [merchant, { last }] = await Promise.all([get(""), latest(), tick()]);
  } catch (refusal) {
    main.replaceChildren(h("div.empty", {}, h("h1", {}, t("problem.heading")), h("p", {}, refusal.message)));
    document.body.dataset.state = "refused";
    return;
  }
  named(merchant);
  stream.begin(last);
  await show();
}

// The stream begins where the world stands now.
async function latest() {
  const { last_event: last } = await get("/invoices", { limit: 1, order: "newest" });
  return { last: last ?? 0 };
}

export function named(changed) {
  merchant = changed;
  document.getElementById("merchant").replaceChildren(h("b", {}, changed.name), h("span.dim.mono", {}, changed.client_id));
}

async function tick() {
  const face = await get("/clock");
  setWorldTime(face.now, face.frozen);
  tell();
}

function tell() {
  const line = document.getElementById("world-time");
  line.classList.toggle("frozen", isFrozen());
  line.textContent = isFrozen() ? t("frame.frozen", { time: clock(worldNow()) }) : clock(worldNow());
}

function parts() {
  return location.pathname.split("/").slice(3).map(decodeURIComponent);
}

export function go(to) {
  history.pushState(null, "", to);
  return show();
}

async function show() {
  const [name = "", ...rest] = parts();
  const [view, load] = VIEWS[name] ?? VIEWS[""];
  const mine = (serial += 1);
  leave();
  leave = () => {};
  document.body.dataset.state = "waiting";
  document.body.dataset.view = name === "invoices" ? "invoice" : view;
  delete document.body.dataset.rows;
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.tagName !== "A") continue;
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const link of document.querySelectorAll(".languages a")) {
    const query = new URLSearchParams(location.search);
    query.set("lang", link.dataset.testid.slice(9));
    link.href = `?${query}`;
  }
  try {
    const { show: draw } = await load();
    if (mine !== serial) return;
    scrollTo(0, 0);
    const left = await draw(main, { stream, go, rest, merchant, named, session });
    if (mine === serial) leave = left ?? (() => {});
    else left?.();
  } catch (wrong) {
    if (wrong.name === "AbortError" || mine !== serial) return;
    if (wrong.status === undefined) throw wrong;
    document.body.dataset.state = "refused";
    main.replaceChildren(h("div.empty", { "data-testid": "refused" }, h("h1", {}, t(wrong.status === 404 ? "problem.missing" : "problem.heading")),
      h("p", {}, wrong.message), h("p", {}, h("a.button.quiet", { href: place("") }, t("problem.back")))));
  }
}

function follow(event) {
  const link = event.target.closest("a[href]");
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !plain || link.target || link.origin !== location.origin || link.closest(".languages")) return;
  if (!link.pathname.startsWith(new URL(place(""), location).pathname) || link.hash) return;
  event.preventDefault();
  go(link.href).then(() => main.focus({ preventScroll: true }));
}
