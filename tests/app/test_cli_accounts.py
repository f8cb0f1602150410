"""Accounts from the command line: in process, and signed in to a server."""

import json
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import RAVEN, Process

Raven = Callable[..., Any]
Start = Callable[..., Process]

PASSWORD = "correct horse battery"
OTHER = "staple of another kind"


def test_users_roles_and_tokens_in_process(raven: Raven) -> None:
    alice = raven("users", "create", "alice", "--role", "Trainer", "--role", "Reviewer", "--json").document
    assert alice["roles"] == ["Reviewer", "Trainer"]
    assert len(alice["one_time_password"]) == 23
    told = raven("users", "create", "Bob", "--email", "bob@example.org")
    assert "One-time password: " in told.out
    assert "not shown again" in told.err
    robot = raven("users", "create", "robot", "--no-password", "--json").document
    assert robot["one_time_password"] is None

    listed = raven("users", "list", "--json").document["items"]
    assert [user["name"] for user in listed] == ["alice", "Bob", "robot"]
    assert "one_time_password" not in listed[0]
    assert "has a one-time password" in raven("users", "list").out
    assert raven("users", "show", "BOB", "--json").document["email"] == "bob@example.org"

    edited = raven(
        "users", "edit", "bob", "--add-role", "Trainer", "--remove-role", "viewer", "--json"
    ).document
    assert edited["roles"] == ["Trainer"]
    assert raven("users", "edit", "bob", "--email", "", "--name", "rob", "--json").document["email"] is None
    told = raven("users", "edit", "rob", "--remove-role", "Admin", "--json")
    assert (told.code, told.document["error"]["code"]) == (2, "usage")
    told = raven("users", "edit", "rob", "--role", "Nothing", "--json")
    assert (told.code, told.document["error"]["code"]) == (3, "role.not_found")

    assert raven("users", "disable", "rob", "--json").document["disabled_at"] is not None
    assert raven("users", "list", "--disabled", "--json").document["items"][0]["name"] == "rob"
    assert raven("users", "enable", "rob", "--json").document["disabled_at"] is None
    assert raven("users", "reset-password", "rob", "--json").document["one_time_password"]
    told = raven("users", "delete", "rob", "--json")
    assert (told.code, told.document["error"]["code"]) == (2, "usage")
    assert raven("users", "delete", "rob", "--yes", "--json").document["deleted"]["name"] == "rob"


def test_what_is_refused_is_told_of_what_was_typed(raven: Raven) -> None:
    for arguments, sentence in (
        (
            ("roles", "create", "R", "--claim", "dataset:vew"),
            "--claim should be one of 31 values, perhaps 'dataset:view', not 'dataset:vew'.",
        ),
        (("subscriptions", "test", "x"), "ID should be a UUID, not 'x'."),
        (("models", "list", "--stage", "x"), "--stage should be 'candidate', "),
        (
            ("models", "predict", "x", "y", "--min-confidence", "2"),
            "Invalid value for '--min-confidence': it should be less than or equal to 1",
        ),
        (("models", "predict", "x", "y", "--device", "cuda"), "Invalid value for --device: 'cuda' is no "),
    ):
        told = raven(*arguments)
        assert (told.code, told.err.count("\n")) == (2, 2), told.err
        assert told.err.startswith(sentence), told.err
        assert f"`raven {' '.join(arguments[:2])} --help`" in told.err


def test_tokens_and_roles_in_process(raven: Raven) -> None:
    raven("users", "create", "alice", "--role", "Trainer")
    raven("users", "create", "robot", "--no-password")
    token = raven(
        "tokens", "create", "--user", "alice", "--claim", "dataset:view", "--expires", "30d", "--json"
    ).document
    assert token["token"].startswith(token["prefix"])
    assert token["claims"] == ["dataset:view"]
    told = raven("tokens", "create", "--user", "robot", "--name", "nightly")
    assert re.search(r"^Token: raven_[\w-]{43}$", told.out, re.MULTILINE)
    assert token["token"] not in raven("tokens", "list").out
    assert len(raven("tokens", "list", "--json").document["items"]) == 2
    assert raven("tokens", "revoke", token["prefix"], "--json").document["revoked_at"] is not None
    assert raven("tokens", "revoke", "nightly", "--json").document["user"] == "robot"
    assert raven("tokens", "list", "--json").document["items"] == []
    assert len(raven("tokens", "list", "--all", "--json").document["items"]) == 2
    told = raven("tokens", "revoke", "nightly", "--json")
    assert (told.code, told.document["error"]["code"]) == (3, "token.not_found")

    role = raven(
        "roles", "create", "Looker", "--claim", "dataset:view", "--claim", "audit:view", "--json"
    ).document
    assert role["claims"] == ["audit:view", "dataset:view"]
    changed = raven(
        "roles", "edit", "looker", "--remove-claim", "audit:view", "--add-claim", "system:view", "--json"
    )
    assert changed.document["claims"] == ["dataset:view", "system:view"]
    raven("users", "edit", "alice", "--role", "Looker")
    told = raven("roles", "delete", "Looker", "--yes", "--json")
    assert (told.code, told.document["error"]["code"]) == (5, "role.in_use")
    assert raven("roles", "delete", "Looker", "--yes", "--force").code == 0
    assert "Data manager" in raven("roles", "list").out
    assert "trained_model:publish" in raven("roles", "show", "Reviewer").out

    assert raven("whoami", "--json").document["via"] == "data folder"
    assert raven("login", "--json").document["error"]["code"] == "login.no_server"
    assert raven("password", "--json").document["error"]["code"] == "login.no_account"


