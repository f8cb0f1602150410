"""What the OpenAPI document says of all operations alike: how they refuse, and what their answers lead to."""

from typing import Any

from fastapi import FastAPI

from raven_scan.app.api_links import describe_links
from raven_scan.app.idempotency import WITHOUT_KEYS
from raven_scan.app.problems import MEDIA_TYPE, TITLE_OF_STATUS

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "kind", "hint", "parameters"],
    "properties": {
        "type": {"type": "string", "description": "`urn:raven-scan:error:` and the code."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence for the user."},
        "code": {"type": "string", "description": "Stable and dotted, such as `training_run.not_found`."},
        "kind": {"type": "string"},
        "hint": {"type": "string", "description": "What to do next; may be empty."},
        "parameters": {"type": "object", "description": "What the sentence speaks of."},
    },
}
_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Chosen by the client: a request that is repeated with its key is done once, and answered alike.",
    "schema": {"type": "string", "pattern": r"^[\x21\x23-\x5b\x5d-\x7e]{1,255}$"},
}
_OF_ALL = (401, 403, 422, 429, 503)
_OF_CHANGES = (409, 413)
_CHANGING = frozenset({"post", "put", "patch", "delete"})
_FRAMEWORKS_OWN = ("HTTPValidationError", "ValidationError")


def install_api_document(app: FastAPI) -> None:
    """Has the application's document tell of every refusal, and of links; call it when all routers are in."""
    make_document = app.openapi

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = make_document()
            _describe_refusals(document)
            describe_links(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = describe


def _describe_refusals(document: dict[str, Any]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _FRAMEWORKS_OWN:
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "post" and operation.get("security") and not WITHOUT_KEYS.fullmatch(path):
                operation.setdefault("parameters", []).append(_KEY)
            for status in _list_statuses(path, method, operation):
                operation["responses"][str(status)] = {
                    "description": TITLE_OF_STATUS[status],
                    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }


def _list_statuses(path: str, method: str, operation: dict[str, Any]) -> list[int]:
    statuses = [*_OF_ALL]
    parameters = {each["name"].lower() for each in operation.get("parameters", [])}
    if (
        "{" in path
        or method in _CHANGING
        or "query" in {each["in"] for each in operation.get("parameters", [])}
    ):
        statuses.append(404)
    if method in _CHANGING:
        statuses += _OF_CHANGES
    if "if-match" in parameters:
        statuses.append(412)
    return statuses
