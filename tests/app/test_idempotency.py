"""Requests that are made again with the same Idempotency-Key."""

import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app import idempotency
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.client.in_process import InProcessTransport
from raven_scan.uploads import repository

from .conftest import wait_until

UPLOADS = "/api/v1/uploads"
BODY = {"purpose": "dataset", "file_name": "a.zip"}

Post = Callable[..., httpx.Response]


@pytest.fixture
def http(platform: Platform) -> Generator[httpx.Client]:
    transport = InProcessTransport(build_app(platform, token=None, allow_server_paths=True))
    with httpx.Client(base_url="http://in-process", transport=transport) as client:
        yield client


@pytest.fixture
def post(http: httpx.Client) -> Post:
    def send(path: str, body: Any, key: str) -> httpx.Response:
        return http.post(path, json=body, headers={"Idempotency-Key": key})

    return send


def count_uploads(http: httpx.Client) -> int:
    return len(http.get(UPLOADS).json()["items"])


def end_leases(platform: Platform) -> None:
    with platform.database.engine.begin() as connection:
        connection.execute(text("UPDATE request_keys SET leased_until = now()"))


def test_the_first_answer_comes_again_and_nothing_is_done_twice(http: httpx.Client, post: Post) -> None:
    first = post(UPLOADS, BODY, "one")
    again = post(UPLOADS, BODY, '"one"')  # as the draft has it, with quotes
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert count_uploads(http) == 1
    other = post(UPLOADS, BODY, "two")
    assert other.json()["id"] != first.json()["id"]


def test_a_refusal_comes_again_too(post: Post) -> None:
    first = post(UPLOADS, {"purpose": "nonsense", "file_name": "a"}, "one")
    again = post(UPLOADS, {"purpose": "nonsense", "file_name": "a"}, "one")
    assert first.status_code == again.status_code == 422
    assert again.json() == first.json()
    assert again.headers["content-type"] == "application/problem+json"


def test_a_key_belongs_to_one_request(post: Post) -> None:
    post(UPLOADS, BODY, "one")
    for path, body in ((UPLOADS, {**BODY, "file_name": "b.zip"}), (f"{UPLOADS}?a=b", BODY)):
        refused = post(path, body, "one")
        assert (refused.status_code, refused.json()["code"]) == (422, "request.key_used")


@pytest.mark.parametrize("key", ["", " ", "a b", "ключ".encode().decode("latin-1"), "x" * 256])
def test_a_key_that_is_none_is_refused(http: httpx.Client, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    refused = http.post(UPLOADS, json=BODY, headers=headers)  # pyright: ignore[reportArgumentType]
    assert (refused.status_code, refused.json()["code"]) == (422, "request.bad_key")
    assert count_uploads(http) == 0


def test_what_is_too_long_is_refused(post: Post) -> None:
    refused = post(UPLOADS, {**BODY, "file_name": "x" * (1 << 20)}, "one")
    assert (refused.status_code, refused.json()["code"]) == (422, "request.too_long")


def test_what_streams_its_progress_takes_no_key(http: httpx.Client, post: Post) -> None:
    paths = http.get("/api/v1/openapi.json").json()["paths"]
    streaming = {
        path.format(ref="x")
        for path, methods in paths.items()
        if "application/x-ndjson" in str(methods.get("post", {}).get("responses", {}))
    }
    assert len(streaming) > 3
    for path in streaming:
        refused = post(path, {}, "one")
        assert (refused.status_code, refused.json()["code"]) == (422, "request.key_not_taken")


def test_whatever_answers_a_secret_is_known(http: httpx.Client) -> None:
    """Answers whose schema has a token or a password, whatever endpoint comes later."""
    document = http.get("/api/v1/openapi.json").json()
    schemas = document["components"]["schemas"]
    secret = {
        name
        for name, schema in schemas.items()
        if {"token", "password", "one_time_password", "secret"} & schema.get("properties", {}).keys()
    }
    paths = {
        path.format(ref="x")
        for path, methods in document["paths"].items()
        if any(f"schemas/{name}'" in str(methods.get("post", {}).get("responses", {})) for name in secret)
    }
    assert paths
    missed = [
        path
        for path in paths
        if not idempotency.SECRET_ANSWERS.fullmatch(path) and not idempotency.WITHOUT_KEYS.fullmatch(path)
    ]
    assert missed == []


def test_secrets_are_neither_kept_nor_shown_again(platform: Platform, http: httpx.Client, post: Post) -> None:
    body = {"name": "eve", "roles": ["Viewer"]}
    first = post("/api/v1/users", body, "one")
    assert first.status_code == 201, first.text
    again = post("/api/v1/users", body, "one")
    assert (again.status_code, again.json()["code"]) == (409, "request.answer_not_kept")
    with platform.database.transaction() as session:
        kept = session.execute(text("SELECT request_keys::text, body FROM request_keys")).one()
    assert kept.body is None
    password = next(
        value for name, value in first.json().items() if "password" in name and isinstance(value, str)
    )
    assert password not in kept[0]
    assert [user["name"] for user in http.get("/api/v1/users").json()["items"]].count("eve") == 1


def test_failures_are_not_kept(platform: Platform, post: Post) -> None:
    with platform.database.transaction() as session:
        session.execute(text("ALTER TABLE uploads RENAME TO elsewhere"))
    answers = [post(UPLOADS, BODY, "one") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [500, 500]
    assert all("idempotency-replayed" not in answer.headers for answer in answers)
    with platform.database.transaction() as session:
        session.execute(text("ALTER TABLE elsewhere RENAME TO uploads"))
    assert post(UPLOADS, BODY, "one").status_code == 201


def test_of_many_at_once_one_is_done(http: httpx.Client, post: Post) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(UPLOADS, BODY, "one"), range(8)))
    done = [answer for answer in answers if answer.status_code == 201]
    waiting = [answer for answer in answers if answer.status_code == 409]
    assert len(done) + len(waiting) == 8
    assert len({answer.json()["id"] for answer in done}) == 1
    assert all(answer.json()["code"] == "request.in_progress" for answer in waiting)
    assert all(answer.headers["retry-after"] == "1" for answer in waiting)
    assert count_uploads(http) == 1


