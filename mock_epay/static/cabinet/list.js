// The invoices of a world: only the rows in sight are elements, all else is numbers; news come in one by one.

import { get, once, place } from "./api.js";
import { h } from "./dom.js";
import { firstPayment } from "./snippets.js";
import { POSTLINKS, STATUSES, postlink, slug, status } from "./states.js";
import { LANGUAGE, ago, full, money, number, t } from "./words.js";

const PAGE = 1000;
const SPARE = 6;
const PAUSE_MS = 250;
const TYPING_MS = 180;
const FILTERS = ["q", "status", "postlink", "reason", "order"];

export async function show(main, { stream, go }) {
  const list = new List(main, go);
  const deaf = stream.listen(list);
  await list.load();
  return () => { deaf(); list.end(); };
}

class List {
  constructor(main, go) {
    this.go = go;
    this.rows = [];
    this.total = 0;
    this.chosen = -1;
    this.touched = new Set();
    this.ended = new AbortController();
    this.filters = Object.fromEntries(FILTERS.map((name) => [name, new URLSearchParams(location.search).get(name) ?? ""]));
    this.draw(main);
  }

  draw(main) {
    const signal = this.ended.signal;
    this.search = h("input", { type: "search", value: this.filters.q, placeholder: t("list.search"), "aria-label": t("list.search"), "aria-keyshortcuts": "/", "data-testid": "search", autocomplete: "off", spellcheck: false,
      oninput: () => { clearTimeout(this.typing); this.typing = setTimeout(() => this.filter({ q: this.search.value.trim() }), TYPING_MS); } });
    const choice = (name, options) => h("select", { "aria-label": t(`list.${name}`), "data-testid": `filter-${name}`, onchange: (event) => this.filter({ [name]: event.target.value }) },
      [["", t(`list.any_${name}`)], ...options].map(([value, label]) => h("option", { value, selected: value === this.filters[name] }, label)));
    this.reasons = choice("reason", []);
    this.selects = [
      choice("status", STATUSES.map((one) => [one, t(`status.${slug(one)}`)])),
      this.reasons,
      choice("postlink", POSTLINKS.map((one) => [one, t(`postlink.${slug(one)}`)])),
      h("select", { "aria-label": t("list.order"), "data-testid": "filter-order", onchange: (event) => this.filter({ order: event.target.value }) },
        ["", "oldest"].map((value) => h("option", { value, selected: value === this.filters.order }, t(`list.order_${value || "newest"}`)))),
    ];
    this.count = h("p.count", { role: "status", "data-testid": "total" });
    this.bell = h("button.button.quiet.small", { type: "button", "data-testid": "notify", onclick: () => this.allow() });
    this.chips = h("div.chips", { "data-testid": "chips" });
    this.news = h("button.news", { type: "button", hidden: true, "data-testid": "news", onclick: () => { this.view.scrollTop = 0; this.fresh(0); } });
    this.paper = h("div.paper", { role: "rowgroup" });
    const names = ["status", "invoice", "amount", "card", "reason", "postlink", "time"];
    this.head = h("div.head", { role: "rowgroup" }, h("div.tr", { role: "row" }, names.map((name) => h("span", { class: `c-${name}`, role: "columnheader" }, t(`list.col_${name}`)))));
    this.view = h("div.scroll", { "data-testid": "rows", onscroll: () => { this.paint(); if (this.view.scrollTop < 20) this.fresh(0); } }, this.head, this.paper);
    this.table = h("div.table", { role: "table", "aria-label": t("nav.invoices") },
      this.view);
    this.empty = h("div.empty", { hidden: true });
    main.replaceChildren(
      h("div.bar", {}, h("h1", {}, t("nav.invoices")), this.count, this.bell),
      h("div.tools", {}, h("div.search", {}, this.search, h("kbd", { "aria-hidden": "true" }, "/")), h("div.filters", {}, this.selects)),
      this.chips, h("div.board", {}, this.news, this.table, this.empty));
    this.ring();
    addEventListener("keydown", (event) => this.key(event), { signal });
    addEventListener("resize", () => this.measure(), { signal });
    this.ticking = setInterval(() => { for (const time of this.paper.querySelectorAll("time")) time.textContent = ago(time.dateTime); }, 5000);
    once("/reasons").then(({ reasons }) => { this.told = new Map(reasons.map((one) => [one.code, one[LANGUAGE]])); this.reasons.append(...reasons.filter(({ code }) => code).map((one) =>
      h("option", { value: String(one.code), selected: String(one.code) === this.filters.reason }, `${one.code} ${one[LANGUAGE]}`))); this.paper.replaceChildren(); this.paint(); }).catch(() => {});
  }

