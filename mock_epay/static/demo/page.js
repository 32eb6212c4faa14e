// What both pages of the shop share: copying, and asking the shop's own server.
"use strict";

const shop = {
  /** Ask the shop's server for JSON; a refusal becomes an Error with the server's own words. */
  async ask(path, order) {
    const asked = order
      ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(order) }
      : { headers: { Accept: "application/json" } };
    const response = await fetch(path, asked);
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.message || `The shop answers HTTP ${response.status}.`);
    return answer;
  },

  /** Show a problem in words, or none. */
  complain(words) {
    const problem = document.getElementById("problem");
    problem.textContent = words;
    problem.hidden = !words;
  },

  /** Copy text, also where the page is not on https or localhost and the browser hides the clipboard. */
  async copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "offstage";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("the browser does not let this page copy");
  },
};

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  const from = button.dataset.copyFrom;
  try {
    await shop.copy(from ? document.querySelector(from).textContent : button.dataset.copy);
    button.dataset.copied = "copied";
  } catch {
    button.dataset.copied = "select and copy by hand";
  }
  button.focus();
  setTimeout(() => delete button.dataset.copied, 1600);
});
