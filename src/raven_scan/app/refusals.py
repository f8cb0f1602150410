"""Puts refusals into the audit trail: once, at the front door, and no more of them than a disk can bear."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from anyio import to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raven_scan.access.audit import Target, record
from raven_scan.access.types import STRANGER, Actor, Claim
from raven_scan.app.problems import MEDIA_TYPE
from raven_scan.kernel.database import Database

WINDOW_S = 300.0
"""What is refused again within so long is counted, and recorded once more with its count."""

MOST_AT_ONCE = 30
"""Kinds of refusal of accounts, and as many of strangers, that are told apart within a window."""

_LINES = "application/x-ndjson"
_LONGEST_PATH = 200
_RECORDED_ELSEWHERE = frozenset({"access.sign_in_failed"})
_CLAIMS = {str(claim): claim for claim in Claim}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Somebody was refused something."""

    actor: Actor
    code: str
    claim: str | None
    method: str
    path: str


@dataclass(slots=True)
class _Counted:
    """A refusal of this window. `repeats`: how often the like came after the first, the last of which is `latest`."""

    latest: Refusal
    began_at: float
    repeats: int = 0
    actors: set[UUID] = field(default_factory=set[UUID])
    addresses: set[str] = field(default_factory=set[str])


class RefusalTally:
    """Tells which refusals are to be recorded, with how many they stand for.

    The first of a kind is recorded at once, the rest of its window together when that is over. A kind is who was
    refused, from where, and why; where there are too many kinds, those that come last are counted together.
    """

    def __init__(self, *, window_s: float = WINDOW_S, most_at_once: int = MOST_AT_ONCE) -> None:
        self._window_s = window_s
        self._most_at_once = most_at_once
        self._counted: dict[tuple[Any, ...], _Counted] = {}

    def add(self, refusal: Refusal, now: float) -> bool:
        """Counts one; tells whether it is to be recorded now. `now`: seconds of the monotonic clock."""
        is_stranger = refusal.actor.id == STRANGER.id
        key: tuple[Any, ...] = (is_stranger, refusal.actor.id, refusal.actor.address, refusal.code)
        if key not in self._counted and sum(each[0] is is_stranger for each in self._counted) >= (
            self._most_at_once
        ):
            key = (is_stranger, "others")
        is_first = key not in self._counted
        counted = self._counted.setdefault(key, _Counted(refusal, now))
        if not is_first:
            counted.latest = refusal
            counted.repeats += 1
            if len(counted.actors) < self._most_at_once:
                counted.actors.add(refusal.actor.id)
            if len(counted.addresses) < self._most_at_once:
                counted.addresses.add(refusal.actor.address)
        return is_first

    def take_ended(self, now: float) -> list[tuple[Refusal, dict[str, Any]]]:
        """What was counted in windows that are over, each with its details."""
        ended = [(key, each) for key, each in self._counted.items() if now - each.began_at >= self._window_s]
        for key, _ in ended:
            del self._counted[key]
        return [
            (
                each.latest if len(each.actors) == 1 else replace(each.latest, actor=STRANGER),
                {"count": each.repeats, "seconds": round(now - each.began_at), "addresses": each.addresses},
            )
            for _, each in ended
            if each.repeats
        ]


class RefusalRecorder:
    """Reads answers that refuse something on their way out, and keeps them back until they are in the trail.

    These are: what a claim is missing for, also where that answers as not found; a token or a session that is shown
    and is no good; a foreign page or host. Sign-ins that fail are recorded where they do.

    Args:
        app: what may refuse.
        database: that the trail is in.
        clock: seconds of the monotonic clock.
    """

    def __init__(
        self, app: ASGIApp, *, database: Database, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._database = database
        self._clock = clock
        self._tally = RefusalTally()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Here it is shared with what comes after, which says there whom it recognised.
        scope.setdefault("state", {})
        for refusal, details in self._tally.take_ended(self._clock()):
            await self._record(refusal, details)
        answer = _Answer()

        async def look(message: Message) -> None:
            for problem in answer.read(message):
                await self._judge(scope, problem)
            for each in answer.take_sendable():
                await send(each)

        await self._app(scope, receive, look)

    async def _judge(self, scope: Scope, problem: dict[str, Any]) -> None:
        connection = HTTPConnection(scope)
        actor = scope["state"].get("actor")
        if not isinstance(actor, Actor):
            actor = replace(STRANGER, address="" if connection.client is None else connection.client.host)
        code, kind, claim = str(problem.get("code")), problem.get("kind"), None
        if kind == "forbidden":
            claim = problem.get("parameters", {}).get("claim")
        elif kind == "not_found":
            claim = f"{code.partition('.')[0]}:view"
            if claim not in _CLAIMS or actor.may(_CLAIMS[claim]):
                return
        elif kind != "unauthenticated" or code in _RECORDED_ELSEWHERE or not _shows_something(connection):
            return
        refusal = Refusal(actor, code, claim, scope["method"], scope["path"][:_LONGEST_PATH])
        if self._tally.add(refusal, self._clock()):
            await self._record(refusal, {})

    async def _record(self, refusal: Refusal, details: dict[str, Any]) -> None:
        try:
            await to_thread.run_sync(partial(self._write, refusal, details))
        except SQLAlchemyError:
            # The answer is the same; who asks again is recorded when the database is back.
            _log.exception("audit.refusal_not_recorded", code=refusal.code, actor=refusal.actor.name)

    def _write(self, refusal: Refusal, details: dict[str, Any]) -> None:
        with self._database.transaction() as session:
            record(
                session,
                refusal.actor,
                "access.refused",
                Target("request", None, f"{refusal.method} {refusal.path}"),
                code=refusal.code,
                **({} if refusal.claim is None else {"claim": refusal.claim}),
                **details,
            )


class _Answer:
    """An answer on its way out: what of it may go on, and which problems it tells."""

    def __init__(self) -> None:
        self._start: Message | None = None
        self._body = bytearray()
        self._is_lines = False
        self._sendable: list[Message] = []

    def read(self, message: Message) -> list[dict[str, Any]]:
        """Takes the next message; returns the problems that it makes whole."""
        if message["type"] == "http.response.start":
            headers = {name.lower(): value for name, value in message["headers"]}
            kind = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0]
            self._is_lines = kind == _LINES
            if kind == MEDIA_TYPE and message["status"] in {401, 403, 404}:
                self._start = message
                return []
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if message.get("more_body", False):
                return []
            self._sendable += [self._start, {"type": "http.response.body", "body": bytes(self._body)}]
            self._start = None
            return _parse(self._body)
        self._sendable.append(message)
        if self._is_lines and b'"failed"' in message.get("body", b""):
            # Long work fails in the last line of an answer that began well.
            return [each["error"] for each in _parse(message["body"]) if each.get("event") == "failed"]
        return []

    def take_sendable(self) -> list[Message]:
        taken, self._sendable = self._sendable, []
        return taken


def _parse(text: bytes | bytearray) -> list[dict[str, Any]]:
    """The JSON objects that are in it, a line each."""
    found: list[dict[str, Any]] = []
    for line in bytes(text).splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [each for each in found if isinstance(each, dict)]  # pyright: ignore[reportUnnecessaryIsInstance]


def _shows_something(connection: HTTPConnection) -> bool:
    """Whether a token or the cookie of a session came with it: who comes with nothing has not signed in yet."""
    return "authorization" in connection.headers or any(
        name.endswith("raven_session") for name in connection.cookies
    )