def enter(environment: dict[str, str], lines: list[str], *arguments: str) -> Any:
    """Runs a command that is given these lines; answers its document."""
    done = subprocess.run(
        [RAVEN, *arguments, "--json"],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    return json.loads(done.stdout)


def test_signed_in_to_a_server_from_the_first_start_on(
    start_raven: Start,
    raven: Raven,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    server = start_raven("serve", "--port", "0", "--no-worker", "--json")
    document = server.wait_for_document()
    one_time = document["administrator"]["one_time_password"]
    assert document["administrator"]["name"] == "admin"
    url = document["server"]
    # Another machine: it has no data folder of the server's.
    for name, value in {
        "RAVEN_SERVER": url,
        "RAVEN_HOME": str(tmp_path / "elsewhere"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }.items():
        monkeypatch.setenv(name, value)
        environment[name] = value
    told = raven("runs", "list", "--json")
    assert (told.code, told.document["error"]["code"]) == (4, "access.token_missing")

    assert (
        enter(environment, ["wrong"], "login", "--user", "admin")["error"]["code"] == "access.sign_in_failed"
    )
    told = enter(environment, [one_time, "short", "short"], "login", "--user", "admin")
    assert told["error"]["code"] == "user.bad_password"
    told = enter(environment, [one_time, PASSWORD, PASSWORD], "login", "--user", "admin")
    assert (told["server"], told["user"]) == (url, "admin")
    (file,) = (tmp_path / "config").rglob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PASSWORD not in file.read_text()
    (saved,) = json.loads(file.read_text())["servers"].values()

    who = raven("whoami", "--json").document
    assert (who["name"], who["server"]) == ("admin", url)
    assert who["via"].startswith("token login on ")
    assert raven("runs", "list", "--json").code == 0
    told = enter(environment, ["not this", OTHER, OTHER], "password")
    assert told["error"]["code"] == "user.wrong_password"
    assert enter(environment, [PASSWORD, OTHER, OTHER], "password")["password"] == "changed"
    # Signing in again replaces the token.
    told = enter(environment, [OTHER], "login", "--user", "ADMIN", "--expires", "1d")
    assert told["user"] == "admin"
    (newer,) = json.loads(file.read_text())["servers"].values()
    assert newer["token"] != saved["token"]
    assert len(raven("tokens", "list", "--json").document["items"]) == 1
    old = httpx.get(f"{url}/api/v1/session", headers={"Authorization": f"Bearer {saved['token']}"})
    assert old.json()["code"] == "access.token_revoked"
    # The sessions that made the tokens are over.
    assert raven("users", "show", "admin", "--json").document["must_change_password"] is False
    assert httpx.get(
        f"{url}/api/v1/sessions", headers={"Authorization": f"Bearer {newer['token']}"}
    ).json() == {"items": [], "next": None}

    assert raven("logout", "--json").document["signed_in"] is False
    assert json.loads(file.read_text()) == {"servers": {}}
    told = raven("logout", "--json")
    assert (told.code, told.document["error"]["code"]) == (5, "login.not_signed_in")
    gone = httpx.get(f"{url}/api/v1/session", headers={"Authorization": f"Bearer {newer['token']}"})
    assert gone.json()["code"] == "access.token_revoked"

    file.chmod(0o644)
    told = raven("whoami", "--json")
    assert (told.code, told.document["error"]["code"]) == (4, "login.file_too_open")

    for secret in (one_time, PASSWORD, OTHER, saved["token"], newer["token"]):
        assert secret not in server.err
    again = start_raven(
        "serve",
        "--port",
        "0",
        "--no-worker",
        "--json",
        env={"RAVEN_HOME": str(tmp_path / "home"), "RAVEN_TRUSTED_PROXIES": "127.0.0.1"},
    )
    second = again.wait_for_document()
    assert "administrator" not in second
    # A proxy is believed where it is named, and there alone.
    token = Path(document["token_file"]).read_text().strip()
    assert find_origin(url, token) == ("raven_session", "127.0.0.1")
    assert find_origin(second["server"], token) == ("__Host-raven_session", "203.0.113.5")


def find_origin(url: str, token: str) -> tuple[str, str]:
    """The cookie's name, and the address in the trail, of a sign-in by a proxy."""
    answer = httpx.post(
        f"{url}/api/v1/session",
        json={"name": "admin", "password": OTHER},
        headers={"X-Forwarded-For": "203.0.113.5", "X-Forwarded-Proto": "https"},
    )
    entries = httpx.get(
        f"{url}/api/v1/audit",
        params={"action": "session.signed_in", "limit": 1},
        headers={"Authorization": f"Bearer {token}"},
    )
    return answer.headers["set-cookie"].partition("=")[0], entries.json()["items"][0]["actor"]["address"]
