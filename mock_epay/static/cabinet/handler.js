// Is the shop's handler safe? Nineteen right and wrong notices, and what came of each, as it comes.

import { raw } from "./api.js";
import { blame, field, forgive, h, sign } from "./dom.js";
import { span, t } from "./words.js";

const SIGNS = { passed: "yes", failed: "no", "not known": "ask" };
const MOST = 19;

export async function show(main) {
  const stopped = new AbortController();
  let running = null;
  const card = h("ol.scorecard", { "data-testid": "scorecard" });
  const bar = h("progress", { max: MOST, value: 0, "aria-label": t("handler.progress"), hidden: true });
  const sum = h("p.verdict", { role: "status", "data-testid": "summary" });
  const start = h("button.button.primary", { type: "submit", "data-testid": "start" }, t("handler.start"));
  const stop = h("button.button.quiet", { type: "button", "data-testid": "stop", hidden: true, onclick: () => running.abort() }, t("handler.stop"));
  const form = h("form.form", { "data-testid": "handler-form", onsubmit: (event) => { event.preventDefault(); check().catch((wrong) => { if (wrong.name !== "AbortError") blame(form, wrong); }); } },
    field("postLink", h("input", { name: "post_link", type: "url", required: true, placeholder: "http://127.0.0.1:3000/postlink", value: new URLSearchParams(location.search).get("post_link") ?? "", spellcheck: false })),
    h("div.fields.few", {}, field("secret_hash", h("input", { name: "secret_hash", autocomplete: "off" }), { hint: t("handler.secret_hint") }),
      field(t("handler.orders"), h("input", { name: "invoices", placeholder: "000000001:100, 000000002:2500" }), { hint: t("handler.orders_hint") })),
    h("p.general.problem", { role: "alert" }), h("div.row", {}, start, stop));

  async function check() {
    forgive(form);
    const { post_link, secret_hash, invoices } = Object.fromEntries(new FormData(form));
    const orders = invoices.split(",").map((one) => one.trim()).filter(Boolean).map((one) => { const [invoice_id, amount] = one.split(":"); return { invoice_id, amount: Number(amount) }; });
    running = new AbortController();
    stopped.signal.addEventListener("abort", () => running.abort());
    const states = [];
    card.replaceChildren();
    sum.replaceChildren();
    [start.disabled, stop.hidden, bar.hidden, bar.value] = [true, false, false, 0];
    try {
      const answer = await raw("POST", "/check-handler", { post_link, ...(secret_hash ? { secret_hash } : {}), ...(orders.length ? { invoices: orders } : {}) }, { signal: running.signal });
      for await (const line of lines(answer.body)) {
        const verdict = JSON.parse(line);
        if (verdict.state) {
          states.push(verdict.state);
          card.append(row(verdict));
          bar.value = states.length;
        } else summary(verdict, states);
      }
    } finally {
      [start.disabled, stop.hidden, bar.hidden] = [false, true, true];
    }
  }

  function summary(said, states) {
    const count = (state) => states.filter((one) => one === state).length;
    const kinds = [["passed", "good"], ["failed", "bad"], ["not known", "held"]].filter(([state]) => count(state));
    sum.replaceChildren(...kinds.map(([state, tone]) => h("span", { class: `said ${tone}` }, t(`handler.${state.replace(" ", "_")}`, { n: count(state) }))), said.message ? h("span.dim", {}, ` ${said.message}`) : "", said.advice ? h("span.dim", {}, ` ${said.advice}`) : "");
    document.body.dataset.checked = "true";
  }

  main.replaceChildren(h("div.bar", {}, h("h1", {}, t("nav.handler"))), h("section.card", {}, h("p.dim", {}, t("handler.lead")), form), bar, sum, card);
  document.body.dataset.state = "handler";
  return () => stopped.abort();
}

const row = (verdict) => h("li", { class: verdict.state.replace(" ", "-"), "data-testid": "score", "data-outcome": verdict.state }, sign(SIGNS[verdict.state]), h("div", {}, h("p", {}, h("b", {}, verdict.name)),
  h("p.dim.small", {}, verdict.why), verdict.state === "failed" && h("p.small", {}, verdict.incident), verdict.notices?.length > 0 && h("p.small.mono.dim", {}, verdict.notices.map((one) => `${one.status ?? one.result} ${span(one.milliseconds)}`).join("  "))));

async function* lines(body) {
  let rest = "";
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    const whole = (rest + piece.value).split("\n");
    rest = whole.pop();
    yield* whole.filter(Boolean);
  }
  if (rest.trim()) yield rest;
}
