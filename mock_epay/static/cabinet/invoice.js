// One invoice: its life on a line, step by step, what differs on the way, and what can be done about it.

import { get, once, place, post, text } from "./api.js";
import { ask, copyButton, field, h, link, sign, toast } from "./dom.js";
import { code, json } from "./json.js";
import { postlink as postlinkBadge, status } from "./states.js";
import { steps, verdict, waits } from "./steps.js";
import { track } from "./track.js";
import { LANGUAGE, ago, full, money, precise, span, t } from "./words.js";

const FORMS = ["curl", "pytest", "playwright", "phpunit"];

export async function show(main, { stream, go, rest: [id] }) {
  const { reasons } = await once("/reasons");
  const told = new Map(reasons.map((one) => [one.code, one[LANGUAGE]]));
  const opened = new Set();
  const ended = new AbortController();
  let waiting;
  const draw = async () => {
    waiting = undefined;
    const timeline = await get(`/invoices/${encodeURIComponent(id)}`, {}, { signal: ended.signal });
    for (const one of timeline.transactions) one.reason &&= told.get(one.reason_code) ?? one.reason;
    render(main, timeline, opened, draw);
  };
  await draw();
  const deaf = stream.listen({
    happened: (event) => { if (event.invoice_id === id) waiting ??= setTimeout(() => draw().catch(() => {}), 150); },
    again: () => draw().catch(() => {}),
  });
  const key = (event) => { if (event.key === "ArrowLeft" && event.altKey) go(place("")); };
  addEventListener("keydown", key, { signal: ended.signal });
  return () => { deaf(); clearTimeout(waiting); ended.abort(); };
}

function render(main, timeline, opened, draw) {
  const latest = timeline.transactions.at(-1);
  const object = timeline.tokens?.at(-1);
  const found = steps(timeline);
  const list = h("ol.story", { "data-testid": "story" }, found.map((step) => storyStep(step, timeline, opened, draw)));
  const open = (step) => {
    const row = list.querySelector(`[data-number="${step.event.number}"]`);
    row.open = true;
    row.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    row.firstChild.focus({ preventScroll: true });
  };
  const focused = document.activeElement?.closest?.("[data-number]")?.dataset.number;
  main.replaceChildren(
    h("p.crumbs", {}, h("a", { href: place(""), "data-testid": "back" }, `\u2190 ${t("nav.invoices")}`)),
    h("div.bar.invoice-bar", {}, h("h1.mono", { "data-testid": "invoice" }, timeline.invoice_id), status(latest?.status ?? ""),
      h("p.amount", { "data-testid": "amount" }, latest ? money(latest.amount, latest.currency) : object ? money(object.amount, object.currency) : ""),
      h("div.row.push", {}, copyButton(() => location.origin + location.pathname, "copy-link", t("invoice.copy_link")),
        h("button.button.quiet.small", { type: "button", "data-testid": "copy-as", onclick: () => copyAs(timeline.invoice_id) }, t("invoice.copy_as")))),
    h("p.verdict", { "data-testid": "verdict" }, verdict(timeline).map(([key, facts, tone]) => [h("span", { class: `said ${tone}` }, t(key, facts)), " "])),
    latest?.description && h("p.dim.description", { "data-testid": "description" }, latest.description),
    track(found, waits(timeline), open, main.clientWidth - 180),
    h("div.split", {}, h("section", {}, h("h2", {}, t("invoice.story")), list, hints(timeline.hints), differences(timeline.compared ?? [])),
      h("aside", {}, actions(timeline, latest, draw), facts(latest), postlinks(timeline, draw))));
  if (focused) main.querySelector(`[data-number="${focused}"] summary`)?.focus({ preventScroll: true });
  document.body.dataset.state = "invoice";
}

// Steps.

function storyStep(step, timeline, opened, draw) {
  const number = step.event.number;
  const row = h("details.step", { "data-number": number, "data-testid": `step-${step.kind}`, open: opened.has(number), ontoggle: () => {
    if (row.open) opened.add(number);
    else opened.delete(number);
    if (row.open && row.children.length === 1) row.append(h("div.inside", {}, inside(step, timeline, draw)));
  } }, h("summary", {}, h("time.mono", { dateTime: step.at, title: full(step.at) }, precise(step.at)), sign(step.sign),
    h("span", { class: `what ${step.tone}` }, t(`event.${step.kind.replace(".", "_")}`), step.count > 1 && ` \u00d7${step.count}`), h("span.dim.cut.brief", {}, brief(step))));
  if (row.open) row.append(h("div.inside", {}, inside(step, timeline, draw)));
  return h("li", {}, row);
}

