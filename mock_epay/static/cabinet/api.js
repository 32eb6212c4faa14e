// The control API as this merchant's cabinet sees it, and the stream of what happens.

import { h } from "./dom.js";
import { names, setWorldTime, t } from "./words.js";

export const CLIENT_ID = document.body.dataset.clientId ?? "";
const WORLD = `/_control/merchants/${encodeURIComponent(CLIENT_ID)}`;

export class Refusal extends Error {
  constructor(status, answer) {
    super(answer.message ?? t("problem.unclear", { status }));
    Object.assign(this, { status, field: answer.field, rule: answer.rule });
  }
}

export async function ask(method, path, body, options = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      ...options,
    });
  } catch (wrong) {
    if (wrong.name === "AbortError") throw wrong;
    throw new Refusal(0, { message: t("problem.nobody") });
  }
  if (answer.ok) return answer;
  if (answer.status === 401 && path.startsWith(WORLD)) return toGate();
  throw new Refusal(answer.status, await answer.json().catch(() => ({})));
}

const read = async (answer) => (answer.status === 204 ? null : answer.json());
const query = (facts) => {
  const kept = Object.entries(facts).filter(([, value]) => value !== "" && value !== undefined && value !== null);
  return kept.length ? `?${new URLSearchParams(kept)}` : "";
};

export const get = async (path, facts = {}, options = {}) => read(await ask("GET", WORLD + path + query(facts), undefined, options));
export const text = async (path, facts = {}) => (await ask("GET", WORLD + path + query(facts))).text();
export const post = async (path, body = {}) => read(await ask("POST", WORLD + path, body));
export const put = async (path, body) => read(await ask("PUT", WORLD + path, body));
export const patch = async (path, body) => read(await ask("PATCH", WORLD + path, body));
export const drop = async (path) => read(await ask("DELETE", WORLD + path));
export const raw = (method, path, body, options) => ask(method, WORLD + path, body, options);
export const common = async (path) => read(await ask("GET", `/_control${path}`));

const known = new Map();
export const once = (path) => {
  if (!known.has(path)) known.set(path, common(path).catch((wrong) => { known.delete(path); throw wrong; }));
  return known.get(path);
};

export const address = (path, facts = {}) => {
  const lang = new URLSearchParams(location.search).get("lang");
  return path + query({ ...facts, lang });
};
export const place = (path = "", facts = {}) => address(`/cabinet/${encodeURIComponent(CLIENT_ID)}${path}`, facts);

export function toGate() {
  location.replace(address("/cabinet", { next: location.pathname + location.search }));
  return new Promise(() => {});
}

export async function turn(what) {
  const face = await put("/clock", what);
  setWorldTime(face.now, face.frozen);
  return face;
}

// What happens, as it happens. A browser goes on with Last-Event-ID by itself while the server only breaks off;
// once it is refused it stops for good, and then this begins again.
export class Stream {
  #listeners = new Set();
  #source = null;
  #last = 0;
  #times = 0;

  constructor(sign) {
    this.sign = sign;
    addEventListener("pagehide", () => this.#source?.close());
    addEventListener("pageshow", (event) => event.persisted && this.begin(this.#last));
  }

  begin(after) {
    this.#last = Math.max(after, this.#last);
    this.#source?.close();
    const source = new EventSource(`${WORLD}/events?after=${this.#last}`);
    this.#source = source;
    source.addEventListener("open", () => {
      this.#say("live");
      if (this.#times++) for (const listener of this.#listeners) listener.again?.();
    });
    source.addEventListener("error", () => {
      this.#say("again");
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.#source === source && this.begin(this.#last), 1500);
    });
    for (const kind of names("event")) source.addEventListener(kind.replace("_", "."), (event) => this.#told(event));
  }

  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #told(event) {
    this.#last = Math.max(this.#last, Number(event.lastEventId));
    const happened = JSON.parse(event.data);
    for (const listener of this.#listeners) listener.happened?.(happened);
  }

  #say(state) {
    this.sign.dataset.live = state;
    this.sign.replaceChildren(h("i", {}), h("span", {}, t(`live.${state}`)));
  }
}
