"""The local administrator's token: made at first use, kept in the data folder, for its owner alone."""

import os
import secrets
import stat
import tempfile
from pathlib import Path

from pydantic import SecretStr

from raven_scan.kernel.errors import Forbidden, Invalid

_TOKEN_BYTES = 32


def get_token_file(home: Path) -> Path:
    return home / "token"


def read_or_make_token(home: Path) -> SecretStr:
    """The token of this data folder.

    Raises:
        Forbidden: others than the owner may read the file, or it belongs to somebody else.
        Invalid: the file is empty.
    """
    token = find_token(home)
    if token is None:
        _make_token(home)
        token = find_token(home)
        assert token is not None, "the token was just written"  # noqa: S101
    return token


def find_token(home: Path) -> SecretStr | None:
    """The token of this data folder, None where none was made yet; raises as `read_or_make_token` does."""
    file = get_token_file(home)
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Forbidden(
            "access.token_file_unreadable",
            f"The token file {file} cannot be read: {error.strerror}.",
            hint="Run as the owner of the data folder, or remove the file to have a new token made.",
        ) from None
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as opened:
        _check_is_private(file, os.fstat(descriptor))
        token = opened.read().strip()
    if not token:
        raise Invalid(
            "access.token_file_empty",
            f"The token file {file} is empty.",
            hint="Remove it to have a new token made.",
        )
    return SecretStr(token)


def _check_is_private(file: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise Forbidden(
            "access.token_file_foreign",
            f"The token file {file} is not an ordinary file of this user.",
            hint="Remove it to have a new token made.",
        )
    if status.st_mode & 0o077:
        raise Forbidden(
            "access.token_file_too_open",
            f"Others may read the token file {file} (mode {stat.S_IMODE(status.st_mode):04o}).",
            hint="Remove it to have a new token made; whoever read the old one can use it until then.",
        )


def _make_token(home: Path) -> None:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp's files are 0600 from the first moment; link() fails where another process was first.
    descriptor, temporary = tempfile.mkstemp(prefix=".token-", dir=home)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(secrets.token_urlsafe(_TOKEN_BYTES) + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        try:
            os.link(temporary, get_token_file(home))
        except FileExistsError:
            return
    finally:
        Path(temporary).unlink()