  end() {
    this.ended.abort();
    clearInterval(this.ticking);
    clearTimeout(this.waiting);
    clearTimeout(this.typing);
  }

  asked(more) {
    const { order, ...rest } = this.filters;
    return { ...rest, order: order || "newest", ...more };
  }

  filter(change) {
    clearTimeout(this.typing);
    Object.assign(this.filters, change);
    history.replaceState(history.state, "", place("", this.filters));
    for (const select of this.selects) select.value = this.filters[select.dataset.testid.slice(7)];
    if (document.activeElement !== this.search) this.search.value = this.filters.q;
    this.chosen = -1;
    this.view.scrollTop = 0;
    return this.load();
  }

  async load() {
    const turn = (this.turn = {});
    const { invoices, total } = await get("/invoices", this.asked({ limit: PAGE }), { signal: this.ended.signal });
    if (turn !== this.turn) return;
    this.rows = invoices;
    this.total = total;
    this.fresh(0);
    this.settle();
  }

  // What stands behind the rows that are there, until those in sight are.
  async more() {
    if (this.fetching || this.rows.length >= this.total || !this.rows.length) return;
    const turn = this.turn;
    this.fetching = true;
    try {
      const { invoices, total } = await get("/invoices", this.asked({ limit: PAGE, before: this.rows.at(-1).invoice_id }), { signal: this.ended.signal });
      if (turn !== this.turn) return;
      this.rows.push(...invoices);
      this.total = invoices.length ? total : this.rows.length;
    } finally {
      this.fetching = false;
    }
    this.paint();
  }

  settle() {
    const filtered = FILTERS.some((name) => name !== "order" && this.filters[name]);
    const nothing = this.total === 0;
    this.count.textContent = t("list.total", { n: this.total }).replace(String(this.total), number(this.total));
    this.table.hidden = nothing;
    this.empty.hidden = !nothing;
    document.body.dataset.state = nothing ? "empty" : "list";
    document.body.dataset.rows = this.total;
    if (nothing && this.empty.dataset.kind !== String(filtered)) {
      this.empty.dataset.kind = String(filtered);
      this.empty.replaceChildren(...(filtered ? [h("h2", {}, t("list.none")), h("p.dim", {}, t("list.none_lead")),
        h("button.button.quiet", { type: "button", "data-testid": "clear", onclick: () => this.clear() }, t("list.all"))] : firstPayment(this.go)));
    }
    this.chips.replaceChildren(...FILTERS.filter((name) => name !== "order" && this.filters[name]).map((name) =>
      h("button.chip", { type: "button", "data-testid": `chip-${name}`, "aria-label": t("list.without", { what: this.filters[name] }), onclick: () => this.filter({ [name]: "" }) },
        h("b", {}, t(`list.${name}`)), ` ${this.filters[name]}`, h("i", { "aria-hidden": "true" }, "\u00d7"))));
    this.measure();
  }

  clear() {
    this.search.value = "";
    return this.filter({ q: "", status: "", postlink: "", reason: "" });
  }

  measure() {
    this.height = parseFloat(getComputedStyle(this.view).getPropertyValue("--row")) || 44;
    this.paper.style.height = `${this.total * this.height}px`;
    this.paint();
  }

