"""Which server is meant, and what each request to it carries."""

import os
from urllib.parse import urlsplit

import raven_scan
from raven_scan.kernel.errors import Invalid

IN_PROCESS_URL = "http://in-process"
DEFAULT_TIMEOUT_S = 60.0

_OWN_MACHINE_URL = "http://127.0.0.1:8700"


def choose_server(base_url: str | None) -> str:
    """The address given, or RAVEN_SERVER, or this machine's.

    Raises:
        Invalid: it is none.
    """
    if base_url is None:
        base_url = os.environ.get("RAVEN_SERVER") or _OWN_MACHINE_URL
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Invalid(
            "client.bad_address",
            f"{base_url!r} is not a server's address.",
            hint="An address is like http://127.0.0.1:8700; see RAVEN_SERVER.",
        )
    return base_url


def make_headers(token: str | None) -> dict[str, str]:
    """With the token given, or RAVEN_TOKEN.

    Raises:
        Invalid: it is none.
    """
    token = token or os.environ.get("RAVEN_TOKEN")
    headers = {"User-Agent": f"raven-scan/{raven_scan.__version__}"}
    if token:
        if not token.isascii() or not token.isprintable():
            raise Invalid(
                "client.bad_token",
                "The token has a character that no token has.",
                hint="Copy it again; `raven tokens create` makes a new one.",
            )
        headers["Authorization"] = f"Bearer {token}"
    return headers
