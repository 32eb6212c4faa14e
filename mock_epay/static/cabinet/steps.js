// The life of an invoice as steps: who took each, how it went, and what is known of it. Pure.

const LANE = {
  "token.issued": "shop", "link.made": "shop", "status.asked": "shop", "transaction.cancelled": "shop", "transaction.refunded": "shop",
  "checkout.opened": "customer", "checkout.closed": "customer", "challenge.answered": "customer", "page.left": "customer",
  "fault.struck": "issuer", "clock.changed": "issuer",
};
const SIGN = {
  "token.issued": ["dot", "good"], "link.made": ["dot", "good"], "checkout.opened": ["dot", "good"], "checkout.closed": ["wait", "bad"],
  "transaction.challenged": ["ask", "wait"], "transaction.authorized": ["held", "held"], "transaction.charged": ["yes", "good"],
  "transaction.verified": ["yes", "good"], "transaction.declined": ["no", "bad"], "transaction.failed": ["no", "bad"],
  "transaction.cancelled": ["back", "idle"], "transaction.refunded": ["back", "idle"], "card.saved": ["dot", "good"], "card.deactivated": ["none", "idle"],
  "postlink.queued": ["wait", "idle"], "postlink.held": ["held", "held"], "postlink.released": ["dot", "good"], "postlink.cancelled": ["none", "idle"],
  "postlink.withheld": ["none", "held"], "postlink.delivered": ["yes", "good"], "postlink.failed": ["no", "bad"], "page.left": ["back", "good"],
  "status.asked": ["ask", "idle"], "fault.struck": ["spark", "bad"],
};

export function steps(timeline) {
  const held = new Set();
  const found = [];
  let tokens = 0;
  for (const event of timeline.events) {
    const { kind, facts } = event;
    const step = { event, kind, facts, at: event.at, count: 1, lane: LANE[kind] ?? (kind.startsWith("postlink.") ? "postlink" : "issuer") };
    [step.sign, step.tone] = SIGN[kind] ?? ["dot", "idle"];
    step.transaction = timeline.transactions.find(({ id }) => id === facts.transaction);
    step.postlink = timeline.postlinks.find(({ id }) => id === facts.delivery);
    step.attempt = step.postlink?.attempts.find(({ number }) => number === facts.attempt);
    if (kind === "token.issued") step.token = (timeline.tokens ?? [])[tokens++];
    if (kind === "checkout.opened") step.object = objectOf(timeline, event.at);
    if (kind === "challenge.answered") [step.sign, step.tone] = facts.state === "passed" ? ["yes", "good"] : ["no", "bad"];
    if (kind === "transaction.authorized") held.add(facts.transaction);
    if (kind === "transaction.charged" && held.has(facts.transaction)) step.lane = "shop";
    if (facts.hints?.length && step.tone === "good") step.tone = "held";
    const before = found.at(-1);
    if (before && kind === "status.asked" && before.kind === kind) {
      before.count += 1;
      before.until = event.at;
    } else found.push(step);
  }
  return found;
}

// The transaction begins when the page opens, so its payment object is the one that came with it.
function objectOf({ transactions, objects = [] }, at) {
  const begun = transactions.find((one) => Date.parse(one.created_at) >= Date.parse(at)) ?? transactions.at(-1);
  return objects.find(({ transaction }) => transaction === begun?.id);
}

// What the invoice waits for, if for anything.
export function waits(timeline) {
  const latest = timeline.transactions.at(-1);
  if (timeline.postlinks.some(({ state }) => state === "held")) return ["postlink", "release"];
  if (timeline.postlinks.some(({ state }) => state === "queued")) return ["postlink", "try"];
  if (!latest) return ["customer", "page"];
  if (latest.status === "NEW") return timeline.events.some(({ kind }) => kind === "checkout.closed") ? null : ["customer", "card"];
  if (latest.status === "3D") return ["customer", "code"];
  if (latest.status === "AUTH") return ["shop", "charge"];
  return null;
}

// In one sentence or two: where it stands, and why. Keys of words with what stands in them.
export function verdict(timeline) {
  const latest = timeline.transactions.at(-1);
  if (!latest) return [["verdict.token", {}, "idle"]];
  const closed = timeline.events.some(({ kind }) => kind === "checkout.closed") && !latest.decided_at;
  const facts = { code: latest.reason_code, reason: latest.reason, by: latest.decided_by, card: latest.card_mask };
  const tone = { CHARGE: "good", AUTH: "held", VERIFIED: "good", REJECT: "bad", FAILED: "bad", NEW: closed ? "bad" : "wait", "3D": "wait" }[latest.status] ?? "idle";
  const said = [[`verdict.${closed ? "closed" : latest.status.toLowerCase()}`, facts, tone]];
  const notice = timeline.postlinks.at(-1);
  const decided = !["NEW", "3D", "FINGERPRINT"].includes(latest.status);
  if (notice) {
    const last = notice.attempts.at(-1);
    const result = last?.status ? `HTTP ${last.status}` : notice.result;
    const state = notice.state === "queued" && last ? "again" : notice.state.replace(" ", "_");
    said.push([`verdict.postlink_${state}`, { result, tries: notice.tries, ms: Math.round(last?.milliseconds ?? 0) }, { delivered: "good", given_up: "bad", again: "bad" }[state] ?? "held"]);
  } else if (decided) said.push([latest.plan === "never" ? "verdict.postlink_never" : "verdict.postlink_none", {}, "held"]);
  return said;
}
