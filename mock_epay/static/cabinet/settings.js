// The merchant: what it signs in with, its terminals, what may be other than the server's usual, its end and others' beginning.

import { ask as request, drop, get, once, patch, place, post } from "./api.js";
import { ask, blame, copyButton, field, forgive, h, select, toast } from "./dom.js";
import { plans } from "./plans.js";
import { number, t } from "./words.js";

const CHOICES = { dialect: ["documented", "observed"], checks: ["strict", "lenient"], three_ds: ["card", "none", "frictionless", "challenge"] };

export async function show(main, { merchant, named }) {
  const [{ settings }, amounts] = await Promise.all([once("/settings"), get("/kept")]);
  const saved = (changed) => { named(changed); toast(t("did.saved")); };
  main.replaceChildren(h("div.bar", {}, h("h1", {}, t("nav.settings"))), h("div.pair.uneven", {}, h("div", {}, credentials(merchant), terminals(merchant, saved), kept(amounts)), own(merchant, settings, saved)), world(merchant));
  document.body.dataset.state = "settings";
}

function credentials(merchant) {
  const rows = [["ClientID", merchant.client_id], ["ClientSecret", merchant.client_secret, true], ["TerminalID", merchant.terminal], ["email", merchant.email], ["password", merchant.password, true],
    ["token", merchant.urls.token], ["payment-api.js", merchant.urls.script], ["api", merchant.urls.api], ["seed", merchant.seed]];
  const env = [["EPAY_CLIENT_ID", merchant.client_id], ["EPAY_CLIENT_SECRET", merchant.client_secret], ["EPAY_TERMINAL", merchant.terminal], ["EPAY_TOKEN_URL", merchant.urls.token], ["EPAY_SCRIPT_URL", merchant.urls.script], ["EPAY_API_URL", merchant.urls.api]]
    .map(([name, value]) => `${name}='${value.replaceAll("'", "'\\''")}'`).join("\n");
  return h("section.card", {}, h("h2", {}, t("settings.credentials")), h("dl.facts.credentials", {}, rows.map(([name, value, hidden]) => [h("dt", {}, name), h("dd", {}, hidden ? secret(name, value) : h("span.mono", { "data-testid": `is-${name}` }, value), copyButton(value, `copy-${name}`))])),
    h("p", {}, copyButton(env, "copy-env", t("settings.copy_env"))));
}

function secret(name, value) {
  const shown = h("span.mono", { "data-testid": `is-${name}` }, "\u2022".repeat(12));
  const button = h("button.copy", { type: "button", "aria-pressed": "false", "data-testid": `show-${name}`, onclick: () => {
    const open = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", String(open));
    button.textContent = t(open ? "settings.hide" : "settings.reveal");
    shown.textContent = open ? value : "\u2022".repeat(12);
  } }, t("settings.reveal"));
  return [shown, button];
}

function terminals(merchant, saved) {
  return h("section.card", {}, h("h2", {}, t("settings.terminals")), h("p.dim.small", {}, t("settings.terminals_lead")), merchant.terminals.map((one) => {
    const box = h("select", { "aria-label": one.id, "data-testid": `stage-${one.id}`, onchange: async () => {
      try {
        saved(await patch("", { terminals: [{ id: one.id, two_stage: box.value === "two" }] }));
      } catch (refusal) {
        toast(refusal.message, "bad");
      }
    } }, ["one", "two"].map((stage) => h("option", { value: stage, selected: one.two_stage === (stage === "two") }, t(`settings.stage_${stage}`))));
    return h("div.terminal", {}, h("div", {}, h("p.mono.small", {}, one.id), h("p.dim.small", {}, `TID ${one.tid}`)), box);
  }));
}

function kept({ postlinks, ...amounts }) {
  const row = ([name, { kept, limit, forgotten }]) => [h("dt", {}, t(`settings.kept_${name}`)), h("dd", { "data-testid": `kept-${name}` }, `${number(kept)}\u00a0/\u00a0${number(limit)}`, forgotten > 0 && h("span.dim", {}, ` \u00b7 ${t("settings.forgotten", { n: number(forgotten) })}`))];
  return h("section.card", {}, h("h2", {}, t("settings.kept")), h("p.dim.small", {}, t("settings.kept_lead")), h("dl.facts", {}, Object.entries(amounts).map(row)), postlinks.lost > 0 && h("p.problem", { "data-testid": "lost" }, t("settings.lost", { n: number(postlinks.lost) })));
}

