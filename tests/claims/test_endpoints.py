"""Every endpoint, crossed with every claim, no claim, and what is no sign-in any more."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from raven_scan.access.types import GRANTABLE_CLAIMS, LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform
from raven_scan.kernel.masking import TOKEN_BEGINNING

from .endpoints import ENDPOINTS
from .rows import GONE, HIDDEN, Endpoint
from .world import Everybody, make_somebody, make_token

CLOSED = [row for row in ENDPOINTS if not row.is_open]

Ask = Callable[[Endpoint, str | None], Any]


@pytest.fixture
def ask(client: TestClient, platform: Platform) -> Ask:
    values = {"digest": "0" * 64}
    del platform

    def ask(endpoint: Endpoint, token: str | None) -> Any:
        given: dict[str, Any] = {"headers": dict(endpoint.headers), "params": dict(endpoint.query)}
        if token is not None:
            given["headers"]["Authorization"] = f"Bearer {token}"
        if endpoint.content is not None:
            given["content"] = endpoint.content
        elif endpoint.body is not None:
            given["json"] = endpoint.body
        path = endpoint.path.format_map({**values, **endpoint.values})
        return client.request(endpoint.method, path, **given)

    return ask


def test_every_endpoint_has_a_row(client: TestClient):
    app = client.app
    assert isinstance(app, FastAPI)
    there = {(method, path) for path, methods in app.openapi()["paths"].items() for method in methods}
    rows = [(endpoint.method, endpoint.path) for endpoint in ENDPOINTS]
    assert there - set(rows) == set()
    assert set(rows) - there == set()
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("endpoint", CLOSED, ids=str)
def test_an_endpoint_opens_to_its_claims_alone(
    endpoint: Endpoint, ask: Ask, everybody: Everybody, platform: Platform
):
    wrong: list[str] = []
    for somebody in everybody.list_for(endpoint):
        token = make_token(platform, somebody.name) if endpoint.ends_token else somebody.token
        answer = ask(endpoint, token)
        expected = endpoint.list_refusals(somebody.claims) or {endpoint.status}
        status = answer.status_code
        if status == 409 and answer.json()["code"] in GONE:
            status = HIDDEN
        if status not in expected:
            wrong.append(f"{somebody.name}: {status}, not {expected}: {answer.text[:300]}")
        elif status == 403:
            assert answer.json()["code"].startswith("access."), answer.text
    assert wrong == []


@pytest.fixture(scope="module")
def ended(platform: Platform) -> dict[str, str]:
    """Tokens of somebody who may do everything, which have ended, by how."""
    admin = LOCAL_ADMINISTRATOR
    tokens = {
        how: make_somebody(platform, f"ended-{how}", GRANTABLE_CLAIMS, valid_for=timedelta(days=1)).token
        for how in ("disabled", "expired", "revoked", "deleted")
    }
    platform.users.disable(admin, "ended-disabled")
    platform.users.delete(admin, "ended-deleted")
    expire = "UPDATE api_tokens SET expires_at = now() - interval '1 second' FROM users"
    with platform.database.transaction() as session:
        session.connection().exec_driver_sql(
            f"{expire} WHERE users.id = user_id AND users.name = 'ended-expired'"
        )
        token_id = (
            session.connection()
            .exec_driver_sql(
                "SELECT api_tokens.id FROM api_tokens JOIN users ON users.id = user_id"
                " WHERE users.name = 'ended-revoked'"
            )
            .scalar_one()
        )
    platform.tokens.revoke(admin, token_id)
    return {**tokens, "made up": TOKEN_BEGINNING + "x" * 43}


@pytest.mark.parametrize("endpoint", CLOSED, ids=str)
def test_an_endpoint_is_closed_to_what_is_no_sign_in(endpoint: Endpoint, ask: Ask, ended: dict[str, str]):
    answers = {how: ask(endpoint, token) for how, token in ended.items()}
    answers["nothing"] = ask(endpoint, None)
    assert {how: answer.status_code for how, answer in answers.items()} == dict.fromkeys(answers, 401)


@pytest.mark.parametrize("endpoint", [row for row in ENDPOINTS if row.is_open], ids=str)
def test_what_is_open_is_open_to_everybody(endpoint: Endpoint, ask: Ask):
    assert ask(endpoint, None).status_code == endpoint.status
