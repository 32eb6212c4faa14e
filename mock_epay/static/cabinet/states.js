// What stands for each state: a sign, and which of the few colours.

import { h, sign } from "./dom.js";
import { t } from "./words.js";

const STATUS = {
  NEW: ["wait", "idle"], FINGERPRINT: ["wait", "wait"], "3D": ["ask", "wait"], AUTH: ["held", "held"], CHARGE: ["yes", "good"],
  CANCEL: ["back", "idle"], CANCEL_OLD: ["back", "idle"], REFUND: ["back", "idle"], REJECT: ["no", "bad"], FAILED: ["no", "bad"],
  VERIFIED: ["yes", "good"], none: ["dot", "idle"],
};
const POSTLINK = { queued: ["wait", "wait"], delivered: ["yes", "good"], "given up": ["no", "bad"], held: ["held", "held"], cancelled: ["none", "idle"] };

export const STATUSES = Object.keys(STATUS);
export const POSTLINKS = [...Object.keys(POSTLINK), "none"];
export const slug = (state) => state.toLowerCase().replace(/[^a-z0-9]/g, "_");

const badge = ([shape, tone], label, testid) => {
  const one = sign(shape, label);
  one.className = `badge ${tone}`;
  one.dataset.testid = testid;
  return one;
};

export const status = (state) => badge(STATUS[state || "none"] ?? STATUS.none, t(`status.${slug(state || "none")}`), "status");

export function postlink(state, result, tries) {
  if (!state) return h("span.badge.idle", { "data-testid": "postlink-state" }, h("span", {}, t("postlink.none")));
  const [shape, tone] = POSTLINK[state];
  const troubled = state === "queued" && tries > 0;
  const label = [t(`postlink.${slug(state)}`), state !== "delivered" && result, tries > 1 && t("postlink.tries", { n: tries })].filter(Boolean);
  return badge(troubled ? ["no", "bad"] : [shape, tone], label.join(" \u00b7 "), "postlink-state");
}
