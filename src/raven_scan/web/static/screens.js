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
