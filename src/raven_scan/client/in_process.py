"""The API without a server: requests go straight to the ASGI application in this process.

httpx has a transport for ASGI applications, but only for its asynchronous client, and it holds an answer back
until it is whole; streams of progress need every line at once.
"""

import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import Future
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import anyio
import httpx
from anyio import to_thread
from anyio.from_thread import BlockingPortal
from anyio.streams.memory import MemoryObjectReceiveStream

Message = MutableMapping[str, Any]
Application = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]

_LARGEST_BACKLOG = 16
_LONGEST_CLOSE_S = 2.0


class InProcessTransport(httpx.BaseTransport):
    """Carries requests of a synchronous httpx client to an ASGI application, bodies streamed both ways.

    The application runs on an event loop in a thread of its own, from the transport's making to its `close`.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._started: Future[BlockingPortal] = Future()
        # A daemon: work that does not listen to cancellation must not keep the process from ending.
        self._thread = threading.Thread(
            target=anyio.run, args=(self._serve,), name="in-process-api", daemon=True
        )
        self._thread.start()
        self._portal = self._started.result()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return _Exchange(self._application, request).start(self._portal)

    def close(self) -> None:
        if self._thread.is_alive():
            self._portal.start_task_soon(self._portal.stop, True)  # noqa: FBT003 - anyio takes it by position
            self._thread.join(_LONGEST_CLOSE_S)

    async def _serve(self) -> None:
        async with BlockingPortal() as portal:
            self._started.set_result(portal)
            await portal.sleep_until_stopped()


class _Exchange(httpx.SyncByteStream):
    """One request with its response, whose body it is."""

    def __init__(self, application: Application, request: httpx.Request) -> None:
        self._application = application
        self._request = request
        self._request_body = iter(cast("httpx.SyncByteStream", request.stream))
        self._is_read = False
        self._failure: Exception | None = None

    def start(self, portal: BlockingPortal) -> httpx.Response:
        self._portal = portal
        self._told: MemoryObjectReceiveStream[Message] = portal.call(self._open)
        self._work: Future[None] = portal.start_task_soon(self._run)
        try:
            head = portal.call(self._told.receive)
        except anyio.EndOfStream:
            self.close()
            raise httpx.RemoteProtocolError(
                "The application ended without an answer.", request=self._request
            ) from self._failure
        except BaseException:  # Ctrl-C while the application thinks
            self.close()
            raise
        return httpx.Response(head["status"], headers=head["headers"], stream=self)

    def __iter__(self) -> Iterator[bytes]:
        try:
            while (message := self._portal.call(self._told.receive)) and message.get("more_body", False):
                yield message.get("body", b"")
            yield message.get("body", b"")
        except anyio.EndOfStream:
            raise httpx.ReadError(
                "The application broke its answer off.", request=self._request
            ) from self._failure

    def close(self) -> None:
        self._work.cancel()
        with contextlib.suppress(RuntimeError):  # the transport was closed before its response
            self._portal.start_task_soon(self._told.aclose)
            return
        self._told.close()

    async def _open(self) -> MemoryObjectReceiveStream[Message]:
        self._tell, told = anyio.create_memory_object_stream[Message](_LARGEST_BACKLOG)
        return told

    async def _run(self) -> None:
        with self._tell:
            try:
                await self._application(_make_scope(self._request), self._receive, self._tell.send)
            except Exception as error:  # noqa: BLE001 - it is the cause of what the caller's side raises
                self._failure = error

    async def _receive(self) -> Message:
        chunk = await to_thread.run_sync(next, self._request_body, None)
        if chunk is not None:
            return {"type": "http.request", "body": chunk, "more_body": True}
        if not self._is_read:
            self._is_read = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await anyio.sleep_forever()  # the caller went away when this is cancelled
        raise AssertionError


class AsyncInProcessTransport(httpx.AsyncBaseTransport):
    """As `InProcessTransport`, for an asynchronous client: the application runs on the caller's event loop."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await _AsyncExchange(self._application, request).start()


class _AsyncExchange(httpx.AsyncByteStream):
    """One request with its response, whose body it is."""

    def __init__(self, application: Application, request: httpx.Request) -> None:
        self._application = application
        self._request = request
        self._request_body = aiter(cast("httpx.AsyncByteStream", request.stream))
        self._is_read = False
        self._failure: Exception | None = None
        self._tell, self._told = anyio.create_memory_object_stream[Message](_LARGEST_BACKLOG)

    async def start(self) -> httpx.Response:
        # The synchronous client needs none of it, and the command line starts sooner without.
        import asyncio  # noqa: PLC0415

        self._work = asyncio.create_task(self._run())
        try:
            head = await self._told.receive()
        except anyio.EndOfStream:
            await self.aclose()
            raise httpx.RemoteProtocolError(
                "The application ended without an answer.", request=self._request
            ) from self._failure
        except BaseException:  # the caller was cancelled while the application thinks
            await self.aclose()
            raise
        return httpx.Response(head["status"], headers=head["headers"], stream=self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while (message := await self._told.receive()) and message.get("more_body", False):
                yield message.get("body", b"")
            yield message.get("body", b"")
        except anyio.EndOfStream:
            raise httpx.ReadError(
                "The application broke its answer off.", request=self._request
            ) from self._failure

    async def aclose(self) -> None:
        self._told.close()
        self._work.cancel()
        with contextlib.suppress(anyio.get_cancelled_exc_class()):
            await self._work

    async def _run(self) -> None:
        with self._tell:
            try:
                await self._application(_make_scope(self._request), self._receive, self._tell.send)
            except Exception as error:  # noqa: BLE001 - it is the cause of what the caller's side raises
                self._failure = error

    async def _receive(self) -> Message:
        chunk = await anext(self._request_body, None)
        if chunk is not None:
            return {"type": "http.request", "body": chunk, "more_body": True}
        if not self._is_read:
            self._is_read = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await anyio.sleep_forever()  # the caller went away when this is cancelled
        raise AssertionError


def _make_scope(request: httpx.Request) -> dict[str, Any]:
    raw_path, _, query = request.url.raw_path.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": unquote_to_bytes(raw_path).decode("utf-8"),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (request.url.host, request.url.port or 80),
        "client": ("127.0.0.1", 0),
    }
