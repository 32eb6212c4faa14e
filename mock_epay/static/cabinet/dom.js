// Elements made of names, properties and children. Text is only ever text: nothing here can become markup.

import { t } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

export function h(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return fill(document.createElement(tag), classes, properties, children);
}

export function svg(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return fill(document.createElementNS(SVG, tag), classes, properties, children);
}

function fill(element, classes, properties, children) {
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "id" || name === "list" || name.includes("-") || element.namespaceURI === SVG || !(name in element)) {
      element.setAttribute(name, value === true ? "" : value);
    } else element[name] = value;
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Only addresses of the web are links; what a shop sends may be anything.
export const link = (address, ...children) =>
  /^https?:\/\//i.test(address)
    ? h("a", { href: address, rel: "noreferrer", target: "_blank" }, ...children)
    : h("span", {}, ...children);

// Signs: a shape for each meaning, so that colour is never alone.
const SIGNS = {
  yes: "M4.500 8.300 7 10.800l4.500-5",
  no: "m5 5 6 6m0-6-6 6",
  wait: "M8 4.800V8l2 1.500",
  held: "M6.300 5v6M9.700 5v6",
  back: "M11.500 8h-7m2.500-2.700L4.300 8 7 10.700",
  ask: "M6 6.300a2 2 0 1 1 2.700 1.900c-.500.200-.700.500-.700 1v.300M8 11.500v.100",
  dot: "M8 8v.100",
  none: "M5.500 8h5",
  spark: "M8.800 4 5.500 8.700h2.700L7.300 12l3.300-4.700H7.900z",
};

export function sign(kind, label) {
  const shape = svg("svg", { class: `sign ${kind}`, viewBox: "0 0 16 16", focusable: "false", "aria-hidden": "true" });
  shape.append(svg("circle", { cx: 8, cy: 8, r: 7 }), svg("path", { d: SIGNS[kind] }));
  return label ? h("span.signed", {}, shape, h("span", {}, label)) : shape;
}

export function copyButton(text, testid = "copy", label = t("clip.take")) {
  const button = h("button.copy", { type: "button", "data-testid": testid, title: label }, h("span", {}, label));
  button.addEventListener("click", async () => {
    await toClipboard(typeof text === "function" ? await text() : text);
    button.dataset.done = "";
    button.firstChild.textContent = t("clip.done");
    setTimeout(() => {
      delete button.dataset.done;
      button.firstChild.textContent = label;
    }, 1600);
  });
  return button;
}

// Browsers give the clipboard to secure pages only; a selection serves the others.
async function toClipboard(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = h("textarea.unseen", { value: text });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  return area.remove();
}

export function toast(text, kind = "said") {
  const one = h("p", { class: `toast ${kind}`, "data-testid": "toast" }, text);
  document.getElementById("toasts").append(one);
  setTimeout(() => one.remove(), kind === "bad" ? 9000 : 4000);
}

export function field(label, input, { hint = "", id = input.name } = {}) {
  input.id ||= `f-${id}`;
  input.dataset.testid ||= id;
  return h("div.field", { "data-field": id }, h("label", { htmlFor: input.id }, label), input,
    hint && h("small.dim", {}, hint), h("p.problem", { id: `${input.id}-problem`, role: "alert", "data-testid": `problem-${id}` }));
}

export const select = (name, options, value = "") =>
  h("select", { name }, options.map(([option, label]) => h("option", { value: option, selected: String(option) === String(value) }, label)));

// Say beside the fields of a form what a refusal says; return whether one of them is meant.
export function blame(form, refusal) {
  const meant = (refusal.field ?? "").replace(/\[\d+\]|\.\d+/g, "").split(".").pop();
  const place = meant && form.querySelector(`[data-field="${CSS.escape(meant)}"] .problem`);
  forgive(form);
  const words = place && refusal.rule ? refusal.rule : refusal.message;
  if (place) {
    place.textContent = words;
    const input = place.parentElement.querySelector("input, select, textarea");
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", place.id);
    input.focus();
  } else {
    const general = form.querySelector(".general");
    if (general) general.textContent = words;
    else toast(words, "bad");
  }
  return Boolean(place);
}

export function forgive(form) {
  for (const problem of form.querySelectorAll(".problem, .general")) problem.textContent = "";
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

// A question in front of everything; resolves to its form's data, or to null.
export function ask({ title, lead = "", body = [], yes, danger = false, check = async () => true }) {
  return new Promise((resolve) => {
    const form = h("form.form", { method: "dialog" }, h("h2", { id: "ask-title" }, title), lead && h("p.dim", {}, lead), body,
      h("p.general.problem", { role: "alert" }),
      h("div.row", {}, h("button.button", { class: danger ? "button danger" : "button primary", type: "submit", "data-testid": "yes" }, yes),
        h("button.button.quiet", { type: "button", onclick: () => dialog.close(), "data-testid": "no" }, t("ask.no"))));
    const dialog = h("dialog.dialog", { "aria-labelledby": "ask-title", "data-testid": "dialog" }, form);
    let answer = null;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      forgive(form);
      try {
        if ((await check(form)) === false) return;
        answer = form;
        dialog.close();
      } catch (refusal) {
        blame(form, refusal);
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