function brief({ kind, facts, transaction, attempt, postlink }) {
  if (attempt) return [attempt.status ? `HTTP ${attempt.status}` : attempt.result, span(attempt.milliseconds), attempt.url].join(" \u00b7 ");
  if (postlink) return [postlink.spoilt, postlink.url].filter(Boolean).join(" \u00b7 ");
  if (facts.hints?.length) return t("list.hints", { n: facts.hints.length });
  if (kind.startsWith("transaction.") && facts.decided_by) return [facts.reason_code ? `${facts.reason_code} ${transaction?.reason ?? ""}` : "", facts.card, facts.decided_by].filter(Boolean).join(" \u00b7 ");
  return [facts.state, facts.amount, facts.at, facts.plan].filter((fact) => fact !== undefined && fact !== "").join(" \u00b7 ");
}

function inside(step, timeline, draw) {
  const { transaction, attempt, postlink } = step;
  const parts = [];
  if (step.kind.startsWith("transaction.") && step.facts.decided_by) {
    parts.push(h("dl.facts", {}, fact("decided_by", step.facts.decided_by), fact("nearest_rule", step.facts.nearest_rule ?? transaction?.nearest_rule)));
  }
  if (attempt) {
    parts.push(h("dl.facts", {}, fact("address", link(attempt.url, attempt.url)), fact("result", attempt.status ? `HTTP ${attempt.status}, ${attempt.result}` : attempt.result), fact("took", span(attempt.milliseconds))),
      json(postlink.text, t("json.sent"), "sent"), code(attempt.answer || "\u2014", { label: t("json.answered"), testid: "answer" }),
      attempt.headers.length > 0 && code(attempt.headers.map(({ name, value }) => `${name}: ${value}`).join("\n"), { label: t("json.headers"), testid: "headers" }),
      noticeActions(postlink, draw));
  } else if (postlink) parts.push(json(postlink.text, t("json.postlink"), "sent"), noticeActions(postlink, draw));
  if (step.token) {
    const { hints: own = [], ...token } = step.token;
    parts.push(json(token, t("json.token"), "token"), hints(own));
  }
  if (step.object) parts.push(json(Object.fromEntries(step.object.fields.map(({ name, value }) => [name, value])), t("json.object"), "object"));
  if (transaction && !attempt && !postlink && step.kind.startsWith("transaction.")) parts.push(json(transaction, t("json.transaction"), "transaction"));
  parts.push(json(step.event, t("json.event"), "event"));
  return parts;
}

const fact = (name, value) => value ? [h("dt", {}, t(`fact.${name}`)), h("dd", { "data-testid": `fact-${name}` }, value)] : [];

function hints(found) {
  return found.length > 0 && h("ul.hints", { "data-testid": "hints" }, found.map((one) => h("li", {}, sign("ask"),
    h("div", {}, h("p", {}, h("b.mono", {}, one.field), one.value ? ` "${one.value}": ` : ": ", one.why), h("p.dim.small", {}, `${one.rule}, ${one.tag}`)))));
}

function differences(rows) {
  if (!rows.length) return null;
  const places = ["token", "object", "postlink"];
  const shown = (value) => (value === null || value === undefined ? h("span.dim", {}, "\u2014") : value === "" ? h("span.dim", {}, '""') : typeof value === "object" ? JSON.stringify(value) : String(value));
  return h("section", {}, h("h2", {}, t("invoice.compared")), h("div.wide", { tabindex: 0, role: "group", "aria-label": t("invoice.compared") }, h("table.compared", { "data-testid": "compared" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("compared.field")), places.map((name) => h("th", { scope: "col" }, t(`compared.${name}`))), h("td", {}))),
    h("tbody", {}, rows.map((row) => h("tr", { class: row.same ? "" : "differs", "data-testid": `compared-${row.field}` }, h("th.mono", { scope: "row" }, row.field),
      places.map((name) => h("td", {}, shown(row[name]))), h("td", {}, row.same ? null : sign("no", t("compared.differs")))))))));
}

// What can be done.

function facts(latest) {
  if (!latest) return null;
  const rows = ["card_mask", "card_type", "issuer", "name", "email", "phone", "account_id", "terminal", "reference", "int_reference", "approval_code", "card_id", "id"];
  return h("section.card", {}, h("h2", {}, t("invoice.facts")), h("dl.facts", {}, rows.map((name) => fact(name, latest[name])),
    latest.returned > 0 && fact("returned", money(latest.returned, latest.currency)), latest.page_url && fact("page", link(latest.page_url, t("invoice.open_page")))));
}

const attempt = (act, done) => async () => {
  try {
    await act();
    toast(t("did.done"));
    await done();
  } catch (refusal) {
    toast(refusal.message, "bad");
  }
};

