"""Where one is signed in, from the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import Process

Raven = Callable[..., Any]
BROWSERS = ("Firefox", "Chromium", "Safari")


def test_ones_own_sessions_are_seen_and_ended(
    start_raven: Callable[..., Process], raven: Raven, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_raven("serve", "--port", "0", "--no-worker", "--json").wait_for_document()
    url, token = server["server"], Path(server["token_file"]).read_text().strip()
    monkeypatch.setenv("RAVEN_SERVER", url)
    monkeypatch.setenv("RAVEN_TOKEN", token)
    password = raven("users", "create", "ana", "--role", "Viewer", "--json").document["one_time_password"]
    for browser in BROWSERS:
        answer = httpx.post(
            f"{url}/api/v1/session",
            json={"name": "ana", "password": password},
            headers={"User-Agent": browser},
        )
        assert answer.status_code == 201
    told = raven("sessions", "list", "--json")
    assert (told.code, told.document["error"]["code"]) == (4, "access.no_account")
    own = raven("tokens", "create", "--user", "ana", "--json").document["token"]

    monkeypatch.setenv("RAVEN_TOKEN", own)
    listed = raven("sessions", "list", "--json").document["items"]
    assert sorted(each["user_agent"] for each in listed) == sorted(BROWSERS)
    assert {each["address"] for each in listed} == {"127.0.0.1"}
    assert not any(each["is_current"] for each in listed), "this one came with a token"
    assert all(each["last_seen_at"] >= each["created_at"] for each in listed)
    assert "Firefox" in raven("sessions", "list").out
    assert raven("sessions", "end", listed[0]["id"], "--json").document == {"ended": 1}
    told = raven("sessions", "end", listed[0]["id"], "--json")
    assert (told.code, told.document["error"]["code"]) == (3, "session.not_found")
    assert len(raven("sessions", "list", "--json").document["items"]) == 2
    assert raven("sessions", "end", "--others").out == "2 sessions ended.\n"
    assert "raven tokens list" in raven("sessions", "list").out
    for wrong in ((), (listed[0]["id"], "--others"), (listed[0]["id"], "--user", "ana")):
        told = raven("sessions", "end", *wrong, "--json")
        assert (told.code, told.document["error"]["code"]) == (2, "usage")
    told = raven("sessions", "list", "--user", "admin", "--json")
    assert (told.code, told.document["error"]["code"]) == (3, "user.not_found")

    monkeypatch.setenv("RAVEN_TOKEN", token)
    httpx.post(f"{url}/api/v1/session", json={"name": "ana", "password": password}).raise_for_status()
    assert len(raven("sessions", "list", "--user", "ana", "--json").document["items"]) == 1
    assert raven("sessions", "end", "--others", "--user", "ana", "--json").document == {"ended": 1}
