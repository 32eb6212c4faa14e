// JSON for people: coloured, whole, or as it came; always to be copied.

import { copyButton, h } from "./dom.js";
import { t } from "./words.js";

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[^"\dtfn-]+|./g;

function coloured(text) {
  const parts = [];
  for (const [all, string, colon] of text.matchAll(TOKEN)) {
    if (string) parts.push(h(colon ? "span.j-key" : "span.j-text", {}, string), colon ?? "");
    else if (/^[\dtfn-]/.test(all)) parts.push(h("span.j-fact", {}, all));
    else parts.push(all);
  }
  return parts;
}

export function code(text, { label = "", testid = "code" } = {}) {
  return h("figure.code", {}, h("figcaption", {}, h("span", {}, label), copyButton(text)), h("pre", { tabindex: 0, "data-testid": testid }, text));
}

// What came, as text; pretty where it is JSON.
export function json(came, label, testid = "json") {
  const raw = typeof came === "string" ? came : JSON.stringify(came);
  let pretty = null;
  try {
    pretty = JSON.stringify(JSON.parse(raw), null, 2);
  } catch {
    pretty = null;
  }
  const pre = h("pre", { tabindex: 0, "data-testid": testid, "aria-label": label });
  const show = (nice) => {
    pre.replaceChildren(...(nice ? coloured(pretty) : [raw]));
    pre.classList.toggle("wrap", !nice);
    for (const [button, mine] of buttons) button.setAttribute("aria-pressed", String(mine === nice));
  };
  const buttons = pretty === null ? [] : [true, false].map((nice) =>
    [h("button.tab", { type: "button", onclick: () => show(nice), "data-testid": nice ? "pretty" : "raw" }, t(nice ? "json.pretty" : "json.raw")), nice]);
  show(pretty !== null);
  return h("figure.code", {}, h("figcaption", {}, h("span", {}, label), h("span.row", {}, buttons.map(([button]) => button), copyButton(() => (buttons[1]?.[0].getAttribute("aria-pressed") === "true" ? raw : pretty ?? raw)))), pre);
}