function actions(timeline, latest, draw) {
  if (!latest) return null;
  const path = `/transactions/${latest.id}`;
  const rest = latest.status === "AUTH" ? latest.amount : latest.taken - latest.returned;
  const able = { AUTH: ["charge", "cancel"], CHARGE: ["refund"], "3D": ["pass", "fail", "give_up"] }[latest.status] ?? [];
  const money_ = async (name) => {
    const input = h("input", { name: "amount", type: "number", step: "0.01", min: "0.01", value: rest, required: true });
    const done = await ask({ title: t(`act.${name}`), lead: t(`act.${name}_lead`), body: name === "cancel" ? [] : [field(t("fact.amount"), input)], yes: t(`act.${name}`), danger: name !== "charge",
      check: async () => post(`${path}/${name}`, name === "cancel" ? {} : { amount: input.valueAsNumber }) });
    if (done) { toast(t("did.done")); await draw(); }
  };
  const answers = { pass: "pass", fail: "fail", give_up: "cancel" };
  const button = (name) => h("button.button", { class: `button small ${["charge", "pass"].includes(name) ? "primary" : "quiet"}`, type: "button", "data-testid": `do-${name}`,
    onclick: answers[name] ? attempt(() => post(`${path}/challenge`, { answer: answers[name] }), draw) : () => money_(name) }, t(`act.${name}`));
  const asked = timeline.challenge?.url && latest.status === "3D" && h("p.small", {}, link(timeline.challenge.url, t("invoice.open_challenge")));
  return h("section.card", {}, h("h2", {}, t("invoice.act")), able.length ? h("div.row", {}, able.map(button)) : h("p.dim.small", {}, t("invoice.nothing_to_do")), asked,
    h("p.small", {}, h("a", { href: place("/script", { invoice: timeline.invoice_id }), "data-testid": "decide-next" }, t("invoice.decide_next"))));
}

function postlinks(timeline, draw) {
  if (!timeline.postlinks.length) return null;
  return h("section.card", {}, h("h2", {}, t("invoice.postlinks")), timeline.postlinks.map((one) => h("div.notice-row", { "data-testid": `postlink-${one.id}` },
    h("p.row", {}, postlinkBadge(one.state, one.result, one.tries), one.spoilt && h("span.tag", {}, one.spoilt), h("span.tag", {}, one.body?.code ?? "?")),
    h("p.mono.small.cut", { title: one.url }, one.url),
    one.due_at && one.state === "queued" && h("p.dim.small", {}, t("invoice.due", { when: ago(one.due_at) })),
    h("ol.tries", {}, one.attempts.map((tried) => h("li", { title: full(tried.at) }, sign(tried.result === "delivered" ? "yes" : "no"), h("span.mono", {}, tried.status ?? tried.result), h("span.dim", {}, span(tried.milliseconds))))),
    noticeActions(one, draw))));
}

function noticeActions(one, draw) {
  const path = `/postlinks/${one.id}`;
  const button = (name, act) => h("button.button.quiet.small", { type: "button", "data-testid": name, onclick: act }, t(`act.${name}`));
  return h("div.row", {}, one.state === "held" && button("release", attempt(() => post(`${path}/release`), draw)),
    button("resend", attempt(() => post(`${path}/resend`), draw)), button("edit", () => edit(one, draw)),
    ["held", "queued"].includes(one.state) && button("withhold", attempt(() => post(`${path}/cancel`), draw)));
}

async function edit(one, draw) {
  const url = h("input", { name: "url", value: one.url, required: true, spellcheck: false });
  const body = h("textarea.mono", { name: "text", rows: 16, spellcheck: false, value: one.body ? JSON.stringify(one.body, null, 2) : one.text });
  const sent = await ask({ title: t("act.edit"), lead: t("act.edit_lead"), body: [field(t("fact.address"), url), field(t("json.sent"), body)], yes: t("act.send"),
    check: async () => post(`/postlinks/${one.id}/resend`, { url: url.value, text: body.value }) });
  if (sent) { toast(t("did.sent")); await draw(); }
}

// A test that does the same again.

async function copyAs(id) {
  const pre = h("pre.tall", { tabindex: 0, "data-testid": "recipe", "aria-label": t("invoice.copy_as") });
  let [shown, chosen] = ["", ""];
  const copy = copyButton(() => shown, "copy-recipe");
  const tabs = FORMS.map((form) => h("button.tab", { type: "button", "data-testid": `as-${form}`, onclick: () => choose(form) }, t(`as.${form}`)));
  const choose = async (form) => {
    tabs.forEach((tab, at) => tab.setAttribute("aria-pressed", String(FORMS[at] === form)));
    const mine = (chosen = form);
    [shown, pre.textContent] = ["", "\u2026"];
    const [told, runs] = await text(`/invoices/${id}/test`, { as: form }).then((test) => [test, true], (refusal) => [refusal.message, false]);
    if (mine !== chosen) return;
    pre.textContent = told;
    if (runs) shown = told;
  };
  const dialog = h("dialog.dialog.large", { "aria-labelledby": "as-title", "data-testid": "dialog" }, h("h2", { id: "as-title" }, t("invoice.copy_as")), h("p.dim", {}, t("as.lead")),
    h("figure.code", {}, h("figcaption", {}, h("span.row", {}, tabs), copy), pre),
    h("div.row", {}, h("button.button.quiet", { type: "button", "data-testid": "no", onclick: () => dialog.close() }, t("ask.close"))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  await choose("pytest");
}
