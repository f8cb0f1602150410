"""The cookie of a session."""

from fastapi import Request, Response
from starlette.requests import HTTPConnection

from raven_scan.access.types import OpenedSession

CSRF_HEADER = "X-CSRF-Token"

_NAME = "raven_session"
_NAME_OVER_TLS = f"__Host-{_NAME}"
"""What browsers take from this very host alone, over TLS alone (RFC 6265bis, section 4.1.3.2)."""


def get_cookie_name(scheme: str) -> str:
    return _NAME_OVER_TLS if scheme == "https" else _NAME


def find_cookie(connection: HTTPConnection) -> str | None:
    return connection.cookies.get(get_cookie_name(connection.url.scheme))


def set_cookie(request: Request, response: Response, opened: OpenedSession) -> None:
    """It is gone with the browser's window; the server decides when the session has ended."""
    response.set_cookie(
        get_cookie_name(request.url.scheme),
        opened.cookie.get_secret_value(),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def remove_cookie(request: Request, response: Response) -> None:
    response.delete_cookie(
        get_cookie_name(request.url.scheme),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
