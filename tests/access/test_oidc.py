"""Signing in at a real identity provider, a process of its own; and what is refused."""

import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr
from tests.access.browser import send_form

from raven_scan.access.audit_types import EntryFilter
from raven_scan.access.types import LOCAL_ADMINISTRATOR, OidcIdentity, UserView
from raven_scan.access.users import UserChanges
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform, build_services
from raven_scan.client.in_process import InProcessTransport
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import NotFound
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.settings import Settings

ADMIN = LOCAL_ADMINISTRATOR
HOME = "http://raven.test"
CALLBACK = f"{HOME}/api/v1/session/oidc/callback"
SECRET = "the client's secret"
PASSWORDS = {"mara": "correct horse", "tom": "battery staple", "admin": "red herring", "vera": "no thanks"}


class Provider:
    """Canaille, as `identity_provider.py` sets it up."""

    def __init__(self, folder: Path) -> None:
        script = Path(__file__).with_name("identity_provider.py")
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(script), CALLBACK, SECRET, str(folder)],
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().decode().strip()
        if not port:
            self.stop()
            pytest.fail(self._log.read_text())
        self.issuer = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Generator[Provider]:
    provider = Provider(tmp_path_factory.mktemp("provider"))
    yield provider
    provider.stop()


Build = Callable[..., Platform]


@pytest.fixture
def build(database: Database, settings: Settings, provider: Provider) -> Build:
    """Builds the platform with settings of the provider, and others."""

    def build(**others: Any) -> Platform:
        given = {
            "oidc_issuer": provider.issuer,
            "oidc_client_id": "raven",
            "oidc_client_secret": SecretStr(SECRET),
            "oidc_name": "Canaille",
            "oidc_scopes": "openid profile email groups",
            "oidc_default_role": "Viewer",
            **others,
        }
        return build_services(settings.model_copy(update=given), database, None)

    return build


@pytest.fixture
def open_browser() -> Iterator[Callable[[Platform], httpx.Client]]:
    """A browser that reaches the platform at HOME, and the provider over the network."""
    opened: list[httpx.Client] = []

    def open_browser(platform: Platform) -> httpx.Client:
        application = build_app(platform, token=SecretStr("a-token"), allow_server_paths=False)
        transport = InProcessTransport(application)
        opened.append(httpx.Client(mounts={HOME: transport}, timeout=60))
        return opened[-1]

    yield open_browser
    for each in opened:
        each.close()


Browse = Callable[[Platform], httpx.Client]


BEGIN = f"{HOME}/api/v1/session/oidc"


def walk(
    browser: httpx.Client, name: str, *, begin: str = BEGIN, consent: str = "accept", until: str = "nowhere"
) -> httpx.Response:
    """Goes where it is sent, and fills in the provider's forms; ends back at home, or where it is sent to `until`."""
    answer = browser.get(begin)
    for _ in range(30):
        if answer.next_request is not None:
            if str(answer.next_request.url).startswith(until):
                return answer
            answer = browser.send(answer.next_request)
        elif answer.url.path == "/login":
            answer = send_form(browser, answer, login=name)
        elif answer.url.path == "/auth/password":
            answer = send_form(browser, answer, password=PASSWORDS[name])
        elif answer.url.path == "/oauth/authorize":
            answer = send_form(browser, answer, consent)
        else:
            return answer
    raise AssertionError(answer.url)


def sign_in(browser: httpx.Client, name: str) -> dict[str, Any]:
    """Who somebody is after it went well."""
    answer = walk(browser, name)
    assert (answer.status_code, str(answer.url)) == (200, f"{HOME}/api/v1/session"), answer.text
    return answer.json()


def fetch_callback(browser: httpx.Client, name: str) -> str:
    """Where the provider sends the browser back to, which has not gone there."""
    return walk(browser, name, until=CALLBACK).headers["location"]


def get_user(platform: Platform, name: str) -> UserView:
    return platform.users.get_user(ADMIN, name)


def list_actions(platform: Platform, prefix: str) -> list[tuple[str, str]]:
    page = platform.audit.list_entries(ADMIN, PageRequest(limit=500), EntryFilter(action=prefix))
    return [(entry.actor_name, entry.action) for entry in page.items[::-1]]


