// What becomes of the next payments: decisions in a row, rules by condition, services that fail.

import { drop, get, once, post } from "./api.js";
import { ask, blame, field, forgive, h, select, toast } from "./dom.js";
import { plans } from "./plans.js";
import { LANGUAGE, t } from "./words.js";

const SERVICES = ["token", "script", "page", "status", "operations", "payments", "cards", "links", "terminals"];

export async function show(main, { stream }) {
  const [{ reasons }, { cards }] = await Promise.all([once("/reasons"), once("/cards")]);
  const told = new Map(reasons.map((one) => [one.code, one[LANGUAGE]]));
  const codes = h("datalist", { id: "codes" }, reasons.map(({ code }) => h("option", { value: `${code} ${told.get(code)}` })));
  const queue = h("ol.queue", { "data-testid": "decisions" });
  const rules = h("ul.queue", { "data-testid": "rules" });
  const faults = h("ul.queue", { "data-testid": "faults" });

  const draw = async () => {
    const [script, { faults: planned }] = await Promise.all([get("/script"), get("/faults")]);
    queue.replaceChildren(...listed(script.decisions, (one) => [outcome(one, told), one.invoice_id && h("span.tag", {}, one.invoice_id), one.left > 1 && h("span.tag", {}, `\u00d7${one.left}`)], (one) => keep(script, one)));
    rules.replaceChildren(...listed(script.rules, (one) => [h("b", {}, one.name), h("span.dim", {}, conditions(one.match)), h("span", { "aria-hidden": "true" }, "\u2192"), outcome(one.then, told),
      one.used > 0 && h("span.tag", {}, t("script.used", { n: one.used }))], (one) => one.from === "api" && keep(script, one)));
    faults.replaceChildren(...listed(planned, (one) => [h("b.mono", {}, one.at), h("span", {}, failing(one)), h("span.tag", {}, one.times === null ? t("script.always") : `\u00d7${one.left}`), one.struck > 0 && h("span.tag", {}, t("script.struck", { n: one.struck }))]));
  };
  // One entry is taken out by putting all others in anew.
  const keep = (script, gone) => async () => {
    await drop("/script");
    const pan = (mask) => cards.find((card) => mask && card.pan.startsWith(mask.slice(0, 4)) && card.pan.endsWith(mask.slice(-4)))?.pan;
    const decisions = script.decisions.filter((one) => one !== gone).map(({ id, left, ...rest }) => said({ ...rest, times: left }));
    const kept = script.rules.filter((one) => one !== gone && one.from === "api").map(({ name, match, then }) => ({ name, then, match: said({ ...match, pan: pan(match.pan) }) }));
    if (decisions.length || kept.length) await post("/script", { decisions, rules: kept });
    await draw();
  };

  const adding = (path, name, facts) => async (event) => {
    event.preventDefault();
    const form = event.target;
    forgive(form);
    try {
      await post(path, { [name]: [facts(form)] });
      form.reset();
      await draw();
      toast(t("did.added"));
    } catch (refusal) {
      blame(form, refusal);
    }
  };
  const clear = (path) => async () => {
    if (!(await ask({ title: t("script.empty"), lead: t("script.empty_lead"), yes: t("script.empty"), danger: true, check: () => drop(path).then(() => true) }))) return;
    await draw();
  };

  const next = decisionForm(adding("/script", "decisions", decision), new URLSearchParams(location.search).get("invoice") ?? "");
  main.replaceChildren(codes, h("div.bar", {}, h("h1", {}, t("nav.script"))),
    h("section.card", {}, h("h2", {}, t("script.next")), h("p.dim", {}, t("script.next_lead")), queue, next),
    h("section.card", {}, h("h2", {}, t("script.rules")), h("p.dim", {}, t("script.rules_lead")), rules, ruleForm(adding("/script", "rules", rule))),
    h("p", {}, h("button.button.quiet.small", { type: "button", "data-testid": "clear-script", onclick: clear("/script") }, t("script.empty"))),
    h("section.card", {}, h("h2", {}, t("script.faults")), h("p.dim", {}, t("script.faults_lead")), faults, faultForm(adding("/faults", "faults", fault)),
      h("p", {}, h("button.button.quiet.small", { type: "button", "data-testid": "clear-faults", onclick: clear("/faults") }, t("script.mend")))));
  await draw();
  document.body.dataset.state = "script";
  let waiting;
  const deaf = stream.listen({ happened: ({ kind }) => { if (kind.startsWith("transaction.") || kind === "fault.struck") waiting ??= setTimeout(() => { waiting = undefined; draw().catch(() => {}); }, 200); }, again: () => draw().catch(() => {}) });
  return () => { deaf(); clearTimeout(waiting); codes.remove(); };
}

const listed = (all, parts, remove = () => null) => all.length
  ? all.map((one) => h("li", { "data-testid": `entry-${one.name ?? one.id}` }, h("span.row", {}, parts(one)), remove(one) && h("button.copy", { type: "button", "data-testid": "remove", onclick: remove(one) }, t("script.remove"))))
  : [h("li.dim", {}, t("script.nothing"))];

const outcome = (one, told) => h("span.row", {}, one.reason_code !== undefined && one.reason_code !== null && h("span", { class: `badge ${one.reason_code ? "bad" : "good"}` }, `${one.reason_code} ${told.get(one.reason_code) ?? ""}`),
  one.challenge && h("span.tag", {}, `3-D Secure: ${t(`challenge.${one.challenge}`)}`), one.plan && h("span.tag.mono", {}, one.plan), one.delay_s > 0 && h("span.tag", {}, `${one.delay_s} ${t("time.s")}`));

