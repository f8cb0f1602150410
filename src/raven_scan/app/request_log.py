"""One line in the log for each request."""

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_QUIET_PATHS = ("/api/v1/system/health", "/static/", "/_nicegui")

_log = structlog.get_logger(__name__)


class RequestLog:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status: int | None = None
        started = time.perf_counter()

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            say = _log.debug if scope["path"].startswith(_QUIET_PATHS) else _log.info
            # The query stays out: it may hold what users search for.
            say(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                duration_ms=round((time.perf_counter() - started) * 1000, 1),
            )
