import threading
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from raven_scan.client.in_process import InProcessTransport

DEADLINE_S = 20


class Shop:
    """An application whose streams can be watched from outside."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.may_go_on = threading.Semaphore(0)
        self.is_stream_over = threading.Event()
        self.produced = 0

        @self.app.get("/echo/{name}")
        def echo(request: Request, name: str, q: str = "") -> dict[str, str]:
            return {"name": name, "q": q, "host": request.headers["host"]}

        @self.app.post("/size")
        async def measure(request: Request) -> dict[str, int]:
            sizes = [len(chunk) async for chunk in request.stream()]
            return {"size": sum(sizes), "chunks": len([size for size in sizes if size])}

        @self.app.get("/stream")
        def stream() -> StreamingResponse:
            return StreamingResponse(self._produce(), media_type="application/x-ndjson")

        @self.app.get("/broken")
        def fail() -> StreamingResponse:
            return StreamingResponse(self._break_off())

        @self.app.get("/big")
        def big() -> StreamingResponse:
            return StreamingResponse(self._count())

    def _produce(self) -> Iterator[str]:
        try:
            for number in range(3):
                assert self.may_go_on.acquire(timeout=DEADLINE_S)
                yield f"{number}\n"
        finally:
            self.is_stream_over.set()

    def _count(self) -> Iterator[bytes]:
        for _ in range(10_000):
            self.produced += 1
            yield b"x" * 1000

    @staticmethod
    def _break_off() -> Iterator[bytes]:
        yield b"a"
        raise RuntimeError("broken")


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def http(shop: Shop) -> Iterator[httpx.Client]:
    with httpx.Client(base_url="http://in-process", transport=InProcessTransport(shop.app)) as client:
        yield client


def test_carries_paths_queries_and_headers(http: httpx.Client) -> None:
    answer = http.get("/echo/%D1%81%D0%B2%D0%B0%D0%BB%D0%BA%D0%B0%20%3F%25", params={"q": "a&b=ü"})
    assert answer.json() == {"name": "свалка ?%", "q": "a&b=ü", "host": "in-process"}
    assert http.get("/nothing").status_code == 404


def test_streams_each_line_while_the_work_goes_on(http: httpx.Client, shop: Shop) -> None:
    with http.stream("GET", "/stream") as answer:
        lines = answer.iter_lines()
        for number in range(3):
            shop.may_go_on.release()
            assert next(lines) == str(number)
        assert list(lines) == []


def test_streams_a_body_up(http: httpx.Client) -> None:
    answer = http.post("/size", content=(b"x" * 1000 for _ in range(50)))
    assert answer.json() == {"size": 50_000, "chunks": 50}


def test_a_slow_reader_holds_the_writer_back(http: httpx.Client, shop: Shop) -> None:
    with http.stream("GET", "/big") as answer:
        parts = answer.iter_raw()
        for _ in range(10):
            next(parts)
        assert shop.produced < 100


def test_leaving_a_stream_ends_its_work(http: httpx.Client, shop: Shop) -> None:
    with http.stream("GET", "/stream") as answer:
        shop.may_go_on.release()
        assert next(answer.iter_lines()) == "0"
    shop.may_go_on.release(10)
    assert shop.is_stream_over.wait(DEADLINE_S)


def test_an_answer_that_breaks_off_is_an_error(http: httpx.Client) -> None:
    with pytest.raises(httpx.TransportError, match="broke"):
        http.get("/broken")


def test_an_application_that_raises_is_an_error() -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("no")

    with (
        httpx.Client(transport=InProcessTransport(fail)) as http,
        pytest.raises(httpx.TransportError, match="without an answer") as caught,
    ):
        http.get("http://in-process/")
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_many_threads_share_it(http: httpx.Client) -> None:
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(http.get("/echo/x").json()["name"])) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert answers == ["x"] * 20


def test_closing_ends_its_thread_also_while_a_stream_is_open() -> None:
    shop = Shop()
    transport = InProcessTransport(shop.app)
    client = httpx.Client(base_url="http://in-process", transport=transport)
    request = client.build_request("GET", "/stream")
    answer = client.send(request, stream=True)
    client.close()
    shop.may_go_on.release(10)
    transport._thread.join(DEADLINE_S)
    assert not transport._thread.is_alive()
    answer.close()