const conditions = (match) => Object.entries(match).flatMap(([name, value]) => typeof value === "object"
  ? Object.entries(value).map(([limit, figure]) => `${name} ${limit === "gte" ? "\u2265" : "\u2264"} ${figure}`) : [`${name} = ${value}`]).join(", ");

const failing = (one) => [one.delay_s > 0 && `${one.delay_s} ${t("time.s")}`, one.status && `HTTP ${one.status}`, one.garbled && t("script.garbled"), one.drop && t("script.drop"), one.after && t("script.after"),
  one.probability < 1 && `${Math.round(one.probability * 100)} %`].filter(Boolean).join(", ");

const said = (facts) => Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== "" && value !== null && value !== undefined && !Number.isNaN(value)));
const figure = (text) => (text === "" ? "" : Number(text));
const code = (text) => (text.trim() === "" ? "" : Number(text.trim().split(/\s/)[0]));
const values = (form) => Object.fromEntries(new FormData(form));

function direction(facts) {
  const reason = code(facts.reason_code);
  if (Number.isNaN(reason)) throw Object.assign(new Error(t("script.no_code")), { field: "reason_code", rule: t("script.no_code") });
  return said({ reason_code: reason, challenge: facts.challenge, plan: facts.plan.trim(), delay_s: figure(facts.delay_s) });
}
const decision = (form) => { const facts = values(form); return { ...direction(facts), ...said({ times: figure(facts.times), invoice_id: facts.invoice_id }) }; };
const rule = (form) => {
  const facts = values(form);
  const amount = said({ gte: figure(facts.gte), lte: figure(facts.lte) });
  return { name: facts.name, then: direction(facts), match: { ...said({ invoice_id: facts.invoice_id, description: facts.description, account_id: facts.account_id, pan: facts.pan.replace(/\s/g, "") }), ...(Object.keys(amount).length ? { amount } : {}) } };
};
const fault = (form) => {
  const facts = values(form);
  return { ...said({ at: facts.at, delay_s: figure(facts.delay_s), status: figure(facts.status), probability: figure(facts.probability) }), times: facts.times === "" ? null : Number(facts.times),
    ...(facts.how === "garbled" ? { garbled: true } : {}), ...(facts.how === "drop" ? { drop: true } : {}), ...(facts.after ? { after: true } : {}) };
};

const thens = (prefix) => [
  field(t("script.reason"), h("input", { name: "reason_code", id: `${prefix}-reason_code`, list: "codes", placeholder: t("script.reason_hint"), autocomplete: "off" })),
  field("3-D Secure", Object.assign(select("challenge", [["", t("script.as_card")], ...["none", "frictionless", "challenge"].map((one) => [one, t(`challenge.${one}`)])]), { id: `${prefix}-challenge` })),
  field(t("new.plan"), Object.assign(plans(), { id: `${prefix}-plan` })),
  field(t("script.delay"), h("input", { name: "delay_s", id: `${prefix}-delay_s`, type: "number", min: 0, max: 60, step: "any" })),
];
const submit = (testid) => [h("p.general.problem", { role: "alert" }), h("div.row", {}, h("button.button.primary", { type: "submit", "data-testid": testid }, t("script.add")))];
const input = (prefix, name, more = {}) => h("input", { name, id: `${prefix}-${name}`, autocomplete: "off", ...more });

const decisionForm = (onsubmit, invoice) => h("form.form", { onsubmit, "data-testid": "decision-form" }, h("div.fields", {}, thens("next"),
  field(t("script.times"), input("next", "times", { type: "number", min: 1, placeholder: "1" })), field(t("script.only_invoice"), input("next", "invoice_id", { value: invoice, defaultValue: invoice }))), submit("add-decision"));

const ruleForm = (onsubmit) => h("form.form", { onsubmit, "data-testid": "rule-form" }, h("h3", {}, t("script.when")), h("div.fields", {},
  field(t("script.name"), input("rule", "name", { required: true })), field(t("list.col_invoice"), input("rule", "invoice_id", { placeholder: "*" })), field(t("script.at_least"), input("rule", "gte", { type: "number", step: "any" }), { id: "amount" }),
  field(t("script.at_most"), input("rule", "lte", { type: "number", step: "any" })), field(t("script.pan"), input("rule", "pan", { inputMode: "numeric" })), field(t("fact.description"), input("rule", "description", { placeholder: "*" })),
  field(t("fact.account_id"), input("rule", "account_id", { placeholder: "*" }))), h("h3", {}, t("script.then")), h("div.fields", {}, thens("rule")), submit("add-rule"));

const faultForm = (onsubmit) => h("form.form", { onsubmit, "data-testid": "fault-form" }, h("div.fields", {},
  field(t("script.service"), Object.assign(select("at", SERVICES.map((one) => [one, one])), { id: "fault-at" })), field(t("script.status"), input("fault", "status", { type: "number", placeholder: "503" })),
  field(t("script.how"), Object.assign(select("how", ["", "garbled", "drop"].map((one) => [one, t(`script.${one || "whole"}`)])), { id: "fault-how" })), field(t("script.delay"), input("fault", "delay_s", { type: "number", min: 0, max: 60, step: "any" })),
  field(t("script.times"), input("fault", "times", { type: "number", min: 1, value: 1, defaultValue: "1", placeholder: t("script.always") })), field(t("script.probability"), input("fault", "probability", { type: "number", min: 0, max: 1, step: "any", placeholder: "1" }))),
h("label.check", {}, h("input", { type: "checkbox", name: "after" }), h("span", {}, t("script.after"))), submit("add-fault"));
