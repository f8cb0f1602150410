"""The client against answers that no healthy server gives."""

from collections.abc import Callable

import httpx
import pytest

from raven_scan.client import RavenClient
from raven_scan.client.synchronous.connection import Connection
from raven_scan.kernel.errors import Busy, Conflict, Invalid, Unavailable
from raven_scan.kernel.progress import ignore_progress


def connect(answer: Callable[[httpx.Request], httpx.Response]) -> Connection:
    return Connection(httpx.Client(base_url="http://server", transport=httpx.MockTransport(answer)))


def make_problem(kind: str, **more: object) -> dict[str, object]:
    return {"code": "a.b", "kind": kind, "detail": "A sentence.", "hint": "H.", "parameters": {}, **more}


def test_a_problem_becomes_the_error_that_was_raised() -> None:
    problem = make_problem("conflict", parameters={"name": "x"})
    connection = connect(lambda _: httpx.Response(409, json=problem))
    with pytest.raises(Conflict, match=r"A sentence\.") as caught:
        connection.get("/api/v1/datasets")
    assert (caught.value.code, caught.value.hint, caught.value.parameters) == ("a.b", "H.", {"name": "x"})


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, text="<html>Bad Gateway</html>"),
        httpx.Response(500, json={"detail": "x"}),
        httpx.Response(500, json=[1]),
        httpx.Response(500, json=make_problem("unheard-of")),
        httpx.Response(302, headers={"location": "http://elsewhere/"}),
    ],
    ids=["html", "other json", "list", "unknown kind", "redirection"],
)
def test_an_answer_of_something_else_is_told(answer: httpx.Response) -> None:
    with pytest.raises(Unavailable, match=str(answer.status_code)) as caught:
        connect(lambda _: answer).get("/api/v1/datasets")
    assert caught.value.code == "client.unexpected_answer"


def test_a_redirection_does_not_carry_the_token_away() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(307, headers={"location": "http://elsewhere/"})

    with (
        RavenClient("http://server", "secret", transport=httpx.MockTransport(answer)) as client,
        pytest.raises(Unavailable),
    ):
        client.runs.get("a")
    assert [request.url.host for request in asked] == ["server"]
    assert asked[0].headers["authorization"] == "Bearer secret"


def test_work_that_fails_raises_its_error() -> None:
    lines = (
        b'{"event": "progress", "stage": "images", "done": 1, "total": 2}\n'
        b'{"event": "news"}\n'
        b'{"event": "failed", "error": {"code": "a.b", "kind": "busy", "message": "Later."}}\n'
    )
    told: list[tuple[str, int, int]] = []

    def tell(stage: str, done: int, total: int) -> None:
        told.append((stage, done, total))

    with pytest.raises(Busy, match=r"Later\."):
        connect(lambda _: httpx.Response(200, content=lines)).do_long_work("/x", tell)
    assert told == [("images", 1, 2)]


def test_work_that_breaks_off_is_told() -> None:
    lines = b'{"event": "progress", "stage": "images", "done": 1, "total": 2}\n'
    with pytest.raises(Unavailable) as caught:
        connect(lambda _: httpx.Response(200, content=lines)).do_long_work("/x", ignore_progress)
    assert caught.value.code == "client.broken_off"


@pytest.mark.parametrize("address", ["", "server:8700", "ftp://server", "http://", "/api"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(Invalid, match="not a server's address"):
        RavenClient(address)
