"""What requests are made of, and what is read from their answers, however they travelled."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx

from raven_scan.kernel.errors import ErrorKind, Invalid, RavenError, Unavailable, make_error

Parameters = Mapping[str, str | int | float | bool | Sequence[str] | None]

_MAY_PASS = frozenset({429, 502, 503, 504})
"""Statuses of what another try may find well again."""


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How often what is safe to repeat is sent, and how long is waited between.

    Attributes:
        tries: all together; 1 never repeats.
        pause_s: before the second try; doubled before each further one, with some chance in it.
        longest_pause_s: a server that asks to wait for longer is not tried again.
    """

    tries: int = 4
    pause_s: float = 0.25
    longest_pause_s: float = 30.0

    def find_pause_s(self, tried: int, answer: httpx.Response | None) -> float | None:
        """Seconds to wait before the next try; None where there is none.

        Args:
            tried: tries that were made.
            answer: of the last; None where none came.
        """
        if tried >= self.tries:
            return None
        if answer is not None and answer.status_code not in _MAY_PASS and not is_held(answer):
            return None
        asked_s = None if answer is None else read_retry_after_s(answer)
        if asked_s is not None:
            return asked_s if asked_s <= self.longest_pause_s else None
        # Many clients that lost the same server must not all come back at once.
        chance = random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        return min(self.longest_pause_s, self.pause_s * 2 ** max(0, tried - 1)) * chance


@dataclass(frozen=True, slots=True)
class RequestBody:
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def quote_ref(ref: object) -> str:
    """A name or id as one segment of a path."""
    return quote(str(ref), safe="")


def encode_json(content: Any) -> RequestBody:
    if content is None:
        return RequestBody()
    try:
        encoded = json.dumps(content, allow_nan=False).encode()
    except ValueError:
        raise Invalid(
            "client.not_finite", "A number is not finite.", hint="Give a number, not nan or inf."
        ) from None
    return RequestBody(encoded, {"Content-Type": "application/json"})


def drop_none(parameters: Parameters | None) -> dict[str, Any] | None:
    if parameters is None:
        return None
    return {name: value for name, value in parameters.items() if value is not None}


def is_held(answer: httpx.Response) -> bool:
    """Whether the same request is still being answered: a conflict that says when to come again."""
    return answer.status_code == 409 and "retry-after" in answer.headers


def read_retry_after_s(answer: httpx.Response) -> float | None:
    """Seconds that the answer asks to wait (RFC 9110, section 10.2.3); None where it does not, or unreadably."""
    asked = answer.headers.get("retry-after", "").strip()
    if asked.isdecimal():
        return float(asked)
    try:
        return max(0.0, (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def read_answer(answer: httpx.Response) -> Any:
    """The JSON of an answer; raises what the platform refused."""
    if not answer.is_success:
        raise read_problem(answer)
    try:
        return answer.json() if answer.content else None
    except ValueError:
        raise _make_unexpected(answer) from None


def read_problem(answer: httpx.Response) -> RavenError:
    try:
        problem = answer.json()
        return make_error(
            {
                "code": problem["code"],
                "kind": problem["kind"],
                "message": problem["detail"],
                "hint": problem["hint"],
                "parameters": problem["parameters"],
            }
        )
    except (ValueError, KeyError, TypeError):
        return _make_unexpected(answer)


def _make_unexpected(answer: httpx.Response) -> RavenError:
    return make_error(
        {
            "code": "client.unexpected_answer",
            "kind": str(ErrorKind.UNAVAILABLE),
            "message": f"{answer.url} answered {answer.status_code}, and not as Raven Scan does.",
            "hint": "Check the server's address, and what stands between.",
            "parameters": {"status": answer.status_code},
        }
    )


def make_broken_off() -> Unavailable:
    return Unavailable(
        "client.broken_off",
        "The server broke off before the work was done.",
        hint="See whether the server still runs; then try again.",
    )