  paint() {
    if (!this.height || !this.total) return;
    const first = Math.max(0, Math.floor(this.view.scrollTop / this.height) - SPARE);
    const last = Math.min(this.total, Math.ceil((this.view.scrollTop + this.view.clientHeight) / this.height) + SPARE);
    const active = document.activeElement?.closest?.(".tr[data-id]")?.dataset.id;
    const there = new Map([...this.paper.children].map((row) => [row.dataset.key, row]));
    const wanted = [];
    for (let index = first; index < last; index += 1) {
      const facts = this.rows[index];
      const key = facts ? `${facts.invoice_id} ${facts.stamp ??= JSON.stringify(facts)}` : `blank ${index}`;
      const row = there.get(key) ?? this.row(facts, key);
      row.style.transform = `translateY(${index * this.height}px)`;
      row.setAttribute("aria-rowindex", index + 2);
      row.classList.toggle("chosen", index === this.chosen);
      wanted.push(row);
    }
    const kept = new Set(wanted);
    for (const row of [...this.paper.children]) if (!kept.has(row)) row.remove();
    wanted.forEach((row, at) => { if (this.paper.children[at] !== row) this.paper.insertBefore(row, this.paper.children[at] ?? null); });
    this.table.setAttribute("aria-rowcount", this.total + 1);
    if (active && !this.paper.contains(document.activeElement)) this.paper.querySelector(`[data-id="${CSS.escape(active)}"] a`)?.focus({ preventScroll: true });
    if (last > this.rows.length) this.more().catch(() => {});
  }

  row(facts, key) {
    if (!facts) return h("div.tr.blank", { "data-key": key, role: "row" }, h("span", { role: "cell" }, "\u2026"));
    const to = place(`/invoices/${facts.invoice_id}`);
    const row = h("div.tr", { role: "row", "data-key": key, "data-id": facts.invoice_id, "data-testid": `row-${facts.invoice_id}`,
      onclick: (event) => { if (!event.target.closest("a") && !String(getSelection())) this.go(to); } },
    h("span.c-status", { role: "cell" }, status(facts.status)),
    h("span.c-invoice", { role: "cell" }, h("a", { href: to }, facts.invoice_id), h("span.dim.cut", {}, facts.description)),
    h("span.c-amount", { role: "cell" }, money(facts.amount, facts.currency)),
    h("span.c-card", { role: "cell" }, facts.card_mask && [h("span.mono", {}, facts.card_mask.replace("...", "\u00a0\u2022\u2022\u00a0")), h("span.dim", {}, facts.card_type)]),
    h("span.c-reason", { role: "cell" }, facts.reason_code ? [h("span.mono", {}, String(facts.reason_code)), h("span.dim.cut", {}, this.told?.get(facts.reason_code) ?? facts.reason)] : facts.hints ? h("span.dim", {}, t("list.hints", { n: facts.hints })) : null),
    h("span.c-postlink", { role: "cell" }, postlink(facts.postlink, facts.postlink_result, facts.tries)),
    h("span.c-time", { role: "cell" }, h("time", { dateTime: facts.last_at ?? facts.first_at ?? "", title: facts.last_at ? full(facts.last_at) : "" }, facts.last_at ? ago(facts.last_at) : "")));
    if (facts.fresh) row.classList.add("fresh");
    return row;
  }

