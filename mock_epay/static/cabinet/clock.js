// The world's clock: what it shows, how it is turned, what lies ahead and what has happened on the way.

import { get, place, turn } from "./api.js";
import { field, h, sign, toast } from "./dom.js";
import { clock as time, full, isFrozen, setWorldTime, span, t, worldNow } from "./words.js";

const STEPS = [60, 1200, 3600, 86400];

export async function show(main, { stream }) {
  const hands = h("p.hands", { "data-testid": "now" });
  const date = h("p.dim", {});
  const state = h("p", {});
  const ahead = h("ol.agenda", { "data-testid": "due" });
  const fired = h("ol.agenda", { "data-testid": "fired" });
  const holder = h("section.card", { hidden: true }, h("h2", {}, t("clock.fired")), fired);
  const button = (testid, label, what, kind = "quiet") => h("button", { class: `button ${kind}`, type: "button", "data-testid": testid, onclick: () => set(what()) }, label);
  const freeze = button("freeze", "", () => (isFrozen() ? { resume: true } : { freeze: true }), "primary");
  const moment = h("input", { type: "datetime-local", name: "set", step: 1 });

  const tick = () => {
    hands.textContent = time(worldNow());
    date.textContent = full(worldNow());
    for (const one of ahead.querySelectorAll("[data-at]")) one.textContent = t("clock.in", { span: span(Math.max(0, Date.parse(one.dataset.at) - worldNow())) });
  };
  const draw = (face) => {
    setWorldTime(face.now, face.frozen);
    hands.classList.toggle("frozen", face.frozen);
    state.replaceChildren(sign(face.frozen ? "held" : "wait", t(face.frozen ? "clock.frozen" : "clock.running")));
    freeze.textContent = t(face.frozen ? "clock.resume" : "clock.freeze");
    ahead.replaceChildren(...(face.due.length ? face.due.map((one) => happening(one, h("span.row", {}, h("span.dim", { "data-at": one.at }), h("button.copy", { type: "button", "data-testid": "jump", onclick: () => set({ advance_s: Math.max(0.001, (Date.parse(one.at) - worldNow()) / 1000 + 0.001) }) }, t("clock.jump"))))) : [h("li.dim", {}, t("clock.nothing"))]));
    if (face.fired.length) {
      holder.hidden = false;
      fired.replaceChildren(...face.fired.map((one) => happening(one, h("span.tag", {}, one.result))));
    }
    tick();
  };
  const set = async (what) => {
    try {
      draw(await turn(what));
    } catch (refusal) {
      toast(refusal.rule ?? refusal.message, "bad");
    }
  };
  main.replaceChildren(h("div.bar", {}, h("h1", {}, t("nav.clock"))), h("section.card.face", {}, state, hands, date,
    h("div.row", {}, freeze, STEPS.map((seconds) => button(`advance-${seconds}`, `+\u00a0${span(seconds * 1000)}`, () => ({ advance_s: seconds })))),
    h("form.row.end", { onsubmit: (event) => { event.preventDefault(); set({ set: new Date(moment.value).toISOString() }); } }, field(t("clock.set"), moment), h("button.button.quiet", { type: "submit", "data-testid": "set-clock" }, t("clock.go"))), h("p.dim.small", {}, t("clock.lead"))),
  h("section.card", {}, h("h2", {}, t("clock.due")), ahead), holder);
  moment.required = true;
  draw(await get("/clock"));
  document.body.dataset.state = "clock";
  const ticking = setInterval(tick, 1000);
  let waiting;
  const later = () => { waiting ??= setTimeout(() => { waiting = undefined; get("/clock").then(draw).catch(() => {}); }, 200); };
  const deaf = stream.listen({ happened: later, again: later });
  return () => { deaf(); clearInterval(ticking); clearTimeout(waiting); };
}

const happening = (one, more) => h("li", {}, h("time.mono", { dateTime: one.at, title: full(one.at) }, time(one.at)), h("span", {}, one.what),
  one.invoice_id && h("a.mono", { href: place(`/invoices/${one.invoice_id}`) }, one.invoice_id), more);
