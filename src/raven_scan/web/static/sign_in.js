// Signs in over the API: the session's cookie is the server's alone to read.
const form = document.querySelector("form");
const said = document.querySelector("#said");
// Where to go then: a path of this server, and nothing that a browser takes for another, which it does with `/\t/`, too.
function findTarget() {
  try {
    const next = new URL(new URLSearchParams(location.search).get("next") || "/", location.origin);
    if (next.origin === location.origin && !next.pathname.startsWith("//")) return next.pathname + next.search + next.hash;
  } catch {
    // It is no address.
  }
  return "/";
}
const target = findTarget();
const elsewhere = document.querySelector("a.other");
if (elsewhere) elsewhere.search = "?next=" + encodeURIComponent(target);

// The zone of all times that the server writes, from the first page on.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
document.cookie = "raven_zone=" + encodeURIComponent(zone) + "; path=/; max-age=31536000; samesite=lax";

async function send(path, method, body, csrf) {
  const headers = { "Content-Type": "application/json", ...(csrf ? { "X-CSRF-Token": csrf } : {}) };
  const answer = await fetch(path, { method, headers, body: JSON.stringify(body) });
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const problem = await answer.json().catch(() => ({ detail: answer.statusText, hint: "" }));
  // Hints name commands, for who has a terminal.
  const hint = (problem.hint || "").replace(/:? `raven [^`]*`/g, "");
  throw new Error([problem.detail, hint].filter(Boolean).join(" "));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  said.textContent = "";
  const values = Object.fromEntries(new FormData(form));
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    if (form.dataset.step === "password") {
      if (values.new_password !== values.again) throw new Error(form.dataset.differ);
      await send("/api/v1/session/password", "PUT", { current_password: values.password, new_password: values.new_password }, form.dataset.csrf);
      location.href = target;
      return;
    }
    const who = await send("/api/v1/session", "POST", { name: values.name, password: values.password });
    if (!who.must_change_password) {
      location.href = target;
      return;
    }
    form.dataset.step = "password";
    form.dataset.csrf = who.csrf_token;
    document.querySelector("#change").hidden = false;
    document.querySelectorAll("#change input").forEach((input) => (input.required = true));
    document.querySelectorAll("#known input").forEach((input) => (input.readOnly = true));
    button.textContent = form.dataset.change;
    document.querySelector("#new_password").focus();
  } catch (error) {
    said.textContent = error.message;
  } finally {
    button.disabled = false;
  }
});
