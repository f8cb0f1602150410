"""Passwords: what they may be, and how they are kept (Argon2id, with the parameters of RFC 9106's second choice)."""

import threading
import unicodedata
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import SecretStr

from raven_scan.access.errors import bad_password
from raven_scan.kernel.errors import Busy

if TYPE_CHECKING:  # imported where somebody signs in: no command of one's own machine does
    from pwdlib import PasswordHash
    from pwdlib.hashers import HasherProtocol

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 256
_FEWEST_DIFFERENT_CHARACTERS = 5

_AT_ONCE = 2
_LONGEST_WAIT_S = 5.0


class PasswordKeeper:
    """Hashes and checks passwords, two at a time: each takes 64 MiB and a tenth of a second on purpose.

    Args:
        hasher: another, for tests.
    """

    def __init__(self, hasher: "HasherProtocol | None" = None) -> None:
        self._given_hasher = hasher
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    def hash(self, password: SecretStr) -> str:
        with _Place(self._places):
            return self._hashing.hash(_normalise(password))

    def check(self, password: SecretStr, hash_: str | None) -> tuple[bool, str | None]:
        """Whether it is the password; and its hash by today's parameters where the one given has others.

        Args:
            password: that somebody typed.
            hash_: of the account's password; None where there is no account or it has no password, which takes as
                long.
        """
        nobodys = self._nobodys_hash
        with _Place(self._places):
            is_right, better = self._hashing.verify_and_update(_normalise(password), hash_ or nobodys)
        return (is_right, better) if hash_ is not None else (False, None)

    @cached_property
    def _hashing(self) -> "PasswordHash":
        from pwdlib import PasswordHash  # noqa: PLC0415
        from pwdlib.hashers.argon2 import Argon2Hasher  # noqa: PLC0415

        return PasswordHash((self._given_hasher or Argon2Hasher(),))

    @cached_property
    def _nobodys_hash(self) -> str:
        # Made at the first check, whosever it is: who is unknown must not be told by the time that it takes.
        return self.hash(SecretStr("of nobody at all"))


class _Place:
    def __init__(self, places: threading.BoundedSemaphore) -> None:
        self._places = places

    def __enter__(self) -> None:
        if not self._places.acquire(timeout=_LONGEST_WAIT_S):
            raise Busy(
                "access.too_many_sign_ins",
                "Too many people sign in at this moment.",
                hint="Try again in a few seconds.",
            )

    def __exit__(self, *_: object) -> None:
        self._places.release()


def check_new_password(password: SecretStr, *, user_name: str, current: SecretStr) -> None:
    """Refuses what is guessed first. Raises Invalid."""
    text = _normalise(password)
    problems = (
        (len(text) < SHORTEST_PASSWORD, f"it has {len(text)} characters, and needs {SHORTEST_PASSWORD}"),
        (len(text) > LONGEST_PASSWORD, f"it has more than {LONGEST_PASSWORD} characters"),
        (text == _normalise(current), "it is the one that you have"),
        (user_name.casefold() in text.casefold() and len(text) < 2 * SHORTEST_PASSWORD, "your name is in it"),
        (len(set(text)) < _FEWEST_DIFFERENT_CHARACTERS, "it repeats a few characters"),
    )
    found = next((problem for is_there, problem in problems if is_there), None)
    if found is not None:
        raise bad_password(found)


def _normalise(password: SecretStr) -> str:
    # Keyboards write one letter in several ways (NIST SP 800-63B, 3.1.1.2).
    return unicodedata.normalize("NFKC", password.get_secret_value()).encode("utf-8", "replace").decode()
