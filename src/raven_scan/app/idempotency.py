"""POST with an `Idempotency-Key`: repeated after a lost answer, it does nothing twice.

After draft-ietf-httpapi-idempotency-key-header. A key belongs to its actor and to one request: method, path, query and
body. What a request changes notes in its own transaction that it did (`RequestKey.has_effect`), so that after a
server was killed the next one knows whether the request is to be done or was.
"""

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

import structlog
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What the audit trail writes before a commit is to come before what is written here.
import raven_scan.access.audit  # noqa: F401  # pyright: ignore[reportUnusedImport]
from raven_scan.access.types import Actor
from raven_scan.app import request_keys
from raven_scan.app.problems import make_problem
from raven_scan.app.request_keys import Answer, AnswerLost, Claimed, Finding, InProgress, OtherRequest
from raven_scan.kernel.database import Database, describe_database_loss
from raven_scan.kernel.errors import Conflict, Invalid, RavenError

T = TypeVar("T")

WITHOUT_KEYS = re.compile(
    r"/api/v1/(datasets/import|trained-models/(import|upload|pull|packages/import|[^/]+/(package|verify))"
    r"|detections|uploads/[^/]+/complete|audit/verify|session(/.*)?)"
)
"""What streams its progress, or signs in: there is no one answer to keep, or it is a secret from end to end."""

SECRET_ANSWERS = re.compile(r"/api/v1/(tokens|subscriptions|users(/[^/]+/reset-password)?)")
"""What answers a new token or a one-time password, which is shown once."""

_KEY = re.compile(r'"?([\x21\x23-\x5b\x5d-\x7e]{1,255})"?')
_LARGEST_BODY_BYTES = 1 << 20
_LARGEST_ANSWER_BYTES = 1 << 20
_KEPT_HEADERS = frozenset({"content-type", "etag", "location"})
_NOT_KEPT = frozenset({401, 403, 408, 412, 429})
"""Refusals that may pass; like failures, they are not kept."""

_BETWEEN_CLEANINGS_S = 600.0

_current: ContextVar[Claimed | None] = ContextVar("raven_idempotency_key", default=None)

_log = structlog.get_logger(__name__)


@event.listens_for(Session, "before_commit")
def _note_effect(session: Session) -> None:  # pyright: ignore[reportUnusedFunction]
    claimed = _current.get()
    if claimed is None or session.in_nested_transaction():
        return
    session.flush()
    # PostgreSQL gives a transaction its number when it changes something, not before.
    if not session.scalar(text("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")):
        return
    if not request_keys.note_effect(session, claimed):
        raise Conflict(
            "request.taken_over",
            "The request took so long that it was made again with the same key.",
            hint="Send it again: the other one's answer is kept.",
        )


class IdempotencyKeys:
    """Keeps answers for a day. It stands behind sign-in: keys are each actor's own.

    Args:
        app: what is protected.
        database: where keys and answers are kept.
    """

    def __init__(self, app: ASGIApp, *, database: Database) -> None:
        self._app = app
        self._database = database
        self._cleaned_at = -_BETWEEN_CLEANINGS_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        actor = scope.get("state", {}).get("actor")
        given = Headers(scope=scope).get("idempotency-key") if scope["type"] == "http" else None
        if given is None or scope["method"] != "POST" or not isinstance(actor, Actor):
            await self._app(scope, receive, send)
            return
        try:
            key = _read_key(scope, given)
            body = await _read_body(receive)
        except RavenError as error:
            await make_problem(error)(scope, receive, send)
            return
        if body is None:
            return  # the client is gone
        fingerprint = hmac.digest(key, _describe_request(scope, body), "sha256")
        digest = hashlib.sha256(key).digest()
        try:
            await self._remove_old_keys_now_and_then()
            found = await self._ask(
                lambda session: request_keys.claim_key(session, actor.id, digest, fingerprint)
            )
        except OperationalError:
            await make_problem(describe_database_loss())(scope, receive, send)
            return
        if isinstance(found, Claimed):
            answer = await self._answer(found, scope, body)
        else:
            answer = _repeat(found)
        await answer(scope, receive, send)

    async def _answer(self, claimed: Claimed, scope: Scope, body: bytes) -> Response:
        token = _current.set(claimed)
        try:
            answer = await _collect_answer(self._app, scope, body)
        except Exception:
            _current.reset(token)
            await self._ask(lambda session: request_keys.give_back(session, claimed))
            raise
        _current.reset(token)
        # Kept before it is sent: whoever gets no answer is to get this one.
        try:
            await self._ask(lambda session: _keep(session, claimed, scope["path"], answer))
        except SQLAlchemyError as error:
            _log.warning("idempotency.answer_not_kept", error=type(error).__name__)
        return answer

    async def _ask(self, work: Callable[[Session], T]) -> T:
        def ask() -> T:
            with self._database.transaction() as session:
                return work(session)

        return await asyncio.to_thread(ask)

    async def _remove_old_keys_now_and_then(self) -> None:
        now = time.monotonic()
        if now - self._cleaned_at >= _BETWEEN_CLEANINGS_S:
            self._cleaned_at = now
            await self._ask(request_keys.remove_old)