function own(merchant, settings, saved) {
  const rows = settings.filter((row) => row.per_merchant && row.name !== "self_check");
  const control = (row) => {
    const value = merchant[row.name];
    if (CHOICES[row.name]) return select(row.name, CHOICES[row.name].map((one) => [one, one]), value);
    if (typeof value === "boolean") return select(row.name, ["true", "false"].map((one) => [one, t(`settings.${one}`)]), String(value));
    if (row.name === "plan") return plans(value);
    if (typeof value === "number") return h("input", { name: row.name, type: "number", step: "any", value });
    return h("input", { name: row.name, value: Array.isArray(value) ? value.join(", ") : value, spellcheck: false });
  };
  const read = (name, text) => {
    const was = merchant[name];
    if (typeof was === "boolean") return text === "true";
    if (typeof was === "number") return Number(text);
    if (Array.isArray(was)) return /^[a-z]+$/.test(text.trim()) ? text.trim() : text.split(",").filter((one) => one.trim()).map(Number);
    return text;
  };
  const form = h("form.form", { "data-testid": "settings-form", onsubmit: async (event) => {
    event.preventDefault();
    forgive(form);
    const facts = Object.fromEntries([...new FormData(form)].map(([name, text]) => [name, read(name, text)]).filter(([name, value]) => String(value) !== String(merchant[name])));
    try {
      merchant = await patch("", facts);
      saved(merchant);
    } catch (refusal) {
      blame(form, refusal);
    }
  } }, field(t("settings.name"), h("input", { name: "name", value: merchant.name, required: true })),
  h("div.fields.few", {}, rows.map((row) => field(row.name, control(row), { hint: row.explanation }))), h("p.general.problem", { role: "alert" }), h("div.row", {}, h("button.button.primary", { type: "submit", "data-testid": "save" }, t("settings.save"))));
  return h("section.card", {}, h("h2", {}, t("settings.own")), h("p.dim.small", {}, t("settings.own_lead")), form);
}

function world(merchant) {
  const reset = async () => {
    const done = await ask({ title: t("settings.reset"), lead: t("settings.reset_lead"), yes: t("settings.reset"), danger: true, check: () => post("/reset") });
    if (done) location.assign(place(""));
  };
  const begin = async () => {
    let made = null;
    const name = h("input", { name: "name", placeholder: t("settings.new_name") });
    const seed = h("input", { name: "seed" });
    const stage = select("two_stage", [["false", t("settings.stage_one")], ["true", t("settings.stage_two")]]);
    const facts = () => Object.fromEntries([["name", name.value.trim()], ["seed", seed.value.trim()]].filter(([, value]) => value));
    const done = await ask({ title: t("settings.new"), lead: t("settings.new_lead"), body: [field(t("settings.name"), name), field("seed", seed), field(t("settings.terminals"), stage)], yes: t("settings.new"),
      check: async () => { made = await (await request("POST", "/_control/merchants", { ...facts(), two_stage: stage.value === "true" })).json(); } });
    if (!done) return;
    await ask({ title: t("settings.made"), lead: t("settings.made_lead"), yes: t("ask.close"), body: [h("dl.facts.credentials", { "data-testid": "new-merchant" },
      [["ClientID", made.client_id], ["ClientSecret", made.client_secret], ["TerminalID", made.terminal], ["email", made.email], ["password", made.password]].map(([label, value]) => [h("dt", {}, label), h("dd", {}, h("span.mono", { "data-testid": `new-${label}` }, value), copyButton(value))]))] });
  };
  const end = async () => {
    const done = await ask({ title: t("settings.end"), lead: t("settings.end_lead"), yes: t("settings.end"), danger: true, check: () => drop("").then(() => true) });
    if (done) location.assign("/cabinet");
  };
  return h("section.card", {}, h("h2", {}, t("settings.world")), h("p.dim.small", {}, t("settings.world_lead")), h("div.row", {}, h("button.button.quiet", { type: "button", "data-testid": "new-merchant-button", onclick: begin }, t("settings.new")),
    h("button.button.danger", { type: "button", "data-testid": "reset", onclick: reset }, t("settings.reset")), !merchant.built_in && h("button.button.danger", { type: "button", "data-testid": "end", onclick: end }, t("settings.end"))));
}
