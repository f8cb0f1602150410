"""The one ASGI application of a server: the API at its addresses, the screens at all others."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_API = "/api/"
_TALK = "/_nicegui_ws/"
"""Where browsers talk to screens: by plain requests, too, where a proxy lets no WebSocket through."""

_SAFE_HEADERS = {
    # No other page may show ours inside its own and lead a user's clicks.
    "X-Frame-Options": "DENY",
    # NiceGUI's pages have their scripts and styles within, and Vue compiles what it shows; but all comes from here, and
    # nothing goes elsewhere, whatever somebody may get into a page.
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class FrontDoor:
    """Hands on each request to whom it is for.

    Args:
        api: answers what is below `/api/`.
        screens: answers the rest, and takes part in the server's start and end.
    """

    def __init__(self, api: ASGIApp, screens: ASGIApp) -> None:
        self._api = api
        self._screens = screens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_for_api = scope["type"] != "lifespan" and scope["path"].startswith(_API)
        await (self._api if is_for_api else self._screens)(scope, receive, send)


class ScreenGuard:
    """Keeps foreign pages away from the screens: from showing them, and from talking over their connections.

    A browser opens a WebSocket for any page, and sends our cookies with it; whose page it was says the Origin alone.

    Args:
        app: what is protected.
        public_url: where browsers reach the server, if not at the name that it is asked by.
    """

    def __init__(self, app: ASGIApp, *, public_url: str | None, host_names: Sequence[str] | None) -> None:
        self._app = app
        self._public_host = None if public_url is None else urlsplit(public_url).netloc.lower()
        self._host_names = host_names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_talk = scope["type"] == "websocket" or scope.get("path", "").startswith(_TALK)
        if is_talk and not self._is_ours(Headers(scope=scope)):
            await Response(status_code=403)(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_SAFE_HEADERS)
            await send(message)

        await self._app(scope, receive, send_safely if scope["type"] == "http" else send)

    def _is_ours(self, headers: Headers) -> bool:
        host = headers.get("host", "").lower()
        origin = headers.get("origin")
        if self._host_names is not None and (urlsplit(f"//{host}").hostname or "") not in self._host_names:
            return False
        # What is no browser sends none, and has no user whose cookies it could abuse.
        return origin is None or urlsplit(origin).netloc.lower() in {host, self._public_host}