def test_who_is_new_gets_an_account_and_a_session(build: Build, open_browser: Browse, provider: Provider):
    platform = build(oidc_roles={"staff": "trainer", "nobody": "Admin"})
    browser = open_browser(platform)
    assert browser.get(f"{HOME}/api/v1/session").status_code == 401
    assert browser.get(f"{HOME}/api/v1/session/ways").json() == {
        "password": True,
        "oidc": {"name": "Canaille", "path": "/api/v1/session/oidc"},
    }
    me = sign_in(browser, "mara")
    assert (me["name"], me["has_account"], me["must_change_password"]) == ("mara", True, False)
    assert "training_run:create" in me["claims"]
    user = get_user(platform, "mara")
    assert user.oidc == OidcIdentity(provider.issuer, "mara")
    assert (user.roles, user.email, user.has_password) == (("Trainer",), "mara@example.org", False)
    assert list_actions(platform, "user.") == [("Canaille", "user.created")]
    assert list_actions(platform, "session.") == [("mara", "session.signed_in")]
    # The session is one as after a password: what changes something needs its CSRF token.
    assert browser.delete(f"{HOME}/api/v1/session").status_code == 403
    gone = browser.delete(f"{HOME}/api/v1/session", headers={"X-CSRF-Token": me["csrf_token"]})
    assert gone.status_code == 204
    assert browser.get(f"{HOME}/api/v1/session").status_code == 401


def test_the_account_is_found_again_and_roles_follow_the_groups(build: Build, open_browser: Browse):
    sign_in(open_browser(build(oidc_roles={"staff": "Trainer", "others": "Reviewer"})), "mara")
    platform = build(oidc_roles={"bosses": "Data manager", "others": "Reviewer"})
    before = get_user(platform, "mara")
    platform.users.edit(ADMIN, "mara", UserChanges(name="renamed", roles=["Trainer", "Reviewer"]))
    sign_in(open_browser(platform), "mara")
    user = get_user(platform, "renamed")
    assert user.id == before.id
    # Reviewer is of a group that she is not in; Trainer is of no group now, and an administrator gave it.
    assert user.roles == ("Data manager", "Trainer")
    with pytest.raises(NotFound):
        get_user(platform, "mara")


def test_an_account_of_the_same_name_and_address_is_not_taken_over(build: Build, open_browser: Browse):
    platform = build()
    local = platform.users.create(ADMIN, name="Admin", roles=["Admin"], email="admin@example.org").user
    me = sign_in(open_browser(platform), "admin")
    assert me["id"] != str(local.id)
    assert me["name"] == "admin@example.org"  # what they are called there, and is free here
    assert "user:edit" not in me["claims"]
    assert get_user(platform, "Admin") == local


def test_who_has_no_role_waits_for_an_administrator(build: Build, open_browser: Browse):
    platform = build(oidc_roles={"staff": "Trainer"}, oidc_default_role=None)
    refused = walk(open_browser(platform), "tom")
    assert (refused.status_code, refused.json()["code"]) == (401, "access.account_disabled")
    assert get_user(platform, "tom").disabled_at is not None
    again = walk(open_browser(platform), "tom")
    assert again.status_code == 401
    platform.users.enable(ADMIN, "tom")
    assert sign_in(open_browser(platform), "tom")["name"] == "tom"
    platform.users.disable(ADMIN, "tom")
    browser = open_browser(platform)
    assert walk(browser, "tom").status_code == 401
    assert browser.get(f"{HOME}/api/v1/session").status_code == 401
    assert (
        list_actions(platform, "session.sign_in_failed") == [("not signed in", "session.sign_in_failed")] * 3
    )


def test_the_last_administrator_keeps_the_role(build: Build, open_browser: Browse):
    first = build(oidc_roles={"bosses": "Admin"})
    sign_in(open_browser(first), "mara")
    second = build(oidc_roles={"no-such-group": "Admin", "staff": "no such role"})
    assert sign_in(open_browser(second), "mara")["name"] == "mara"
    assert get_user(second, "mara").roles == ("Admin",)


def test_the_browser_is_sent_to_paths_of_this_server_alone(build: Build, open_browser: Browse):
    platform = build()
    page = walk(open_browser(platform), "mara", begin=f"{BEGIN}?next=/api/v1/roles?limit=1")
    assert (page.status_code, page.url.path, page.url.query) == (403, "/api/v1/roles", b"limit=1")
    browser = open_browser(platform)
    for bad in (
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\/evil",
        "x",
        "",
    ):
        answer = browser.get(BEGIN, params={"next": bad})
        is_escaped = "%0d" in bad
        assert answer.status_code == (302 if is_escaped else 422), bad
    for bad in ("/\r\nX: y", "/a b", "/\t/evil.example", "/" + "a" * 600):
        assert browser.get(BEGIN, params={"next": bad}).status_code == 422, bad


def test_what_is_sent_to_the_provider(build: Build, open_browser: Browse, provider: Provider):
    browser = open_browser(build())
    answer = browser.get(BEGIN)
    sent = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert answer.headers["location"].startswith(f"{provider.issuer}/oauth/authorize?")
    assert (sent["response_type"], sent["client_id"], sent["redirect_uri"]) == ("code", "raven", CALLBACK)
    assert sent["code_challenge_method"] == "S256"
    assert min(len(sent[name]) for name in ("state", "nonce", "code_challenge")) >= 30
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=lax", "path=/api/v1/session/oidc"))
    assert "max-age=600" in cookie
    assert answer.headers["cache-control"] == "no-store"


