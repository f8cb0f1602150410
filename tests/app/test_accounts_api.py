"""Accounts over REST: cookies, CSRF, origins, ETags; what is refused before a body is read."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr, ValidationError

from raven_scan.access.sessions import Visitor
from raven_scan.access.types import LOCAL_ADMINISTRATOR, Claim
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.kernel.settings import Settings

TOKEN = "a-token"
LOCAL = {"Authorization": f"Bearer {TOKEN}"}
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def light_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 with little work: these tests sign in often."""
    light = partial(Argon2Hasher, time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("pwdlib.hashers.argon2.Argon2Hasher", light)


@pytest.fixture
def application(platform: Platform) -> FastAPI:
    return build_app(platform, token=SecretStr(TOKEN), allow_server_paths=False, host_names=["testserver"])


@pytest.fixture
def open_browser(application: FastAPI) -> Iterator[Callable[..., TestClient]]:
    opened: list[TestClient] = []

    def open_one(base_url: str = "http://testserver") -> TestClient:
        opened.append(TestClient(application, base_url=base_url))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def browser(open_browser: Callable[..., TestClient]) -> TestClient:
    return open_browser()


def add_user(platform: Platform, name: str, *roles: str) -> None:
    """One who has a password of their own."""
    created = platform.users.create(LOCAL_ADMINISTRATOR, name=name, roles=roles)
    assert created.one_time_password is not None
    opened = platform.sessions.sign_in(name, created.one_time_password, Visitor())
    platform.sessions.change_password(
        opened.actor, current=created.one_time_password, new=SecretStr(PASSWORD)
    )


def sign_in(client: TestClient, name: str, password: str = PASSWORD, **headers: str) -> Any:
    return client.post("/api/v1/session", json={"name": name, "password": password}, headers=headers)


def csrf(answer: Any) -> dict[str, str]:
    return {"X-CSRF-Token": answer.json()["csrf_token"]}


def told(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_session_from_sign_in_to_sign_out(browser: TestClient, platform: Platform) -> None:
    add_user(platform, "alice", "Trainer")
    answer = sign_in(browser, "Alice")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    (cookie,) = answer.headers.get_list("set-cookie")
    name, *attributes = cookie.split("; ")
    assert name.startswith("raven_session=")
    assert {each.lower() for each in attributes} == {"httponly", "path=/", "samesite=lax"}
    who = browser.get("/api/v1/session").json()
    assert (who["name"], who["via"], who["has_account"]) == ("alice", "session", True)
    assert "training_run:create" in who["claims"]
    assert who["csrf_token"] == answer.json()["csrf_token"]
    assert browser.get("/api/v1/training-runs").status_code == 200
    assert told(browser.get("/api/v1/users")) == (403, "access.claim_missing")
    sessions = browser.get("/api/v1/sessions").json()["items"]
    assert [(each["is_current"], each["user_agent"]) for each in sessions] == [
        (True, "testclient"),
        (False, ""),
    ]
    assert browser.delete("/api/v1/sessions", headers=csrf(answer)).json() == {"ended": 1}
    out = browser.delete("/api/v1/session", headers=csrf(answer))
    assert out.status_code == 204
    assert browser.cookies.get("raven_session") is None
    assert told(browser.get("/api/v1/session")) == (401, "access.token_missing")
    browser.cookies.set("raven_session", cookie.partition("=")[2].partition(";")[0])
    assert told(browser.get("/api/v1/session")) == (401, "access.session_ended")


def test_over_tls_the_cookie_is_the_hosts_alone(
    open_browser: Callable[..., TestClient], platform: Platform
) -> None:
    add_user(platform, "alice")
    browser = open_browser("https://testserver")
    (cookie,) = sign_in(browser, "alice").headers.get_list("set-cookie")
    assert cookie.startswith("__Host-raven_session=")
    assert "secure" in cookie.lower()
    assert browser.get("/api/v1/session").json()["name"] == "alice"
    # A cookie that came without TLS is none here.
    plain = open_browser("https://testserver")
    plain.cookies.set("raven_session", cookie.partition("=")[2].partition(";")[0])
    assert told(plain.get("/api/v1/session")) == (401, "access.token_missing")


def test_a_change_by_cookie_needs_the_csrf_token_and_a_page_of_ours(
    open_browser: Callable[..., TestClient], platform: Platform
) -> None:
    add_user(platform, "alice", "Admin")
    browser = open_browser()
    right, anothers = csrf(sign_in(browser, "alice")), csrf(sign_in(open_browser(), "alice"))
    refused: list[tuple[dict[str, str], str]] = [
        ({}, "access.csrf_token_wrong"),
        ({"X-CSRF-Token": ""}, "access.csrf_token_wrong"),
        ({"X-CSRF-Token": "wrong"}, "access.csrf_token_wrong"),
        (anothers, "access.csrf_token_wrong"),
        ({**right, "Origin": "http://evil.example"}, "access.foreign_origin"),
        ({**right, "Origin": "http://testserver:81"}, "access.foreign_origin"),
        ({**right, "Origin": "null"}, "access.foreign_origin"),
        ({**right, "Origin": "http://[bad"}, "access.foreign_origin"),
        ({**right, "Sec-Fetch-Site": "cross-site"}, "access.foreign_origin"),
        ({**right, "Sec-Fetch-Site": "same-site"}, "access.foreign_origin"),
    ]
    for headers, code in refused:
        assert told(browser.post("/api/v1/users", json={"name": "bob"}, headers=headers)) == (403, code), (
            headers
        )
        assert told(browser.delete("/api/v1/users/alice", headers=headers)) == (403, code), headers
    assert told(browser.get("/api/v1/users/bob")) == (404, "user.not_found")
    for number, headers in enumerate(
        (
            {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"},
            {"Origin": "https://TestServer"},
            {},
        )
    ):
        answer = browser.post("/api/v1/users", json={"name": f"bob{number}"}, headers=right | headers)
        assert answer.status_code == 201
    # Reading needs neither.
    assert browser.get("/api/v1/users", headers={"Origin": "http://evil.example"}).status_code == 200


def test_signing_in_from_a_foreign_page_is_refused(browser: TestClient, platform: Platform) -> None:
    add_user(platform, "alice")
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert told(sign_in(browser, "alice", **headers)) == (403, "access.foreign_origin")
    assert sign_in(browser, "alice", Origin="http://testserver").status_code == 201


def test_the_public_address_is_ours_too(platform: Platform) -> None:
    add_user(platform, "alice")
    settings = platform.settings.model_copy(update={"public_url": "https://raven.example.org"})
    object.__setattr__(platform, "settings", settings)
    browser = TestClient(build_app(platform, token=SecretStr(TOKEN), allow_server_paths=False))
    assert sign_in(browser, "alice", Origin="https://raven.example.org").status_code == 201
    assert sign_in(browser, "alice", Origin="https://raven.example.com").status_code == 403
    browser.close()


def test_nobody_who_is_not_signed_in_has_much_read(browser: TestClient) -> None:
    large = {"name": "a", "password": "x" * 20_000}
    assert told(browser.post("/api/v1/session", json=large)) == (422, "request.too_large")
    chunked = browser.post("/api/v1/session", content=iter([b"{}"]))
    assert told(chunked) == (422, "request.too_large")
    answer = browser.post("/api/v1/session", json={"name": "a", "password": ["my secret"]})
    assert told(answer) == (422, "request.invalid")
    assert "my secret" not in answer.text


def test_waits_are_told_as_http_has_it(browser: TestClient, platform: Platform) -> None:
    add_user(platform, "alice")
    answers = [sign_in(browser, "alice", "a wrong one") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert told(answers[-1]) == (429, "access.sign_in_throttled")
    assert answers[-1].headers["retry-after"] == "1"


def test_a_one_time_password_is_changed_first(browser: TestClient, platform: Platform) -> None:
    created = browser.post("/api/v1/users", json={"name": "alice", "roles": ["Admin"]}, headers=LOCAL)
    assert created.headers["cache-control"] == "no-store"
    password = created.json()["one_time_password"]
    signed_in = sign_in(browser, "alice", password)
    assert signed_in.json()["must_change_password"] is True
    assert signed_in.json()["claims"] == []
    for path in ("/api/v1/users", "/api/v1/training-runs", "/api/v1/training-runs/none", "/api/v1/nothing"):
        assert told(browser.get(path)) == (403, "access.password_change_needed"), path
    assert browser.get("/api/v1/session").status_code == 200
    changed = browser.put(
        "/api/v1/session/password",
        json={"current_password": password, "new_password": PASSWORD},
        headers=csrf(signed_in),
    )
    assert changed.status_code == 204
    assert browser.get("/api/v1/users").status_code == 200
    assert platform.users.get_user(LOCAL_ADMINISTRATOR, "alice").must_change_password is False


def test_a_bearer_token_goes_before_a_cookie(browser: TestClient, platform: Platform) -> None:
    add_user(platform, "alice")
    sign_in(browser, "alice")
    platform.users.create(LOCAL_ADMINISTRATOR, name="robot", has_password=False)
    minted = browser.post("/api/v1/tokens", json={"name": "t", "user": "robot"}, headers=LOCAL)
    assert (minted.status_code, minted.headers["cache-control"]) == (201, "no-store")
    headers = {"Authorization": f"Bearer {minted.json()['token']}"}
    assert browser.get("/api/v1/session", headers=headers).json()["name"] == "robot"
    assert browser.get("/api/v1/session", headers=LOCAL).json()["name"] == "local administrator"
    assert told(browser.get("/api/v1/session", headers={"Authorization": "Bearer raven_x"})) == (
        401,
        "access.token_wrong",
    )
    # Without a cookie's dangers, no CSRF token is needed.
    assert browser.post("/api/v1/tokens", json={"name": "u"}, headers=headers).status_code == 201
    assert browser.delete("/api/v1/session", headers=headers).status_code == 204
    assert told(browser.get("/api/v1/session", headers=headers)) == (401, "access.token_revoked")
    assert told(browser.delete("/api/v1/session", headers=LOCAL)) == (403, "access.no_account")


def test_the_trail_says_from_where(browser: TestClient, platform: Platform) -> None:
    add_user(platform, "alice", "Admin")
    headers = csrf(sign_in(browser, "alice"))
    browser.post("/api/v1/users", json={"name": "bob"}, headers=headers)
    browser.post("/api/v1/users", json={"name": "carol"}, headers=LOCAL)
    entries = browser.get("/api/v1/audit", params={"action": "user.created"}).json()["items"]
    assert [(e["actor"]["name"], e["actor"]["via"], e["actor"]["address"]) for e in entries[:2]] == [
        ("local administrator", "data folder", "testclient"),
        ("alice", "session", "testclient"),
    ]


def test_users_and_roles_have_etags(browser: TestClient) -> None:
    browser.headers.update(LOCAL)
    browser.post("/api/v1/users", json={"name": "alice"})
    browser.post("/api/v1/roles", json={"name": "own", "claims": ["dataset:view"]})
    for path, change in (
        ("/api/v1/users/alice", {"email": "a@example.org"}),
        ("/api/v1/roles/own", {"claims": ["audit:view"]}),
    ):
        etag = browser.get(path).headers["etag"]
        changed = browser.patch(path, json=change, headers={"If-Match": etag})
        assert changed.status_code == 200
        assert changed.headers["etag"] != etag
        for call in (
            lambda path=path, etag=etag: browser.patch(path, json={}, headers={"If-Match": etag}),
            lambda path=path, etag=etag: browser.delete(path, headers={"If-Match": etag}),
        ):
            assert call().status_code == 412
        bad = browser.patch(path, json={}, headers={"If-Match": "W/xyz"})
        assert told(bad) == (422, "request.bad_etag")
        assert browser.delete(path, headers={"If-Match": changed.headers["etag"]}).status_code == 204
        assert browser.get(path).status_code == 404


def test_bad_bodies_are_told(browser: TestClient) -> None:
    browser.headers.update(LOCAL)
    for path, body in (
        ("/api/v1/users", {"name": "a", "unknown": 1}),
        ("/api/v1/users", {"name": "a\0b"}),
        ("/api/v1/users", {"name": "a", "email": "x\ny"}),
        ("/api/v1/roles", {"name": "a", "claims": ["dataset:look"]}),
        ("/api/v1/roles", {"name": "a", "claims": ["training_run:execute"]}),
        ("/api/v1/tokens", {"name": "a", "user": "b", "expires_in_s": 0}),
        ("/api/v1/tokens", {"name": "\u0007", "user": "b"}),
    ):
        assert browser.post(path, json=body).status_code == 422, (path, body)
    for path in ("/api/v1/users/a%00b", "/api/v1/roles/%00", "/api/v1/users?q=%00&role=%00"):
        assert browser.get(path).status_code in {200, 404}, path
    assert browser.get("/api/v1/roles?q=%00").status_code == 200


def test_a_lost_database_is_told_at_the_door(
    browser: TestClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    minted = platform.tokens.create(
        LOCAL_ADMINISTRATOR,
        name="t",
        user=platform.users.create(LOCAL_ADMINISTRATOR, name="robot", has_password=False).user.name,
        claims=[Claim.DATASET_VIEW],
        expires_in=timedelta(hours=1),
    )
    headers = {"Authorization": f"Bearer {minted.secret.get_secret_value()}"}
    assert browser.get("/api/v1/datasets", headers=headers).status_code == 200
    unreachable: dict[str, Any] = {"port": 1, "connect_timeout": 1}
    for engine in platform.database.list_engines():
        engine.dispose()
        monkeypatch.setattr(
            engine.dialect,
            "connect",
            lambda *arguments, _connect=engine.dialect.connect, **options: _connect(
                *arguments, **(options | unreachable)
            ),
        )
    assert told(browser.get("/api/v1/datasets", headers=headers)) == (503, "database.unavailable")
    monkeypatch.undo()
    assert browser.get("/api/v1/datasets", headers=headers).status_code == 200


def test_proxies_are_addresses_or_networks() -> None:
    assert Settings.model_validate({"trusted_proxies": "127.0.0.1, 10.0.0.0/8"}).trusted_proxies == (
        "127.0.0.1",
        "10.0.0.0/8",
    )
    for bad in ("proxy.example.org", "*", "10.0.0.1/8"):
        with pytest.raises(ValidationError, match="no address or network"):
            Settings.model_validate({"trusted_proxies": bad})