  key(event) {
    const typing = event.target.closest?.("input, select, textarea, dialog");
    if (event.key === "Escape" && event.target === this.search) {
      this.search.value = "";
      this.search.blur();
      this.filter({ q: "" });
    } else if (event.key === "/" && !typing) {
      event.preventDefault();
      this.search.focus();
      this.search.select();
    } else if ((!typing || event.target === this.search) && (event.key === "ArrowDown" || event.key === "ArrowUp")) this.choose(event.key === "ArrowDown" ? 1 : -1, event);
    else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey && (event.key === "j" || event.key === "k")) this.choose(event.key === "j" ? 1 : -1, event);
    else if (!typing && (event.key === "Home" || event.key === "End")) this.choose(event.key === "Home" ? -Infinity : Infinity, event);
    else if (event.key === "Enter" && event.target === this.search && this.rows.length) this.go(place(`/invoices/${this.rows[Math.max(0, this.chosen)].invoice_id}`));
  }

  choose(step, event) {
    if (!this.total) return;
    event.preventDefault();
    this.chosen = Math.max(0, Math.min(this.total - 1, this.chosen + step));
    const top = this.chosen * this.height;
    const foot = top + this.height - this.view.clientHeight + this.head.offsetHeight;
    if (this.view.scrollTop > top) this.view.scrollTop = top;
    else if (this.view.scrollTop < foot) this.view.scrollTop = foot;
    this.paint();
    this.paper.querySelector(".chosen a")?.focus({ preventScroll: true });
  }

  // News.

  happened(event) {
    if (!event.invoice_id) return;
    if (event.kind === "transaction.declined" || event.kind === "postlink.failed") this.tell(event);
    this.touched.add(event.invoice_id);
    this.waiting ??= setTimeout(() => this.refresh().catch(() => {}), PAUSE_MS);
  }

  again() {
    this.load().catch(() => {});
  }

  async refresh() {
    const ids = [...this.touched].slice(0, PAGE);
    for (const id of ids) this.touched.delete(id);
    const turn = this.turn;
    const { invoices } = await get("/invoices", this.asked({ ids: ids.join(","), limit: PAGE }), { signal: this.ended.signal });
    this.waiting = this.touched.size ? setTimeout(() => this.refresh().catch(() => {}), PAUSE_MS) : undefined;
    if (turn !== this.turn) return;
    const now = new Map(invoices.map((row) => [row.invoice_id, row]));
    const above = this.view.scrollTop;
    let added = 0;
    for (const id of ids) {
      const at = this.rows.findIndex((row) => row.invoice_id === id);
      const row = now.get(id);
      if (row) row.fresh = true;
      if (row && at >= 0) this.rows[at] = row;
      else if (row) added += this.insert(row);
      else if (at >= 0) {
        this.rows.splice(at, 1);
        this.total -= 1;
      }
    }
    if (added && above > this.height) {
      this.fresh(this.unseen + added);
      this.settle();
      this.view.scrollTop = above + added * this.height;
    } else this.settle();
  }

  // Where a row belongs by the time its invoice began; the newest first, unless asked otherwise.
  insert(row) {
    const oldest = this.filters.order === "oldest";
    const behind = (other) => (oldest ? other.first_at > row.first_at : other.first_at <= row.first_at);
    const at = this.rows.findIndex(behind);
    const whole = this.rows.length >= this.total;
    this.total += 1;
    if (at >= 0) this.rows.splice(at, 0, row);
    else if (whole) this.rows.push(row);
    return at >= 0 && !oldest ? 1 : 0;
  }

  fresh(count) {
    this.unseen = count;
    this.news.hidden = count === 0;
    if (count) this.news.textContent = t("list.news", { n: count });
  }

  // A word from the browser when something goes wrong, for those who ask for it.

  ring() {
    const possible = "Notification" in window && window.isSecureContext;
    this.bell.hidden = !possible || Notification.permission === "denied";
    if (possible) this.bell.textContent = t(Notification.permission === "granted" ? "list.told" : "list.tell");
    this.bell.disabled = possible && Notification.permission === "granted";
  }

  async allow() {
    await Notification.requestPermission();
    this.ring();
  }

  tell(event) {
    if (!("Notification" in window) || Notification.permission !== "granted" || !document.hidden) return;
    const said = new Notification(`${event.invoice_id}: ${t(`event.${event.kind.replace(".", "_")}`)}`, { tag: event.invoice_id });
    said.onclick = () => { window.focus(); this.go(place(`/invoices/${event.invoice_id}`)); };
  }
}
