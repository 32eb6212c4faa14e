// What the pages do beyond plain HTML. Every word comes from the page; without this script all of them still work.
(() => {
  "use strict";

  const find = (selector) => document.querySelector(selector);

  const ANY = { name: "any", groups: [4, 4, 4, 4, 3], least: 12, code: 0 };
  const BRANDS = [
    { name: "amex", bin: /^3[47]/, groups: [4, 6, 5], least: 15, code: 4 },
    { name: "visa", bin: /^4/, groups: [4, 4, 4, 4], least: 16, code: 3 },
    { name: "mastercard", bin: /^(5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, groups: [4, 4, 4, 4], least: 16, code: 3 },
  ];

  const digitsOf = (text) => text.replace(/\D/g, "");
  const brandOf = (digits) => BRANDS.find((brand) => brand.bin.test(digits)) ?? ANY;

  function passesLuhn(digits) {
    const sum = [...digits].reverse().reduce((total, digit, index) => {
      const value = Number(digit) * (index % 2 ? 2 : 1);
      return total + (value > 9 ? value - 9 : value);
    }, 0);
    return sum % 10 === 0;
  }

  // Each rule gives the key of a problem, or nothing. A date in the past is no problem: test cards have such dates.
  const RULES = {
    pan(digits, brand) {
      if (!digits) return "pan-missing";
      if (digits.length < brand.least) return "pan-short";
      return passesLuhn(digits) ? "" : "pan-check-digit";
    },
    expiry(text) {
      if (!text) return "expiry-missing";
      const month = /^(\d\d)\/\d\d$/.exec(text)?.[1];
      if (!month) return "expiry-format";
      return month >= "01" && month <= "12" ? "" : "expiry-month";
    },
    cvc(text, brand) {
      if (!text) return "cvc-missing";
      if (!/^\d{3,4}$/.test(text)) return "cvc-format";
      if (brand.code && text.length !== brand.code) return brand.code === 4 ? "cvc-four" : "cvc-three";
      return "";
    },
  };

  function group(digits, groups) {
    const parts = [];
    let rest = digits;
    for (const size of groups) {
      if (!rest) break;
      parts.push(rest.slice(0, size));
      rest = rest.slice(size);
    }
    return parts.join(" ");
  }

  // `01/25`, `0125`, `1/25`, `01 / 2025`, `012025` and `2025-01` all mean the same; what is half typed stays half typed.
  function asExpiry(raw, deleting) {
    const text = raw.trim();
    if (deleting) return text;
    const turned = /^20(\d\d)\D+(\d{1,2})$/.exec(text);
    if (turned) return `${turned[2].padStart(2, "0")}/${turned[1]}`;
    const [head, ...rest] = text.split(/\D+/);
    let month = head.slice(0, 2);
    const year = head.slice(2) + rest.join("");
    if (month.length === 1 && (month > "1" || (rest.length && month !== "0"))) month = `0${month}`;
    if (month.length < 2) return year ? text.replace(/[^\d/]/g, "") : month;
    return `${month}/${/^20\d\d/.test(year) ? year.slice(2, 4) : year.slice(0, year.startsWith("20") ? 4 : 2)}`;
  }

  function cardForm(form) {
    const pan = find("#pan");
    const expiry = find("#expiry");
    const cvc = find("#cvc");
    const pay = find("[type=submit]");
    const mark = find(".inset use");
    let before = "";

    // Of a saved card only the code is asked.
    const saved = () => form.querySelector("[name=card_id]:checked:not([value=''])");
    const brand = () => {
      const card = saved();
      return card ? BRANDS.find(({ name }) => name === card.dataset.brand) ?? ANY : brandOf(digitsOf(pan.value));
    };
    const check = {
      pan: () => (saved() ? "" : RULES.pan(digitsOf(pan.value), brand())),
      expiry: () => (saved() ? "" : RULES.expiry(expiry.value)),
      cvc: () => RULES.cvc(cvc.value, brand()),
    };

    function show(name, key) {
      const line = find(`#${name}-problem`);
      line.textContent = key ? form.getAttribute(`data-${key}`) : "";
      line.dataset.problem = key.replaceAll("-", "_");
      if (key) find(`#${name}`).setAttribute("aria-invalid", "true");
      else find(`#${name}`).removeAttribute("aria-invalid");
    }

    // Formats the number and keeps the caret behind the same digit, also when a blank is deleted.
    function formatPan(event) {
      let caret = digitsOf(pan.value.slice(0, pan.selectionStart)).length;
      let digits = digitsOf(pan.value);
      if (digits === before && pan.value.length < group(before, brand().groups).length) {
        if (event.inputType === "deleteContentBackward" && caret) caret -= 1;
        if (/^deleteContent(Back|For)ward$/.test(event.inputType)) {
          digits = digits.slice(0, caret) + digits.slice(caret + 1);
        }
      }
      const { name, groups } = brandOf(digits);
      digits = digits.slice(0, groups.reduce((total, size) => total + size));
      const value = group(digits, groups);
      if (value !== pan.value) {
        const start = group(digits.slice(0, caret), groups).length;
        pan.value = value;
        if (document.activeElement === pan) pan.setSelectionRange(start, start);
      }
      before = digits;
      mark.setAttribute("href", `#brand-${name}`);
      cvc.placeholder = brand().code === 4 ? "0000" : "000";
    }

    function formatExpiry(event) {
      const atEnd = expiry.selectionStart === expiry.value.length;
      const caret = expiry.selectionStart;
      const value = asExpiry(expiry.value, /^delete/.test(event.inputType ?? ""));
      if (value === expiry.value) return;
      expiry.value = value;
      if (document.activeElement === expiry && !atEnd) expiry.setSelectionRange(caret, caret);
    }

    function formatCvc() {
      const value = digitsOf(cvc.value).slice(0, brand().code || 4);
      if (value !== cvc.value) cvc.value = value;
    }

    // What a saved card hides is not sent either.
    function chooseCard() {
      for (const field of form.querySelectorAll(".new-card input")) field.disabled = saved() !== null;
      formatPan({});
      formatCvc();
    }

    function unmark() {
      for (const name of Object.keys(check)) show(name, "");
    }

    function fillIn(number, date, code) {
      const another = form.querySelector("[name=card_id][value='']");
      if (another) another.checked = true;
      pan.value = number;
      expiry.value = date;
      chooseCard();
      cvc.value = code;
      unmark();
    }

    const format = { pan: formatPan, expiry: formatExpiry, cvc: formatCvc };

    form.addEventListener("input", ({ target, inputType }) => {
      format[target.name]?.({ inputType });
      if (target.hasAttribute("aria-invalid") && !check[target.name]?.()) show(target.name, "");
      if (target === pan && cvc.hasAttribute("aria-invalid") && !check.cvc()) show("cvc", "");
    });

    form.addEventListener("change", ({ target }) => {
      if (target.name !== "card_id") return;
      chooseCard();
      unmark();
    });

    form.addEventListener("focusout", ({ target }) => {
      if (target.value && check[target.name]) show(target.name, check[target.name]());
    });

    form.addEventListener("submit", (event) => {
      if ("sent" in form.dataset) {
        event.preventDefault();
        return;
      }
      for (const name of Object.keys(check)) show(name, check[name]());
      const wrong = Object.keys(check).find((name) => check[name]());
      if (wrong) {
        event.preventDefault();
        find(`#${wrong}`).focus();
        return;
      }
      form.dataset.sent = "";
      pay.setAttribute("aria-disabled", "true");
      const status = find("[data-busy]");
      status.textContent = status.dataset.busy;
    });

    form.addEventListener("fill-card", ({ detail }) => fillIn(detail.pan, detail.expiry, detail.cvc));

    chooseCard();
    find("[aria-invalid]")?.focus();
  }

  // Ticks until the server's time is over, then asks the server, which closes the page.
  function timeLeft(clock) {
    const end = Date.now() + Number(clock.dataset.left) * 1000;
    const tick = () => {
      const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
      clock.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      clock.classList.toggle("soon", left <= 60);
      if (left) return;
      clearInterval(timer);
      if (!find("[data-sent]")) setTimeout(reopen, 1000);
    };
    const timer = setInterval(tick, 500);
  }

  // A page that answered a POST cannot simply be reloaded, so it may say where it can be had again.
  function reopen() {
    const again = find("[data-over]")?.getAttribute("data-over");
    if (again) location.replace(again);
    else location.reload();
  }

  // Goes to the shop's link exactly as the shop wrote it.
  function returnToShop(link) {
    const line = find("[data-counting]");
    const end = Date.now() + Number(link.dataset.returnIn) * 1000;
    let timer = 0;
    const go = () => {
      clearInterval(timer);
      line.textContent = line.dataset.leaving;
      location.replace(link.getAttribute("href"));
    };
    const tick = () => {
      const left = Math.ceil((end - Date.now()) / 1000);
      if (left <= 0) go();
      else line.textContent = line.dataset.counting.replace("{n}", left);
    };
    timer = setInterval(tick, 250);
    tick();
    link.addEventListener("click", () => clearInterval(timer));
  }

  let told = false;

  function tellShop(success) {
    if (told || window.parent === window) return;
    told = true;
    window.parent.postMessage(JSON.stringify({ success }), "*");
  }

  for (const { rule, field, value, why, tag } of JSON.parse(find("#hints")?.textContent ?? "[]")) {
    console.warn(`[mock-epay] hint ${rule}: ${field} "${value}": ${why} (${tag})`);
  }

  const form = find("form");
  if (form) cardForm(form);

  const clock = find("[data-left]");
  if (clock && Number(clock.dataset.left) > 0) timeLeft(clock);

  const link = find("[data-return-in]");
  if (link) returnToShop(link);

  if (find("[data-tell=success]")) tellShop(true);
  find("button[data-tell=failure]")?.addEventListener("click", () => tellShop(false));

  // The shop's dialog does not hear keys that are pressed in the frame.
  if (find("body.short")) {
    window.addEventListener("keydown", ({ key }) => {
      if (key === "Escape") tellShop(false);
    });
  }

  // A page from the browser's memory shows a state that is over.
  window.addEventListener("pageshow", ({ persisted }) => {
    if (persisted && (form || clock)) reopen();
  });
})();
