// The first payment, in the shop's language, with this merchant's own data.

import { get, place, post } from "./api.js";
import { copyButton, h, toast } from "./dom.js";
import { t } from "./words.js";

const text = JSON.stringify;
const shell = (value) => `'${value.replaceAll("'", "'\\''")}'`;
const php = (value) => `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
const order = [["invoiceID", "000000001"], ["amount", "100"], ["currency", "KZT"], ["postLink", "http://127.0.0.1:3000/postlink"]];
const asked = (merchant) => [["grant_type", "client_credentials"], ["scope", "payment"], ["client_id", merchant.client_id],
  ["client_secret", merchant.client_secret], ["terminal", merchant.terminal], ...order];

const SNIPPETS = {
  curl: (merchant) => [`curl ${shell(merchant.urls.token)} \\`, ...asked(merchant).map(([name, value]) => `  --form-string ${shell(`${name}=${value}`)} \\`)].join("\n").replace(/ \\$/, ""),
  python: (merchant) => `import httpx

token = httpx.post(
    ${text(merchant.urls.token)},
    data={
${asked(merchant).map(([name, value]) => `        ${text(name)}: ${text(value)},`).join("\n")}
    },
).raise_for_status().json()`,
  node: (merchant) => `const answer = await fetch(${text(merchant.urls.token)}, {
  method: "POST",
  body: new URLSearchParams({
${asked(merchant).map(([name, value]) => `    ${name}: ${text(value)},`).join("\n")}
  }),
});
const token = await answer.json();`,
  php: (merchant) => `$context = stream_context_create(['http' => [
    'method' => 'POST',
    'header' => 'Content-Type: application/x-www-form-urlencoded',
    'content' => http_build_query([
${asked(merchant).map(([name, value]) => `        ${php(name)} => ${php(value)},`).join("\n")}
    ]),
]]);
$token = json_decode(file_get_contents(${php(merchant.urls.token)}, false, $context), true);`,
  page: (merchant) => `<script src=${text(merchant.urls.script)}></script>
<script>
  halyk.pay({
    invoiceId: "000000001", amount: 100, currency: "KZT", language: "rus",
    terminal: ${text(merchant.terminal)}, description: "Order 1",
    backLink: location.origin + "/paid", postLink: "http://127.0.0.1:3000/postlink",
    auth: token, // what the shop's server got
  });
</script>`,
};

export function snippets(merchant) {
  const pre = h("pre", { tabindex: 0, "data-testid": "snippet", "aria-label": t("first.heading") });
  let shown = "";
  const choose = (name) => {
    shown = SNIPPETS[name](merchant);
    pre.textContent = shown;
    for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.dataset.name === name));
  };
  const tabs = Object.keys(SNIPPETS).map((name) => h("button.tab", { type: "button", "data-name": name, "data-testid": `snippet-${name}`, onclick: () => choose(name) }, t(`snippet.${name}`)));
  choose("curl");
  return h("figure.code", {}, h("figcaption", {}, h("span.row", {}, tabs), copyButton(() => shown, "copy-snippet")), pre);
}

// What a world without invoices shows.
export function firstPayment(go) {
  const code = h("div", {});
  get("").then((merchant) => code.replaceChildren(snippets(merchant))).catch(() => {});
  const pay = async () => {
    try {
      const paid = await post("/payments", {});
      await go(place(`/invoices/${paid.invoice_id}`));
    } catch (refusal) {
      toast(refusal.message, "bad");
    }
  };
  return [h("h2", {}, t("first.heading")), h("p.dim", {}, t("first.lead")),
    h("ol.lessons", {}, h("li", {}, h("b", {}, t("first.token")), code), h("li", {}, h("b", {}, t("first.page"))), h("li", {}, h("b", {}, t("first.watch")))),
    h("p", {}, t("first.or"), " ", h("button.button.primary.small", { type: "button", "data-testid": "first-payment", onclick: pay }, t("first.pay")), " ",
      h("a.button.quiet.small", { href: place("/new") }, t("nav.new")), " ", h("a.button.quiet.small", { href: "/demo", target: "_blank" }, t("first.demo")))];
}
