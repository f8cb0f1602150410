"""The tokens that `raven login` keeps: one for each server, in the user's configuration folder, for them alone."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs

from raven_scan.kernel.errors import Forbidden, Invalid

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class SavedToken:
    """`id`: of the token at the server; `user`: whose it is."""

    token: str = field(repr=False)
    id: str
    user: str


def get_file() -> Path:
    return Path(platformdirs.user_config_dir("raven-scan")) / "tokens.json"


def find_saved_token(server: str) -> SavedToken | None:
    """The token for that server.

    Raises:
        Forbidden: others may read the file.
        Invalid: it is not what this program wrote.
    """
    found = _read().get(normalise_server(server))
    return None if found is None else SavedToken(**found)


def save_token(server: str, saved: SavedToken) -> None:
    _write(_read() | {normalise_server(server): asdict(saved)})


def forget_token(server: str) -> None:
    kept = _read()
    if kept.pop(normalise_server(server), None) is not None:
        _write(kept)


def normalise_server(server: str) -> str:
    """Scheme, host and port: what decides whom a token is sent to."""
    try:
        parts = urlsplit(server)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return server
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def _read() -> dict[str, Any]:
    file = get_file()
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Forbidden(
            "login.file_unreadable",
            f"The file of saved tokens {file} cannot be read: {error.strerror}.",
            hint="Remove it, and sign in again with `raven login`.",
        ) from None
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as opened:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise Forbidden(
                "login.file_too_open",
                f"Others may read or have made the file of saved tokens {file}.",
                hint="Remove it, revoke its tokens with `raven tokens revoke`, and sign in again with `raven login`.",
            )
        text = opened.read()
    try:
        return dict(json.loads(text)["servers"])
    except (ValueError, KeyError, TypeError):
        raise Invalid(
            "login.bad_file",
            f"The file of saved tokens {file} is damaged.",
            hint="Remove it, and sign in again with `raven login`.",
        ) from None


def _write(servers: dict[str, Any]) -> None:
    file = get_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp's files are 0600 from the first moment.
    descriptor, temporary = tempfile.mkstemp(prefix=".tokens-", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            json.dump({"servers": servers}, opened, indent=2)
            opened.flush()
            os.fsync(opened.fileno())
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
