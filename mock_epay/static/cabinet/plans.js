// The plans by which postlinks are delivered, to be chosen and completed by typing.

import { h } from "./dom.js";
import { t } from "./words.js";

export const PLANS = ["immediate", "before_redirect", "after_redirect(5)", "delay(60)", "on_release", "never", "duplicate(2, 0)", "failure_then_success(5)", "success_then_failure(5)",
  "wrong_amount", "wrong_secret_hash", "unknown_invoice", "missing_fields", "truncated", "out_of_order", "slow_body(3)"];

export function plans(value = "") {
  if (!document.getElementById("plans")) document.body.append(h("datalist", { id: "plans" }, PLANS.map((plan) => h("option", { value: plan }))));
  return h("input", { name: "plan", list: "plans", value, placeholder: t("new.usual"), autocomplete: "off", spellcheck: false });
}
