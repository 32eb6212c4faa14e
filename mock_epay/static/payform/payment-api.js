/**
 * What a shop's page loads to open the pay page: the global `halyk`, shaped like that of the bank's script.
 *
 * Nothing is filtered, renamed or refused here; where a payment object breaks a documented rule, the console says so.
 * No call throws: a shop's page must not break because of its sandbox.
 */
(function () {
  "use strict";

  const SCRIPT = "/payment-api.js";
  const WIDGET = "mock-epay-widget";

  const TOKEN_FIELDS = ["access_token", "expires_in", "refresh_token", "scope", "token_type"];
  const INVOICE = /^\d{6,15}$/;
  const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;
  const CURRENCY = /^[A-Z]{3}$/;
  const LANGUAGE = /^(rus|kaz|eng|(ru|kk|kz|en)(-[a-z]{2})?)$/i;
  const LINK = /^https?:\/\/[^\s/?#]/i;
  const LINKS = ["backLink", "failureBackLink", "postLink", "failurePostLink"];
  const DESCRIPTION_BYTES = 125;

  const WORDS = {
    ru: { payment: "Оплата картой", close: "Закрыть" },
    kk: { payment: "Картамен төлеу", close: "Жабу" },
    en: { payment: "Card payment", close: "Close" },
  };

  const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
  const SHORT = 0;
  const LONG = 1;
  const END = 2;

  const page = payPage();

  window.halyk = {
    pay: (object) => leave("pay", "", object, check),
    cardverification: (object) => leave("cardverification", "", object, check),
    p2p: (object) => leave("p2p", "p2p", object, notSimulated),
    aft: (object) => leave("aft", "aft", object, notSimulated),
    oct: (object) => leave("oct", "oct", object, notSimulated),
    showPaymentWidget,
    Config: () => ({
      pageUrL: page,
      origin: page && new URL(page).origin,
      TokenAPIConfig: { url: page && new URL("../oauth2/token", page).href },
    }),
  };

  /** The sandbox may stand behind any scheme, host and folder: only the address of this script tells which. */
  function payPage() {
    const running = document.currentScript;
    const all = [running, ...Array.from(document.scripts).reverse()].filter(isLoaded);
    // A shop's bundle may run this text as a part of its own, so a script of our name comes before the running one.
    const ours = all.find((script) => script.src.split(/[?#]/)[0].endsWith(SCRIPT)) || (isLoaded(running) && running);
    if (!ours) {
      console.warn("[mock-epay] no script element leads to payment-api.js, so the pay page cannot be found");
      return "";
    }
    return new URL("./", ours.src).href.replace(/\/redesign-payform\/$/, "/payform/");
  }

  function isLoaded(script) {
    return Boolean(script) && /^https?:/.test(script.src);
  }

  function leave(method, path, object, advise) {
    const { address } = prepare(method, path, object, advise);
    if (address) {
      window.location.href = address;
    }
  }

  function showPaymentWidget(object, callback) {
    if (document.getElementById(WIDGET)) {
      return;
    }
    const { address, language } = prepare("showPaymentWidget", "", object, check);
    if (address) {
      openWidget(`${address}&isShortForm=true`, wordLanguage(language), callback);
    }
  }

  /** Give the address to open, or none where the object cannot be written into one. */
  function prepare(method, path, object, advise) {
    const warn = (text) => console.warn(`[mock-epay] halyk.${method}: ${text}`);
    if (!page) {
      warn("the address of the sandbox is unknown, nothing is opened");
      return {};
    }
    if (typeof object !== "object" || object === null) {
      warn(`the argument is ${show(object)}, the bank takes a payment object; nothing is opened`);
      return {};
    }
    let address = "";
    let language = "";
    try {
      // Read once: what is checked is what travels, even where a getter answers differently each time.
      const fields = Object.assign({}, object);
      address = `${page}${path}?params=${compress(flatten(fields))}`;
      language = fields.language;
      advise(fields).forEach(warn);
    } catch (error) {
      // What was thrown stays untold: a shop's getter may put anything into it, a secret too.
      warn(
        address
          ? "the payment object is too strange to be checked"
          : "the payment object is cyclic, has a getter that throws or a broken text; nothing is opened"
      );
    }
    return { address, language };
  }

  function notSimulated() {
    return ["the sandbox does not simulate this operation, its page will only say so"];
  }

  function check(fields) {
    const secrets = secretsOf(fields);
    const complaints = [];
    const demand = (name, isRight, rule) => {
      if (!isRight) {
        complaints.push(`${name} is ${show(fields[name], secrets)}, ${rule}`);
      }
    };
    const { invoiceIdAlt, amount, cardSave } = fields;

    const invoiceRule = "the bank takes a string of 6 to 15 digits";
    demand("invoiceId", isText(fields.invoiceId, INVOICE), invoiceRule);
    demand("invoiceIdAlt", isBlank(invoiceIdAlt) || isText(invoiceIdAlt, INVOICE), invoiceRule);
    LINKS.forEach((name) => {
      const isOptional = name.startsWith("failure") && isBlank(fields[name]);
      demand(name, isOptional || isText(fields[name], LINK), "the bank takes an http or https address");
    });
    demand("language", isText(fields.language, LANGUAGE), "the bank takes rus, kaz or eng");
    demand("description", !isBlank(fields.description), "the bank requires it");
    const size = bytes(flatten(fields.description));
    if (size > DESCRIPTION_BYTES) {
      complaints.push(`description is ${size} bytes long, the bank takes at most ${DESCRIPTION_BYTES}`);
    }
    demand("terminal", isText(fields.terminal, UUID), "the bank takes the uuid of a terminal");
    const isFree = amount === 0 && fields.paymentType === "cardVerification";
    demand("amount", isFree || (Number.isFinite(amount) && amount > 0), "the bank takes a number above 0");
    demand("currency", isText(fields.currency, CURRENCY), "the bank takes three capital letters, such as KZT");
    demand("cardSave", cardSave === undefined || typeof cardSave === "boolean", "the bank takes a Boolean");
    demand("accountId", cardSave !== true || !isBlank(fields.accountId), "the bank requires it with cardSave");
    const fault = faultOf(fields.auth);
    if (fault) {
      complaints.push(`auth is ${fault}, the bank takes the whole token answer`);
    }
    return complaints;
  }

  function faultOf(auth) {
    if (isBlank(auth)) {
      return "missing";
    }
    if (typeof auth !== "object") {
      return `a bare ${typeof auth}`;
    }
    if (typeof auth.then === "function") {
      return "a Promise that was not awaited";
    }
    const absent = TOKEN_FIELDS.filter((name) => !(name in auth));
    return absent.length ? `an object without ${absent.join(", ")}` : "";
  }

  /** A token in a wrong field is a likely slip, and the console is no place for it. */
  function secretsOf(fields) {
    const inner = typeof fields.auth === "object" ? fields.auth : { token: fields.auth };
    const all = Object.assign({}, fields, inner);
    return Object.keys(all)
      .filter((name) => /secret|token|password/i.test(name) && isText(all[name], /./))
      .map((name) => all[name]);
  }

  function isBlank(value) {
    return value === undefined || value === null || value === "";
  }

  function isText(value, pattern) {
    return typeof value === "string" && pattern.test(value);
  }

  function show(value, secrets = []) {
    if (isBlank(value)) {
      return "missing";
    }
    if (typeof value === "object") {
      return "an object";
    }
    if (typeof value !== "string") {
      return typeof value === "function" ? "a function" : String(value);
    }
    const safe = secrets.reduce((text, secret) => text.split(secret).join("…"), value);
    // Passwords stand before the "@" of an address, tokens behind its "?".
    const open = safe.replace(/\/\/[^/?#]*@/, "//…@").replace(/[?#][^]*/, "…");
    return JSON.stringify(open.length > 60 ? `${open.slice(0, 60)}…` : open);
  }

  function bytes(text) {
    return encodeURIComponent(text).replace(/%../g, "x").length;
  }

  function openWidget(address, language, callback) {
    const words = WORDS[language];
    const origin = new URL(address).origin;
    const focused = document.activeElement;
    const phone = window.matchMedia("(max-width: 480px)");

    // A modal dialog keeps the focus, hears Escape and lies above a dialog of the shop's own.
    const overlay = element("dialog", { id: WIDGET, lang: language }, {
      position: "fixed", top: "0", left: "0", width: "100%", height: "100%", maxWidth: "none", maxHeight: "none",
      margin: "0", padding: "0", border: "0", zIndex: "2147483647", background: "rgba(0, 0, 0, 0.6)",
      display: "flex", alignItems: "center", justifyContent: "center",
    });
    overlay.setAttribute("role", "dialog");
    overlay.setAttribute("aria-modal", "true");
    overlay.setAttribute("aria-label", words.payment);
    const card = element("div", {}, {
      display: "flex", flexDirection: "column", overflow: "hidden", background: "Canvas", colorScheme: "light dark",
    });
    const close = element("button", { type: "button", textContent: "×", title: words.close }, {
      alignSelf: "flex-end", flex: "none", width: "44px", height: "44px", margin: "0", padding: "0", border: "0",
      background: "transparent", color: "CanvasText", font: "28px/44px sans-serif", cursor: "pointer", outlineOffset: "-4px",
    });
    close.setAttribute("aria-label", words.close);
    const frame = element("iframe", { src: address, title: words.payment }, {
      flex: "1", width: "100%", minHeight: "0", border: "0",
    });
    card.append(close, frame);
    overlay.append(card);

    const fit = () => {
      Object.assign(card.style, phone.matches
        ? { width: "100%", height: "100%", maxHeight: "none", borderRadius: "0" }
        : { width: "400px", height: "calc(100% - 32px)", maxHeight: "720px", borderRadius: "12px" });
    };
    const listen = (event) => {
      const isPage = event.origin === origin && event.source !== null && event.source === frame.contentWindow;
      const success = isPage ? successOf(event.data) : undefined;
      if (success !== undefined) {
        finish(success);
      }
    };
    const giveUp = () => finish(false);
    const unlock = lockScrolling();

    fit();
    phone.addEventListener("change", fit);
    window.addEventListener("message", listen);
    close.addEventListener("click", giveUp);
    overlay.addEventListener("close", giveUp);
    (document.body || document.documentElement).append(overlay);
    if (overlay.showModal) {
      overlay.showModal();
    }

    function finish(success) {
      phone.removeEventListener("change", fit);
      window.removeEventListener("message", listen);
      overlay.removeEventListener("close", giveUp);
      overlay.remove();
      unlock();
      if (focused) {
        focused.focus();
      }
      // Last, for whatever it throws is the shop's own and belongs into the shop's console.
      if (typeof callback === "function") {
        callback({ success });
      }
    }
  }

  /** Properties and styles one by one: a style attribute or element would need 'unsafe-inline' from the shop's CSP. */
  function element(name, properties, styles) {
    const node = Object.assign(document.createElement(name), properties);
    Object.assign(node.style, styles);
    return node;
  }

  function lockScrolling() {
    const locked = [document.documentElement, document.body].filter(Boolean);
    const before = locked.map((node) => node.style.overflow);
    locked.forEach((node) => {
      node.style.overflow = "hidden";
    });
    return () => locked.forEach((node, index) => {
      node.style.overflow = before[index];
    });
  }

  function successOf(message) {
    try {
      const { success } = JSON.parse(message);
      return typeof message === "string" && typeof success === "boolean" ? success : undefined;
    } catch (error) {
      return undefined;
    }
  }

  function wordLanguage(language) {
    if (isText(language, /^k/i)) {
      return "kk";
    }
    return isText(language, /^e/i) ? "en" : "ru";
  }

  /** `key=value&…`; an inner object becomes a value of the same form, so its own values are escaped twice. */
  function flatten(value) {
    if (value === undefined || value === null) {
      return "";
    }
    if (typeof value !== "object") {
      return String(value);
    }
    return Object.keys(value)
      .map((key) => `${key}=${encodeURIComponent(flatten(value[key]))}`)
      .join("&");
  }

  /** LZ-string in its alphabet for addresses: numbers of phrases, lowest bit first, in the width that they need. */
  function compress(text) {
    const numbers = new Map();
    const unsent = new Set();
    const bits = [];
    // What the reader's dictionary holds when it reads the next number.
    let known = 2;
    const put = (number, width) => {
      for (let place = 0; place < width; place += 1) {
        bits.push((number >> place) & 1);
      }
    };
    const send = (phrase) => {
      const width = widthOf(known);
      if (unsent.delete(phrase)) {
        const unit = phrase.charCodeAt(0);
        put(unit < 256 ? SHORT : LONG, width);
        put(unit, unit < 256 ? 8 : 16);
        known += 1;
      } else {
        put(numbers.get(phrase), width);
      }
      known += 1;
    };
    const remember = (phrase) => numbers.set(phrase, numbers.size + END + 1);

    let phrase = "";
    text.split("").forEach((unit) => {
      if (!numbers.has(unit)) {
        remember(unit);
        unsent.add(unit);
      }
      const longer = phrase + unit;
      if (numbers.has(longer)) {
        phrase = longer;
        return;
      }
      send(phrase);
      remember(longer);
      phrase = unit;
    });
    if (phrase) {
      send(phrase);
    }
    put(END, widthOf(known));
    return letters(bits);
  }

  function widthOf(number) {
    return 32 - Math.clz32(number);
  }

  /** Six bits to a letter, highest first; the last letter has at least one bit of filling. */
  function letters(bits) {
    let text = "";
    for (let start = 0; start <= bits.length; start += 6) {
      const six = bits.slice(start, start + 6).join("").padEnd(6, "0");
      text += ALPHABET[parseInt(six, 2)];
    }
    return text;
  }
})();
