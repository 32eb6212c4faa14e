// What the issuer's pages do beyond plain HTML. Every word comes from the page; without this script both still work.
(() => {
  "use strict";

  const find = (selector) => document.querySelector(selector);

  // Asks for a whole code before one of the tries is spent on it.
  function codeForm(form, code) {
    const problem = find("#code-problem");

    function show(key) {
      problem.textContent = key ? form.getAttribute(`data-${key}`) : "";
      if (key) code.setAttribute("aria-invalid", "true");
      else code.removeAttribute("aria-invalid");
    }

    form.noValidate = true;

    code.addEventListener("input", () => {
      const digits = code.value.replace(/\D/g, "");
      if (digits !== code.value) code.value = digits;
      show("");
    });

    form.addEventListener("submit", (event) => {
      const whole = code.value.length === code.maxLength;
      if ("sent" in form.dataset || (event.submitter?.value !== "cancel" && !whole)) event.preventDefault();
      else form.dataset.sent = "";
      if ("sent" in form.dataset) return;
      show(code.value ? "code-short" : "code-missing");
      code.focus();
    });

    const fill = find("[data-fill]");
    if (!fill) return;
    fill.hidden = false;
    fill.addEventListener("click", () => {
      code.value = fill.dataset.fill;
      show("");
      find("[value=confirm]").focus();
    });
  }

  // Ticks until the time to answer is over, then asks the server, which leads on.
  function timeLeft(clock) {
    const end = Date.now() + Number(clock.dataset.left) * 1000;
    const timer = setInterval(() => {
      const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
      clock.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      clock.classList.toggle("soon", left <= 60);
      if (left) return;
      clearInterval(timer);
      if (!find("[data-sent]")) setTimeout(() => location.reload(), 1000);
    }, 500);
  }

  // Inside the shop's own page the way back is a message.
  function tellShop() {
    if (window.parent !== window) window.parent.postMessage(JSON.stringify({ success: false }), "*");
  }

  const code = find("#code");
  if (code) codeForm(code.form, code);

  const clock = find("[data-left]");
  if (clock && Number(clock.dataset.left) > 0) timeLeft(clock);

  find("[data-tell]")?.addEventListener("click", tellShop);
  if (find("body.short")) {
    window.addEventListener("keydown", ({ key }) => {
      if (key === "Escape") tellShop();
    });
  }

  find("form[data-send]")?.submit();

  // A page from the browser's memory asks for what may have been answered already.
  window.addEventListener("pageshow", ({ persisted }) => {
    if (persisted && clock) location.reload();
  });
})();
