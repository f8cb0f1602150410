// What screens need in the browser beside NiceGUI.

// To the sign-in, and back to where the user was.
function ravenSignIn() {
  const here = location.pathname + location.search;
  location.href = "/sign-in?next=" + encodeURIComponent(here);
}

// The other tabs of the browser show nothing more either.
const ravenTabs = new BroadcastChannel("raven");
ravenTabs.onmessage = ({ data }) => data === "signed out" && ravenSignIn();

async function ravenSignOut() {
  const told = await fetch("/api/v1/session").then((answer) => answer.json());
  await fetch("/api/v1/session", { method: "DELETE", headers: { "X-CSRF-Token": told.csrf_token || "" } });
  ravenTabs.postMessage("signed out");
  location.href = "/sign-in";
}

// The user's zone, for all times that the server writes.
const ravenZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (!document.cookie.split("; ").includes("raven_zone=" + encodeURIComponent(ravenZone))) {
  document.cookie = "raven_zone=" + encodeURIComponent(ravenZone) + "; path=/; max-age=31536000; samesite=lax";
}

// Light or dark: the server reads the cookie, so that a page comes as it is wanted.
function ravenSetLight(light) {
  document.cookie = "raven_light=" + light + "; path=/; max-age=31536000; samesite=lax";
  Quasar.Dark.set(light === "auto" ? "auto" : light === "dark");
}

// Says that the connection is lost, and that it is back. NiceGUI makes it anew by itself, and tells so in its own note,
// which a screen reader does not hear.
(function watchConnection() {
  if (!window.socket) return void setTimeout(watchConnection, 200);
  const say = (lasting, name) => {
    const note = document.getElementById("connection");
    if (!note) return;
    note.className = name;
    note.textContent = name ? note.dataset[name] : "";
    if (!lasting) setTimeout(() => note.className === name && say(true, ""), 4000);
  };
  let isLeaving = false;
  addEventListener("beforeunload", () => {
    isLeaving = true;
    setTimeout(() => (isLeaving = false), 1000);
  });
  let isLost = sessionStorage.getItem("raven_lost") === "yes";
  const mend = () => {
    if (isLost) say(false, "mended");
    isLost = false;
    sessionStorage.removeItem("raven_lost");
  };
  // A server that was started anew has the page reloaded: what was lost is remembered until then.
  window.socket.on("disconnect", () => {
    if (isLeaving) return;
    isLost = true;
    sessionStorage.setItem("raven_lost", "yes");
    say(true, "lost");
  });
  window.socket.on("connect", mend);
  if (window.socket.connected) mend();
})();

// Refusals stay until they are read, but not longer than what was refused.
function ravenCloseRefusals() {
  document.querySelectorAll(".q-notification.bg-negative .q-notification__actions button").forEach((close) => close.click());
}

// Arrows go through a menu, as whoever works by keyboard expects of one.
addEventListener("keydown", (event) => {
  const items = [...(event.target.closest?.(".q-menu[role=menu]")?.querySelectorAll(".q-item.q-focusable") || [])];
  if (!items.length) return;
  const at = items.indexOf(document.activeElement);
  const next = { ArrowDown: at + 1, ArrowUp: at < 0 ? items.length - 1 : at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  items[(next + items.length) % items.length].focus();
});

async function ravenAskApi(path, method, body) {
  const told = await fetch("/api/v1/session").then((answer) => answer.json());
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": told.csrf_token || "" };
  const answer = await fetch(path, { method, headers, body: JSON.stringify(body) });
  if (answer.ok) return;
  const problem = await answer.json().catch(() => ({ detail: answer.statusText, hint: "" }));
  throw new Error([problem.detail, problem.hint].filter(Boolean).join(" "));
}

// One's own password goes to the API, as at the sign-in, and through no screen.
async function ravenChangePassword(event) {
  event.preventDefault();
  const form = event.target;
  const said = form.querySelector(".said");
  const { current, new: next, again } = Object.fromEntries(new FormData(form));
  said.className = "said";
  said.textContent = "";
  try {
    if (next !== again) throw new Error(form.dataset.differ);
    await ravenAskApi("/api/v1/session/password", "PUT", { current_password: current, new_password: next });
    form.reset();
    said.classList.add("good");
    said.textContent = form.dataset.done;
  } catch (error) {
    said.classList.add("bad");
    said.textContent = error.message;
  }
}

async function ravenCopy(text, target) {
  const button = target.closest("button");
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS a browser keeps its clipboard to itself, but lets what is marked be copied.
    const field = document.createElement("textarea");
    field.value = text;
    button.parentElement.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  const name = button.querySelector(".block") || button;
  const before = name.textContent;
  name.textContent = button.dataset.copied;
  setTimeout(() => (name.textContent = before), 2000);
}

// Calls `act` with what `find` finds, once it is there: what the server made is drawn a little later.
function ravenWhenThere(find, act, tries = 100) {
  const found = find();
  if (found) act(found);
  else if (tries) setTimeout(() => ravenWhenThere(find, act, tries - 1), 50);
}

// Keeps what is typed in an element with [data-keep="NAME"] in this tab: a page that is loaded anew, after a restart of
// the server or by its user, has it again. Fields are known by their names. ravenForget is for what was sent.
function ravenKeep(form) {
  // Not form.dataset: a form that has a field of that name gives the field.
  const key = "raven_form " + form.getAttribute("data-keep");
  const read = () => JSON.parse(sessionStorage.getItem(key) || "{}");
  const fields = () => [...form.querySelectorAll("input[name]:not([type=hidden], [type=checkbox]), textarea[name], select[name]")];
  const ticks = () => [...form.querySelectorAll("[role=checkbox][aria-label], [role=switch][aria-label], input[type=checkbox][name]")];
  const kept = read();
  for (const field of fields()) {
    if (!(field.name in kept) || field.value === kept[field.name]) continue;
    field.value = kept[field.name];
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
  const nameOf = (tick) => tick.name || tick.getAttribute("aria-label");
  const isTicked = (tick) => (tick.type === "checkbox" ? String(tick.checked) : String(tick.getAttribute("aria-checked")));
  for (const tick of ticks()) {
    if (nameOf(tick) in kept && isTicked(tick) !== kept[nameOf(tick)]) tick.click();
  }
  const keep = () => {
    const values = Object.fromEntries(fields().map((field) => [field.name, field.value]));
    for (const tick of ticks()) values[nameOf(tick)] = isTicked(tick);
    sessionStorage.setItem(key, JSON.stringify({ ...read(), ...values }));
  };
  form.addEventListener("input", keep);
  form.addEventListener("click", () => setTimeout(keep, 100));
}

function ravenForget(name) {
  sessionStorage.removeItem("raven_form " + name);
}