def _read_key(scope: Scope, given: str) -> bytes:
    if WITHOUT_KEYS.fullmatch(scope["path"]):
        raise Invalid(
            "request.key_not_taken",
            "This call takes no Idempotency-Key: it tells its progress, and keeps no answer.",
            hint="Send it without; names are unique, so that repeating it does nothing twice.",
        )
    found = _KEY.fullmatch(given.strip())
    if found is None:
        raise Invalid(
            "request.bad_key",
            "The Idempotency-Key is none.",
            hint="Send 1 to 255 printable ASCII characters without spaces, such as a new UUID.",
        )
    return found[1].encode()


async def _read_body(receive: Receive) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > _LARGEST_BODY_BYTES:
            raise Invalid(
                "request.too_long",
                f"A request with an Idempotency-Key has at most {_LARGEST_BODY_BYTES} bytes.",
                hint="Send it without the key.",
            )
        if not message.get("more_body", False):
            return bytes(body)


def _describe_request(scope: Scope, body: bytes) -> bytes:
    return b"\0".join([scope["method"].encode(), scope["path"].encode(), scope["query_string"], body])


async def _collect_answer(app: ASGIApp, scope: Scope, body: bytes) -> Response:
    """The whole answer of the application to a request of this body."""
    is_read = False
    status = 500
    headers: list[tuple[bytes, bytes]] = []
    parts: list[bytes] = []

    async def receive() -> Message:
        nonlocal is_read
        if is_read:
            await asyncio.Event().wait()  # whether the client waits for it changes nothing about the work
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message.get("headers", []))
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    answer = Response(b"".join(parts), status_code=status)
    answer.raw_headers = headers
    return answer


def _keep(session: Session, claimed: Claimed, path: str, answer: Response) -> None:
    if answer.status_code >= 500 or answer.status_code in _NOT_KEPT:
        request_keys.give_back(session, claimed)
        return
    headers = {name: value for name, value in answer.headers.items() if name in _KEPT_HEADERS}
    body = bytes(answer.body)
    is_kept = len(body) <= _LARGEST_ANSWER_BYTES and not _is_secret(path, answer)
    request_keys.keep_answer(session, claimed, Answer(answer.status_code, headers, body if is_kept else None))


def _is_secret(path: str, answer: Response) -> bool:
    if answer.status_code >= 400:
        return False
    # What answers a secret elsewhere says that nobody may store it (RFC 9111, section 5.2.2.5).
    return (
        SECRET_ANSWERS.fullmatch(path) is not None
        or "no-store" in answer.headers.get("cache-control", "")
        or "set-cookie" in answer.headers
    )


def _repeat(found: Finding) -> Response:
    match found:
        case Answer(status, headers, bytes() as body):
            answer = Response(body, status_code=status, headers=headers)
            answer.headers["Idempotency-Replayed"] = "true"
            return answer
        case Answer():
            return make_problem(
                Conflict(
                    "request.answer_not_kept",
                    "The request was done before. Its answer held a secret, which is shown once and not kept.",
                    hint="List what it made, remove that, and make another with a new key.",
                )
            )
        case OtherRequest():
            return make_problem(
                Invalid(
                    "request.key_used",
                    "The Idempotency-Key came with another request before.",
                    hint="Send a new key with each new request.",
                )
            )
        case AnswerLost():
            return make_problem(
                Conflict(
                    "request.answer_lost",
                    "The request was done, but the server ended before it could answer.",
                    hint="Read what it made; do not send it again.",
                )
            )
        case InProgress() | Claimed():
            answer = make_problem(
                Conflict(
                    "request.in_progress",
                    "The same request is being answered.",
                    hint="Send it again in a moment, with the same key: you will get its answer.",
                )
            )
            answer.headers["Retry-After"] = "1"
            return answer