def test_a_wrong_state_is_refused(build: Build, open_browser: Browse):
    platform = build()
    victim, attacker = open_browser(platform), open_browser(platform)
    callback = fetch_callback(attacker, "tom")
    stranger = open_browser(platform)
    # Whoever is lured to the attacker's callback is not signed in to the attacker's account.
    fetch_callback(victim, "mara")
    for browser in (stranger, victim):
        answer = browser.get(callback)
        assert (answer.status_code, answer.json()["code"]) == (401, "access.oidc_state_wrong")
    changed = callback.replace("state=", "state=x")
    assert attacker.get(changed).json()["code"] == "access.oidc_state_wrong"
    assert attacker.get(CALLBACK).json()["code"] == "access.oidc_state_wrong"
    attacker.cookies.set("raven_oidc", "e30.forged", domain="raven.test", path="/api/v1/session/oidc")
    assert attacker.get(f"{HOME}/api/v1/session").status_code == 401


def test_a_code_works_once_and_with_its_own_verifier(build: Build, open_browser: Browse):
    platform = build()
    browser = open_browser(platform)
    callback = fetch_callback(browser, "mara")
    kept = dict(browser.cookies)
    done = browser.get(callback)
    assert done.status_code == 303, done.text
    assert "raven_oidc" not in browser.cookies
    # Also for who has kept the cookie, the provider takes a code once.
    replayer = open_browser(platform)
    replayer.cookies.set("raven_oidc", kept["raven_oidc"])
    answer = replayer.get(callback)
    assert (answer.status_code, answer.json()["code"]) == (401, "access.oidc_refused")
    assert answer.json()["parameters"]["error"] == "invalid_grant"
    # A code of somebody else's attempt, put into one's own: its verifier is another (RFC 7636).
    thief, owner = open_browser(platform), open_browser(platform)
    stolen = parse_qs(urlsplit(fetch_callback(owner, "tom")).query)["code"][0]
    own = fetch_callback(thief, "mara")
    mixed = str(httpx.URL(own).copy_set_param("code", stolen))
    assert thief.get(mixed).json()["code"] == "access.oidc_refused"


def test_a_wrong_nonce_is_refused(build: Build, open_browser: Browse):
    browser = open_browser(build())
    to_provider = httpx.URL(browser.get(BEGIN).headers["location"])
    begin = str(to_provider.copy_set_param("nonce", "of-another-attempt"))
    answer = walk(browser, "mara", begin=begin)
    assert (answer.status_code, answer.json()["code"]) == (401, "access.oidc_token_wrong")
    assert browser.get(f"{HOME}/api/v1/session").status_code == 401


def test_who_declines_is_not_signed_in(build: Build, open_browser: Browse):
    browser = open_browser(build())
    answer = walk(browser, "vera", consent="deny")
    assert (answer.status_code, answer.json()["code"]) == (401, "access.oidc_refused")
    assert answer.json()["parameters"]["error"] == "access_denied"


def test_an_answer_of_another_provider_is_refused(build: Build, open_browser: Browse):
    browser = open_browser(build())
    callback = httpx.URL(fetch_callback(browser, "mara"))
    assert callback.params["iss"]
    answer = browser.get(str(callback.copy_set_param("iss", "https://evil.example")))
    assert answer.json()["code"] == "access.oidc_token_wrong"


def test_a_wrong_secret_is_told_and_stays_secret(build: Build, open_browser: Browse):
    answer = walk(open_browser(build(oidc_client_secret=SecretStr("wr0ng"))), "mara")
    assert (answer.status_code, answer.json()["code"]) == (401, "access.oidc_refused")
    assert answer.json()["parameters"]["error"] == "invalid_client"
    assert "wr0ng" not in answer.text


def test_a_provider_that_is_down_keeps_nobody_from_a_password(build: Build, open_browser: Browse):
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}"
    up, down = build(), build(oidc_issuer=nowhere)
    browser = open_browser(up)
    callback = fetch_callback(browser, "mara")
    late = open_browser(down)
    late.cookies = browser.cookies
    for answer in (
        late.get(str(httpx.URL(callback).copy_remove_param("iss"))),
        open_browser(down).get(BEGIN),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "access.oidc_unavailable")
        assert answer.json()["detail"] == "Canaille cannot be asked who you are: it does not answer."
    made = down.users.create(ADMIN, name="local")
    assert made.one_time_password is not None
    given = {"name": "local", "password": made.one_time_password.get_secret_value()}
    assert late.post(f"{HOME}/api/v1/session", json=given).status_code == 201


def test_without_a_provider_there_is_no_such_sign_in(
    database: Database, settings: Settings, open_browser: Browse
):
    browser = open_browser(build_services(settings, database, None))
    assert browser.get(f"{HOME}/api/v1/session/ways").json() == {"password": True, "oidc": None}
    for path in ("oidc", "oidc/callback"):
        answer = browser.get(f"{HOME}/api/v1/session/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "access.oidc_not_configured")
