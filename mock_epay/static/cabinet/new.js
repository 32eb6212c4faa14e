// Pay something: a link with its QR code, a payment without a browser, and what a shop would write.

import { once, place, post } from "./api.js";
import { blame, copyButton, field, forgive, h, select, toast } from "./dom.js";
import { plans } from "./plans.js";
import { snippets } from "./snippets.js";
import { LANGUAGE, t } from "./words.js";

export async function show(main, { go, merchant }) {
  const { cards } = await once("/cards");
  main.replaceChildren(h("div.bar", {}, h("h1", {}, t("nav.new"))),
    h("div.pair", {}, linkForm(merchant), payForm(cards, go)), h("section.card", {}, h("h2", {}, t("first.heading")), h("p.dim", {}, t("first.lead")), snippets(merchant)));
  document.body.dataset.state = "new";
}

const order = () => [
  h("div.fields", {}, field(t("fact.amount"), h("input", { name: "amount", type: "number", min: "0", step: "0.01", value: "100", required: true })),
    field(t("new.currency"), select("currency", [["KZT", "KZT"], ["USD", "USD"]]))),
  field(t("fact.description"), h("input", { name: "description" })),
  h("div.fields", {}, field(t("list.col_invoice"), h("input", { name: "invoice_id", inputMode: "numeric", placeholder: t("new.free") })),
    field("postLink", h("input", { name: "post_link", placeholder: "http://127.0.0.1:3000/postlink", spellcheck: false }))),
];

const said = (form) => {
  const facts = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
  if ("amount" in facts) facts.amount = Number(facts.amount);
  return facts;
};

// Ids are one to a page, and both forms ask for the same.
const apart = (form, prefix) => {
  for (const input of form.querySelectorAll("[id]")) input.id = prefix + input.id;
  for (const label of form.querySelectorAll("label")) label.htmlFor = prefix + label.htmlFor;
  return form;
};

function linkForm() {
  const place_ = h("div.made", { "data-testid": "made", role: "status" });
  const form = h("form.form", { "data-testid": "link-form", onsubmit: async (event) => {
    event.preventDefault();
    forgive(form);
    try {
      const made = await post("/links", said(form));
      const local = /^(localhost|127\.|\[::1\])/.test(new URL(made.url).hostname);
      place_.replaceChildren(h("img.qr", { src: `/_control/qr?text=${encodeURIComponent(made.url)}`, alt: t("new.qr"), width: 176, height: 176, "data-testid": "qr" }),
        h("div", {}, h("p.mono.small", { "data-testid": "link" }, made.url), h("p.row", {}, h("a.button.primary.small", { href: made.url, target: "_blank", "data-testid": "open-link" }, t("new.open")), copyButton(made.url, "copy-url"),
          h("a.button.quiet.small", { href: place(`/invoices/${made.invoice_id}`) }, made.invoice_id)), h("p.dim.small", {}, t(local ? "new.phone_local" : "new.phone"))));
    } catch (refusal) {
      blame(form, refusal);
    }
  } }, order(), field(t("new.language"), select("language", [["rus", "\u0420\u0443\u0441\u0441\u043a\u0438\u0439"], ["kaz", "\u049a\u0430\u0437\u0430\u049b\u0448\u0430"], ["eng", "English"]], LANGUAGE)),
  h("p.general.problem", { role: "alert" }), h("div.row", {}, h("button.button.primary", { type: "submit", "data-testid": "make-link" }, t("new.make"))));
  return h("section.card", {}, h("h2", {}, t("new.by_hand")), h("p.dim", {}, t("new.by_hand_lead")), apart(form, "link-"), place_);
}

function payForm(cards, go) {
  const options = cards.map((card) => [card.pan, `${card.pan} \u00b7 ${card.brand} \u00b7 ${card.three_ds === "none" ? "" : "3-D Secure, "}${card.reason_code || t("new.approves")}`]);
  const form = h("form.form", { "data-testid": "pay-form", onsubmit: async (event) => {
    event.preventDefault();
    forgive(form);
    try {
      const paid = await post("/payments", said(form));
      toast(t("did.paid", { id: paid.invoice_id }));
      await go(place(`/invoices/${paid.invoice_id}`));
    } catch (refusal) {
      blame(form, refusal);
    }
  } }, order(), field(t("new.card"), select("card", [...new Map(options)])),
  h("div.fields", {}, field("3-D Secure", select("challenge", ["pass", "fail", "cancel", "leave"].map((one) => [one, t(`answer.${one}`)]))), field(t("new.plan"), plans())),
  h("p.general.problem", { role: "alert" }), h("div.row", {}, h("button.button.primary", { type: "submit", "data-testid": "pay-now" }, t("new.pay"))));
  return h("section.card", {}, h("h2", {}, t("new.direct")), h("p.dim", {}, t("new.direct_lead")), apart(form, "pay-"));
}
