"""What is sent again after a lost answer, and what is not."""

import threading
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from raven_scan.client import RavenClient, RetryRules
from raven_scan.client.answers import read_retry_after_s
from raven_scan.kernel.errors import Busy, Conflict, Invalid, Unavailable

QUICK = RetryRules(tries=3, pause_s=0.01)
PROBLEM = {"code": "a.b", "kind": "busy", "detail": "Later.", "hint": "", "parameters": {}}
PAGE = {"items": [], "next": None}


class _BreaksOff(BaseHTTPRequestHandler):
    """Reads a request whole, and goes away without an answer."""

    requests: list[tuple[str, str, str | None]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.requests.append((self.command, self.path.partition("?")[0], self.headers.get("Idempotency-Key")))
        self.close_connection = True

    do_GET = do_PATCH = do_DELETE = do_POST  # noqa: N815 - the server's own spelling


@pytest.fixture
def requests() -> list[tuple[str, str, str | None]]:
    return []


@pytest.fixture
def raven(requests: list[tuple[str, str, str | None]]) -> Generator[RavenClient]:
    """A client of a server that never answers."""
    handler = type("Handler", (_BreaksOff,), {"requests": requests})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        with RavenClient(f"http://127.0.0.1:{server.server_port}", retry_rules=QUICK) as client:
            yield client
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("verb", ["cancel", "retry", "schedule"])
def test_what_is_posted_is_sent_again_with_the_same_key(
    raven: RavenClient, requests: list[tuple[str, str, str | None]], verb: str
) -> None:
    with pytest.raises(Unavailable) as told:
        getattr(raven.runs, verb)("first")
    assert told.value.code == "client.no_answer"
    assert [request[:2] for request in requests] == [("POST", f"/api/v1/training-runs/first/{verb}")] * 3
    keys = {key for _, _, key in requests}
    assert len(keys) == 1
    assert None not in keys
    with pytest.raises(Unavailable):
        getattr(raven.runs, verb)("first")
    assert len({key for _, _, key in requests}) == 2


def test_what_is_read_is_asked_for_again(
    raven: RavenClient, requests: list[tuple[str, str, str | None]]
) -> None:
    with pytest.raises(Unavailable):
        raven.runs.get("first")
    assert requests == [("GET", "/api/v1/training-runs/first", None)] * 3


@pytest.mark.parametrize(
    "act",
    [
        lambda raven: raven.runs.edit("first", notes="x"),
        lambda raven: raven.runs.delete("first"),
        lambda raven: raven.users.create(name="ann"),
        lambda raven: raven.models.pull("rtmdet-tiny"),
    ],
    ids=["edit", "delete", "secret", "long work"],
)
def test_what_may_be_done_twice_is_sent_once(
    raven: RavenClient,
    requests: list[tuple[str, str, str | None]],
    act: Callable[[RavenClient], object],
) -> None:
    """Nobody knows whether it was done."""
    with pytest.raises(Unavailable):
        act(raven)
    assert len(requests) == 1


def answer_in_turn(*answers: httpx.Response, rules: RetryRules = QUICK) -> RavenClient:
    waiting = iter(answers)
    transport = httpx.MockTransport(lambda _: next(waiting))
    return RavenClient("http://server", retry_rules=rules, transport=transport)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with answer_in_turn(httpx.Response(status, json=PROBLEM), httpx.Response(200, json=PAGE)) as raven:
        assert raven.runs.list().items == []


def test_what_does_not_pass_is_told_at_once() -> None:
    problem = {**PROBLEM, "kind": "conflict"}
    with answer_in_turn(httpx.Response(409, json=problem)) as raven, pytest.raises(Conflict):
        raven.runs.cancel("first")


def test_a_request_that_is_still_answered_is_waited_for() -> None:
    held = httpx.Response(409, json={**PROBLEM, "kind": "conflict"}, headers={"Retry-After": "0"})
    # More often than a failure is: nothing has failed.
    with answer_in_turn(*[held] * 10, httpx.Response(200, json={"items": []})) as raven:
        assert raven.runs.move("first", place=1).items == []


def test_a_server_is_left_alone_for_as_long_as_it_asks() -> None:
    busy = httpx.Response(503, json=PROBLEM, headers={"Retry-After": "1"})
    began = time.monotonic()
    with answer_in_turn(busy, httpx.Response(200, json=PAGE)) as raven:
        raven.runs.list()
    assert time.monotonic() - began >= 1
    long = httpx.Response(503, json=PROBLEM, headers={"Retry-After": "3600"})
    with answer_in_turn(long) as raven, pytest.raises(Busy):
        raven.runs.list()


def test_how_long_is_read_in_both_forms() -> None:
    def read(value: str) -> float | None:
        return read_retry_after_s(httpx.Response(503, headers={"Retry-After": value}))

    assert read("7") == 7
    in_a_minute = read(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True))
    assert in_a_minute is not None
    assert 50 < in_a_minute <= 60
    assert read("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert read("soon") is None
    assert read("") is None


def test_a_token_is_in_no_representation() -> None:
    with RavenClient("http://server", "rvn_secret") as raven:
        shown = [repr(raven), str(raven), repr(raven.runs), repr(vars(raven)), repr(vars(raven._connection))]
    assert not any("rvn_secret" in each for each in shown)
    assert shown[0] == "RavenClient('http://server')"


def test_a_token_that_is_none_is_refused_without_being_shown() -> None:
    with pytest.raises(Invalid) as told:
        RavenClient("http://server", "geheim…")
    assert "geheim" not in str(told.value) + repr(told.value.parameters)


def test_server_and_token_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAVEN_SERVER", "http://there:1")
    monkeypatch.setenv("RAVEN_TOKEN", "secret")
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=PAGE)

    with RavenClient(transport=httpx.MockTransport(answer)) as raven:
        raven.runs.list()
    assert str(asked[0].url) == "http://there:1/api/v1/training-runs"
    assert asked[0].headers["authorization"] == "Bearer secret"
