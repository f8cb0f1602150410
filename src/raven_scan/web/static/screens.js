// What screens need in the browser beside NiceGUI.

// To the sign-in, and back to where the user was.
function ravenSignIn() {
  const here = location.pathname + location.search;
  location.href = "/sign-in?next=" + encodeURIComponent(here);
}

async function ravenSignOut() {
  const told = await fetch("/api/v1/session").then((answer) => answer.json());
  await fetch("/api/v1/session", { method: "DELETE", headers: { "X-CSRF-Token": told.csrf_token || "" } });
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