def test_one_that_was_taken_over_changes_nothing(platform: Platform, http: httpx.Client, post: Post) -> None:
    """The first hangs past its lease, and wakes up when the second is under way."""
    with ThreadPoolExecutor(2) as pool:
        with platform.database.transaction() as session:
            repository.lock_owner(session, LOCAL_ADMINISTRATOR.id)
            first = pool.submit(post, UPLOADS, BODY, "one")
            wait_until(lambda: _count_waiting(platform) == 1, "the first request")
            end_leases(platform)
            second = pool.submit(post, UPLOADS, BODY, "one")
            wait_until(lambda: _count_waiting(platform) == 2, "the second request")
        answers = [first.result(30), second.result(30)]
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert answers[0].json()["code"] == "request.taken_over"
    assert count_uploads(http) == 1
    assert post(UPLOADS, BODY, "one").json() == answers[1].json()


def _count_waiting(platform: Platform) -> int:
    with platform.database.engine.connect() as connection:
        return connection.scalar(
            text(
                "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
                " WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
            )
        )


@pytest.mark.parametrize("instant", ["before_commit", "after_commit"])
def test_a_server_that_is_killed(
    platform: Platform, http: httpx.Client, post: Post, environment: dict[str, str], instant: str
) -> None:
    child = Path(__file__).parent / "children" / "server_killed_at_the_answer.py"
    ended = subprocess.run([sys.executable, str(child), instant, "one"], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    is_done = instant == "after_commit"
    assert count_uploads(http) == (1 if is_done else 0)

    held = post(UPLOADS, BODY, "one")
    assert (held.status_code, held.json()["code"]) == (409, "request.in_progress")
    end_leases(platform)
    again = post(UPLOADS, BODY, "one")
    if is_done:
        assert (again.status_code, again.json()["code"]) == (409, "request.answer_lost")
    else:
        assert again.status_code == 201
    assert count_uploads(http) == 1


def test_keys_are_forgotten_after_a_day(platform: Platform, http: httpx.Client, post: Post) -> None:
    post(UPLOADS, BODY, "one")
    with platform.database.transaction() as session:
        session.execute(
            text("UPDATE request_keys SET created_at = now() - interval '25 hours', leased_until = now()")
        )
    assert "idempotency-replayed" not in post(UPLOADS, BODY, "one").headers
    assert count_uploads(http) == 2
