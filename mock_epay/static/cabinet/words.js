// What the cabinet says: words by key, numbers, money and time as the language writes them.

const WORDS = JSON.parse(document.getElementById("words").textContent);
export const LANG = document.documentElement.lang;
export const LANGUAGE = { ru: "rus", kk: "kaz", en: "eng" }[LANG];

const plural = new Intl.PluralRules(LANG);
const FORMS = { eng: ["one", "other"], rus: ["one", "few", "many"], kaz: ["other"] }[LANGUAGE];
const SYMBOLS = { KZT: "\u20b8", USD: "$" };

const find = (key) => key.split(".").reduce((branch, name) => (branch === undefined ? undefined : branch[name]), WORDS);

export const knows = (key) => typeof find(key) === "string";
export const names = (key) => Object.keys(find(key));

export function t(key, facts = {}) {
  const found = find(key);
  const word = Array.isArray(found) ? found[Math.max(0, FORMS.indexOf(plural.select(facts.n)))] : found;
  if (typeof word !== "string") return key;
  return word.replace(/\{(\w+)\}/g, (_, name) => facts[name] ?? "");
}

// Browsers say that they know how Kazakh writes numbers, and write them as English does; it is as Russian does.
const FIGURES = LANG === "kk" ? "ru" : LANG;

export const number = (value) => value.toLocaleString(FIGURES);

export function money(amount, currency) {
  if (amount === null || amount === undefined || amount === "") return "";
  const places = Number.isInteger(amount) ? 0 : 2;
  const figures = amount.toLocaleString(FIGURES, { minimumFractionDigits: places, maximumFractionDigits: places });
  return `${figures}\u00a0${SYMBOLS[currency] ?? currency ?? ""}`.trim();
}

// The world's time, which may stand still or run ahead of this machine's.
let ahead = 0;
let stands = null;

export function setWorldTime(now, frozen) {
  ahead = Date.parse(now) - Date.now();
  stands = frozen ? Date.parse(now) : null;
}
export const worldNow = () => (stands === null ? Date.now() + ahead : stands);
export const isFrozen = () => stands !== null;

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(LANG, { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat(LANG, { dateStyle: "long", timeStyle: "medium", hourCycle: "h23" });

export const clock = (moment) => CLOCK.format(new Date(moment));
export const day = (moment) => DAY.format(new Date(moment));
export const full = (moment) => FULL.format(new Date(moment));
export const precise = (moment) => `${clock(moment)}.${String(new Date(moment).getMilliseconds()).padStart(3, "0")}`;

export function ago(moment) {
  const seconds = Math.round((worldNow() - Date.parse(moment)) / 1000);
  if (Math.abs(seconds) < 5) return t("time.now");
  if (seconds < 0) return t("time.ahead", { span: span(-seconds * 1000) });
  return seconds < 86400 ? t("time.ago", { span: span(seconds * 1000) }) : `${day(moment)}, ${clock(moment).slice(0, 5)}`;
}

export function span(milliseconds) {
  if (milliseconds < 1000) return `${Math.round(milliseconds)}\u00a0${t("time.ms")}`;
  const seconds = milliseconds / 1000;
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([least]) => seconds >= least) ?? [1, "s"];
  const figure = size === 1 && seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds / size);
  return `${number(figure)}\u00a0${t(`time.${unit}`)}`;
}
