// The whole life of an invoice on one line, which wanders between those who took its steps.

import { h, sign, svg } from "./dom.js";
import { span, t } from "./words.js";

const LANES = ["shop", "customer", "issuer", "postlink"];
const HIGH = 58;

export function track(life, waiting, open, room) {
  const steps = gathered(life);
  const count = steps.length + (waiting ? 1 : 0);
  const pace = Math.max(84, Math.min(112, Math.floor(room / count)));
  const half = pace / 2;
  const points = steps.map(({ lane }, at) => [half + at * pace, HIGH * LANES.indexOf(lane) + 22]);
  const end = waiting && [half + steps.length * pace, HIGH * LANES.indexOf(waiting[0]) + 22];
  const wide = count * pace;
  const line = svg("svg", { class: "line", width: wide, height: HIGH * LANES.length, "aria-hidden": "true", focusable: "false" },
    LANES.map((_, at) => svg("path", { class: "lane", d: `M0 ${at * HIGH + 22}H${wide}` })),
    points.slice(1).map((point, at) => svg("path", { class: `way ${steps[at + 1].tone}`, d: curve(points[at], point) })),
    end && svg("path", { class: "way ahead", d: curve(points.at(-1) ?? [0, end[1]], end) }));
  const stops = steps.map((step, at) => {
    const passed = at ? Date.parse(step.at) - Date.parse(steps[at - 1].at) : 0;
    const stop = h("button", { class: `stop ${step.tone}`, type: "button", "data-testid": `stop-${step.event.number}`, onclick: () => open(step) },
      sign(step.sign), h("span.name", {}, t(`short.${step.kind.replace(".", "_")}`), step.count > 1 && ` \u00d7${step.count}`),
      h("span.gap", {}, at ? `+${span(Math.max(0, passed))}` : ""));
    Object.assign(stop.style, { left: `${points[at][0] - half}px`, top: `${points[at][1] - 11}px`, width: `${pace}px` });
    return stop;
  });
  if (end) {
    const ghost = h("span.stop.ghost", { "data-testid": "waits" }, sign("wait"), h("span.name", {}, t(`waits.${waiting[1]}`)));
    Object.assign(ghost.style, { left: `${end[0] - half}px`, top: `${end[1] - 11}px`, width: `${pace}px` });
    stops.push(ghost);
  }
  const field = h("div.field-of-play", {}, line, stops);
  field.style.width = `${wide}px`;
  const sliding = h("div.slide", { tabindex: 0, role: "group", "aria-label": t("invoice.track") }, field);
  requestAnimationFrame(() => { sliding.scrollLeft = sliding.scrollWidth; });
  return h("div.track", { "data-testid": "track" }, h("div.lanes", { "aria-hidden": "true" }, LANES.map((lane) => h("span", {}, t(`lane.${lane}`)))), sliding);
}

// Tries that failed one after the other are one stop.
function gathered(life) {
  const stops = [];
  for (const step of life) {
    const before = stops.at(-1);
    if (before?.kind === "postlink.failed" && step.kind === before.kind) stops[stops.length - 1] = { ...step, count: before.count + 1 };
    else stops.push(step);
  }
  return stops;
}

function curve([x1, y1], [x2, y2]) {
  if (y1 === y2) return `M${x1} ${y1}H${x2}`;
  const middle = (x1 + x2) / 2;
  return `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
}
