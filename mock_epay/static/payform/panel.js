// The sandbox's tools beside the pay form: they fill it in, and remember whether they are folded.
(() => {
  "use strict";

  const form = document.querySelector("#pay");
  const drawer = document.querySelector(".drawer");
  const FOLDED = "mock-epay-tools";

  // In a frame of another site a browser may keep no memory; then the tools are unfolded each time.
  function memory(use) {
    try {
      return use(window.localStorage);
    } catch {
      return null;
    }
  }

  if (memory((kept) => kept.getItem(FOLDED)) === "folded") drawer.open = false;
  drawer.addEventListener("toggle", () => {
    memory((kept) => (drawer.open ? kept.removeItem(FOLDED) : kept.setItem(FOLDED, "folded")));
  });

  function fillIn(pan, { expiry, cvc }) {
    form.dispatchEvent(new CustomEvent("fill-card", { detail: { pan, expiry, cvc } }));
    form.querySelector("[type=submit]").focus();
  }

  const anyReason = document.querySelector("#any-reason");

  // Cards that have no date and code of their own take any, as a card for a reason does.
  for (const card of document.querySelectorAll("[name=autofill]")) {
    card.addEventListener("click", (event) => {
      event.preventDefault();
      fillIn(card.value, card.dataset.cvc ? card.dataset : anyReason.dataset);
    });
  }

  for (const tool of document.querySelectorAll("[data-script-only]")) tool.hidden = false;

  // A reason is found by its code or by any of its words.
  function reasonBox(box) {
    const list = document.querySelector("#reason-list");
    let reasons = null;
    let found = [];
    let chosen = -1;

    const text = ({ code, reason }) => `${code}: ${reason}`;

    async function load() {
      reasons ??= fetch(box.dataset.reasons).then((answer) => answer.json());
      return reasons;
    }

    function close() {
      list.hidden = true;
      box.setAttribute("aria-expanded", "false");
      box.removeAttribute("aria-activedescendant");
    }

    function mark(index) {
      list.children[chosen]?.removeAttribute("aria-selected");
      chosen = index;
      const option = list.children[index];
      if (!option?.id) return;
      option.setAttribute("aria-selected", "true");
      option.scrollIntoView({ block: "nearest" });
      box.setAttribute("aria-activedescendant", option.id);
    }

    function take(reason) {
      box.value = text(reason);
      close();
      fillIn(reason.pan, box.dataset);
    }

    function optionOf(reason) {
      const option = document.createElement("li");
      option.id = `reason-${reason.code}`;
      option.role = "option";
      option.textContent = text(reason);
      option.addEventListener("mousedown", (event) => event.preventDefault()); // or the box would lose the focus
      option.addEventListener("click", () => take(reason));
      return option;
    }

    function nothing() {
      const line = document.createElement("li");
      line.role = "option";
      line.ariaDisabled = "true";
      line.textContent = box.dataset.none;
      return line;
    }

    async function open() {
      const all = await load();
      const wanted = box.value.trim().toLowerCase();
      const byCode = all.filter(({ code }) => String(code).startsWith(wanted));
      const byWords = all.filter((reason) => !byCode.includes(reason) && text(reason).toLowerCase().includes(wanted));
      found = [...byCode, ...byWords];
      list.replaceChildren(...(found.length ? found.map(optionOf) : [nothing()]));
      list.hidden = false;
      box.setAttribute("aria-expanded", "true");
      mark(wanted && found.length ? 0 : -1);
    }

    function move(step) {
      if (list.hidden) open();
      else if (found.length) mark((chosen + step + found.length + (chosen < 0 && step < 0 ? 1 : 0)) % found.length);
    }

    const KEYS = {
      ArrowDown: () => move(1),
      ArrowUp: () => move(-1),
      Escape: close,
      Enter: () => found[chosen] && !list.hidden && take(found[chosen]),
    };

    box.addEventListener("focus", () => {
      box.select();
      load();
    });
    box.addEventListener("click", open);
    box.addEventListener("input", open);
    box.addEventListener("blur", close);
    box.addEventListener("keydown", (event) => {
      if (!(event.key in KEYS)) return;
      if (event.key !== "Escape" || !list.hidden) event.preventDefault();
      KEYS[event.key]();
    });
  }

  reasonBox(anyReason);
})();
