// The cabinet's door: whoever is signed in goes on, the others say who they are.

import { address, ask, common } from "./api.js";

const form = document.getElementById("sign-in");
const problem = document.getElementById("problem");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.hidden = true;
  const { email, password } = Object.fromEntries(new FormData(form));
  try {
    const answer = await ask("POST", "/_control/session", { email, password });
    enter((await answer.json()).client_id);
  } catch (refusal) {
    problem.textContent = refusal.message;
    problem.hidden = false;
    form.elements.password.focus();
  }
});

// Until somebody listens, a password would go nowhere, or into the address.
form.elements.enter.disabled = false;

const session = await common("/session");
if (session.client_id) enter(session.client_id);
else document.body.dataset.state = "open";

// The way back is a page of this merchant's cabinet, or none.
function enter(clientId) {
  const home = `/cabinet/${encodeURIComponent(clientId)}`;
  const next = new URLSearchParams(location.search).get("next") ?? "";
  const wish = new URL(/^\/[^/\\]/.test(next) ? next : "/", location.origin);
  const own = wish.origin === location.origin && (wish.pathname === home || wish.pathname.startsWith(`${home}/`));
  location.replace(own ? wish.pathname + wish.search : address(home));
}
