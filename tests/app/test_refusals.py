"""What is refused is in the audit trail, once, with who was refused what; and no flood fills it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text

from raven_scan.access.audit_types import AuditEntry, EntryFilter
from raven_scan.access.types import LOCAL_ADMINISTRATOR, STRANGER, Actor, Claim
from raven_scan.app.refusals import Refusal, RefusalTally
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.kernel.paging import PageRequest

TOKEN = "a-token"


@pytest.fixture
def application(platform: Platform) -> FastAPI:
    return build_app(platform, token=SecretStr(TOKEN), allow_server_paths=False, host_names=["testserver"])


@pytest.fixture
def client(application: FastAPI) -> Iterator[TestClient]:
    with TestClient(application) as client:
        yield client


def list_refusals(platform: Platform) -> list[AuditEntry]:
    page = platform.audit.list_entries(
        LOCAL_ADMINISTRATOR, PageRequest(limit=500), EntryFilter(action="access.refused")
    )
    return page.items[::-1]


def make_token(platform: Platform, *claims: Claim) -> dict[str, str]:
    """Of an account with a role of these claims."""
    role = platform.roles.create(LOCAL_ADMINISTRATOR, name=f"role {uuid4().hex[:8]}", claims=claims)
    name = f"user-{uuid4().hex[:8]}"
    platform.users.create(LOCAL_ADMINISTRATOR, name=name, roles=[role.name], has_password=False)
    minted = platform.tokens.create(
        LOCAL_ADMINISTRATOR, name="test", user=name, expires_in=timedelta(hours=1)
    )
    return {"Authorization": f"Bearer {minted.secret.get_secret_value()}"}


def test_a_missing_claim_is_recorded_with_who_wanted_what(client: TestClient, platform: Platform):
    headers = make_token(platform, Claim.TRAINING_RUN_VIEW)
    assert client.get("/api/v1/audit", headers=headers).status_code == 403
    assert client.post("/api/v1/audit/verify", headers=headers).status_code == 403
    entry, *more = list_refusals(platform)
    assert more == []  # the second is of the same kind, and counted
    assert entry.actor_name.startswith("user-")
    assert entry.actor_via == "token test"
    assert entry.actor_address == "testclient"
    assert entry.target.name == "GET /api/v1/audit"
    assert entry.details == {"code": "access.claim_missing", "claim": "audit:view"}


def test_what_answers_as_not_found_for_want_of_a_claim_is_recorded(client: TestClient, platform: Platform):
    blind = make_token(platform, Claim.DATASET_VIEW)
    assert client.get("/api/v1/users/secret", headers=blind).status_code == 404
    (entry,) = list_refusals(platform)
    assert entry.details == {"code": "user.not_found", "claim": "user:view"}
    # Who may look, and names what is not there, is refused nothing.
    assert client.get("/api/v1/datasets/absent", headers=blind).status_code == 404
    assert client.get("/nothing/here", headers=blind).status_code == 404
    assert len(list_refusals(platform)) == 1


def test_a_bad_token_is_recorded_but_not_who_comes_with_none(client: TestClient, platform: Platform):
    assert client.get("/api/v1/datasets").status_code == 401
    assert list_refusals(platform) == []
    wrong = {"Authorization": "Bearer raven_guessed"}
    for path in ("/api/v1/datasets", "/api/v1/trained-models"):
        answer = client.get(path, headers=wrong)
        assert answer.status_code == 401
        assert answer.json()["code"] == "access.token_wrong"
        assert answer.headers["www-authenticate"] == "Bearer"
    (entry,) = list_refusals(platform)
    assert (entry.actor_id, entry.actor_address) == (STRANGER.id, "testclient")
    assert "guessed" not in str(entry)


def test_who_is_refused_at_the_door_is_named(client: TestClient, platform: Platform):
    made = platform.users.create(LOCAL_ADMINISTRATOR, name="ana", roles=["Viewer"])
    assert made.one_time_password is not None
    given = {"name": "ana", "password": made.one_time_password.get_secret_value()}
    token = client.post("/api/v1/session", json=given).json()["csrf_token"]
    assert client.get("/api/v1/datasets").status_code == 403
    assert client.delete("/api/v1/sessions").status_code == 403
    foreign = {"X-CSRF-Token": token, "Origin": "https://elsewhere.example.org"}
    assert client.delete("/api/v1/sessions", headers=foreign).status_code == 403
    assert [(each.actor_name, each.actor_via, each.details["code"]) for each in list_refusals(platform)] == [
        ("ana", "session", "access.password_change_needed"),
        ("ana", "session", "access.csrf_token_wrong"),
        ("ana", "session", "access.foreign_origin"),
    ]


def test_an_answer_is_the_same_where_the_refusal_cannot_be_recorded(client: TestClient, platform: Platform):
    with platform.database.transaction() as session:
        session.execute(text("ALTER TABLE audit_entries RENAME TO elsewhere"))
    assert client.get("/api/v1/datasets", headers={"Authorization": "Bearer x"}).status_code == 401


def make_refusal(actor: Actor, code: str = "access.claim_missing", path: str = "/") -> Refusal:
    return Refusal(actor, code, "audit:view", "GET", path)


def test_a_flood_of_refusals_leaves_few_entries_with_their_count():
    tally = RefusalTally(window_s=60, most_at_once=5)
    mara = Actor(uuid4(), "Mara", frozenset(), address="10.0.0.7")
    assert tally.add(make_refusal(mara), 0)
    assert tally.add(make_refusal(mara, "other"), 0)
    assert not any(tally.add(make_refusal(mara, path="/last"), 1) for _ in range(99))
    strangers = [replace(STRANGER, address=f"10.1.0.{number}") for number in range(200)]
    # Five addresses are told apart, all others are one kind.
    assert sum(tally.add(make_refusal(stranger), 2) for stranger in strangers) == 6
    assert tally.take_ended(59) == []
    found = tally.take_ended(62)
    assert [(refusal.actor.name, details["count"]) for refusal, details in found] == [
        ("Mara", 99),
        (STRANGER.name, 194),
    ]
    assert found[0][0].path == "/last"
    assert found[0][1]["addresses"] == {"10.0.0.7"}
    assert len(found[1][1]["addresses"]) == 5
    assert tally.take_ended(1000) == []
    assert tally.add(make_refusal(mara), 1000)


def test_strangers_do_not_hide_an_account():
    tally = RefusalTally(window_s=60, most_at_once=3)
    for number in range(100):
        tally.add(make_refusal(replace(STRANGER, address=f"10.1.0.{number}")), 0)
    mara = Actor(uuid4(), "Mara", frozenset())
    assert tally.add(make_refusal(mara), 1)
    for number in range(100):
        tally.add(make_refusal(Actor(uuid4(), f"user {number}", frozenset())), 1)
    found = tally.take_ended(100)
    assert {refusal.actor.id for refusal, _ in found} == {STRANGER.id}  # several accounts have no one name
