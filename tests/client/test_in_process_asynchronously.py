"""The asynchronous client of an application in its own process."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.client import AsyncRavenClient
from raven_scan.client.in_process import AsyncInProcessTransport
from raven_scan.kernel.errors import NotFound


def test_the_platform_answers(platform: Platform) -> None:
    async def ask() -> None:
        app = build_app(platform, token=None, allow_server_paths=True)
        async with AsyncRavenClient.in_process(app) as raven:
            names = [model.name async for model in raven.models.iterate(origin="builtin")]
            assert "rtmdet-lite0" in names
            assert (await raven.models.get("rtmdet-lite0")).origin == "builtin"
            with pytest.raises(NotFound):
                await raven.runs.get("nothing")
            assert repr(raven) == "AsyncRavenClient('http://in-process')"

    asyncio.run(ask())


def test_streams_both_ways_and_ends_with_its_reader() -> None:
    app = FastAPI()
    ended = asyncio.Event()

    @app.post("/count")
    async def count(request: Request) -> dict[str, int]:
        return {"size": sum([len(chunk) async for chunk in request.stream()])}

    async def produce() -> AsyncIterator[str]:
        try:
            for number in range(1_000_000):
                yield f"{number}\n"
        finally:
            ended.set()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(produce())

    @app.get("/broken")
    async def fail() -> None:
        raise RuntimeError("no")

    async def send() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 1000

    async def use() -> None:
        transport = AsyncInProcessTransport(app)
        async with httpx.AsyncClient(base_url="http://in-process", transport=transport) as http:
            assert (await http.post("/count", content=send())).json() == {"size": 50_000}
            async with http.stream("GET", "/stream") as answer:
                lines = answer.aiter_lines()
                assert [await anext(lines) for _ in range(3)] == ["0", "1", "2"]
                await lines.aclose()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
            await asyncio.wait_for(ended.wait(), 20)
            # What its error handlers answered is there; the error itself is the application's.
            assert (await http.get("/broken")).status_code == 500

    asyncio.run(use())


def test_an_application_that_raises_is_an_error() -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("no")

    async def use() -> None:
        async with httpx.AsyncClient(transport=AsyncInProcessTransport(fail)) as http:
            with pytest.raises(httpx.TransportError, match="without an answer") as caught:
                await http.get("http://in-process/")
            assert isinstance(caught.value.__cause__, RuntimeError)

    asyncio.run(use())
