"""Errors as HTTP answers: `application/problem+json` (RFC 9457), with the status by the error's kind."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError, OperationalError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raven_scan.kernel.database import describe_database_loss
from raven_scan.kernel.errors import ErrorKind, Invalid, NotFound, RavenError
from raven_scan.kernel.long_work import describe_unexpected

MEDIA_TYPE = "application/problem+json"

STATUS_OF_KIND: dict[ErrorKind, int] = {
    ErrorKind.UNAUTHENTICATED: 401,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.CONFLICT: 409,
    ErrorKind.STALE: 412,
    ErrorKind.INVALID: 422,
    ErrorKind.BUSY: 503,
    ErrorKind.THROTTLED: 429,
    ErrorKind.DAMAGED: 500,
    ErrorKind.UNAVAILABLE: 503,
}

TITLE_OF_STATUS = {
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    412: "Changed meanwhile",
    413: "Too large",
    422: "Not valid",
    429: "Too often",
    500: "Internal error",
    503: "Not available now",
}

_RETRY_AFTER_S = "5"
_LONGEST_SHOWN_INPUT = 80
_FEW = 8
_VALUE = re.compile(r"'([^']+)'")

_log = structlog.get_logger(__name__)


def make_problem(error: RavenError) -> JSONResponse:
    """The answer that tells `error`, with all that `make_error` of the kernel needs to make it again."""
    headers: dict[str, str] = {}
    if error.kind is ErrorKind.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.kind is ErrorKind.BUSY:
        headers["Retry-After"] = _RETRY_AFTER_S
    if error.kind is ErrorKind.THROTTLED:
        headers["Retry-After"] = str(error.parameters.get("retry_after_s", _RETRY_AFTER_S))
    return _make_answer(STATUS_OF_KIND[error.kind], error.describe(), headers)


def _make_answer(
    status: int, description: dict[str, Any], headers: dict[str, str] | None = None
) -> JSONResponse:
    content = {
        "type": f"urn:raven-scan:error:{description['code']}",
        "title": TITLE_OF_STATUS.get(status, "Error"),
        "status": status,
        "detail": description["message"],
        "code": description["code"],
        "kind": description["kind"],
        "hint": description["hint"],
        "parameters": description["parameters"],
    }
    return JSONResponse(content, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def describe_validation(errors: Sequence[Any]) -> RavenError:
    """All that pydantic found wrong with a request, in one error; `problems` has each field."""
    problems = [_describe_field(error) for error in errors]
    message = " ".join(problem["message"] for problem in problems)
    return Invalid(
        "request.invalid",
        message,
        hint="Correct the named fields and send the request again.",
        parameters={"problems": problems},
    )


def _describe_field(error: dict[str, Any]) -> dict[str, Any]:
    # The first part of a location says body, query or path, which tells the user nothing.
    field = ".".join(str(part) for part in error["loc"][1:]) or str(error["loc"][0])
    kind = error["type"]
    if kind == "missing":
        message = f"{field} is missing."
    elif kind == "extra_forbidden":
        message = f"{field} is not known here."
    elif kind == "json_invalid":
        field, message = "body", "The body is not JSON."
    else:
        message = f"{field} {_give_reason(error)}{_show_input(error.get('input'))}."
    return {"field": field, "code": kind, "message": message}


def _give_reason(error: dict[str, Any]) -> str:
    reason = str(error["msg"]).rstrip(".")
    if error["type"] in {"enum", "literal_error"}:
        known = _VALUE.findall(str(error.get("ctx", {}).get("expected", "")))
        near = difflib.get_close_matches(str(error.get("input")), known, n=1) if len(known) > _FEW else []
        if near:
            return f"should be one of {len(known)} values, perhaps {near[0]!r}"
    for beginning in ("Value error, ", "Input ", "String "):
        reason = reason.removeprefix(beginning)
    # What a parser says of the place where it stopped helps nobody.
    return "should be a UUID" if error["type"] == "uuid_parsing" else reason


def _show_input(given: Any) -> str:
    if not isinstance(given, str | int | float | bool) and given is not None:
        return ""
    text = repr(given)
    return f", not {text}" if len(text) <= _LONGEST_SHOWN_INPUT else ""


def install_problem_answers(app: FastAPI) -> None:
    """Every error that a router raises becomes a problem."""

    @app.exception_handler(RavenError)
    def answer_known(_: Request, error: RavenError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return make_problem(error)

    @app.exception_handler(RequestValidationError)
    def answer_invalid(_: Request, error: RequestValidationError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return make_problem(describe_validation(error.errors()))

    @app.exception_handler(HTTPException)
    def answer_unknown_path(request: Request, error: HTTPException) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        if error.status_code == 404:
            return make_problem(
                NotFound(
                    "request.unknown_path",
                    f"There is nothing at {request.url.path}.",
                    hint="The paths are listed in /api/v1/openapi.json.",
                )
            )
        if error.status_code == 400:
            return make_problem(
                Invalid(
                    "request.unreadable_body",
                    f"The body cannot be read: {error.detail}.",
                    hint="Send it as its Content-Type says; JSON in UTF-8.",
                )
            )
        kind = ErrorKind.UNAVAILABLE if error.status_code >= 500 else ErrorKind.INVALID
        description: dict[str, Any] = {
            "code": "request.refused",
            "kind": str(kind),
            "message": f"{request.method} {request.url.path}: {error.detail}.",
            "hint": "The paths and their methods are listed in /api/v1/openapi.json.",
            "parameters": {},
        }
        return _make_answer(error.status_code, description, dict(error.headers or {}))

    @app.exception_handler(OperationalError)
    def answer_no_database(_: Request, error: OperationalError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        _log.error("database.unavailable", cause=_describe_cause(error))
        return make_problem(describe_database_loss())


def _describe_cause(error: DBAPIError) -> str:
    # The statement's parameters stay out of the log: they are the users' data.
    return str(error.orig)


class UnexpectedErrors:
    """What nobody foresaw becomes a problem that shows no insides, and a line in the log that shows them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_started = False

        async def note_start(message: Message) -> None:
            nonlocal is_started
            is_started = is_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note_start)
        except Exception as error:
            _log.exception("request.failed", method=scope["method"], path=scope["path"])
            if is_started:
                raise  # the connection is cut, which is the one way left to say that the answer is not whole
            await _make_answer(500, describe_unexpected(error))(scope, receive, send)
