"""What can be done with what an answer tells of, as links of the OpenAPI document.

They follow from its paths: whatever is made or listed at `/things` can be used at `/things/{ref}…`, by its id.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_JSON = "application/json"
_OF_ONE = re.compile(r"(?P<things>/api/v1/[\w-]+)/\{(?P<parameter>\w+)\}(/[\w-]+)*")
_REFS = (("id",), ("user", "id"), ("run", "id"), ("name",))
"""Where answers have what names the thing: the first of these that is there."""

_RESTORE = "/api/v1/trash/{id}/restore"
_WITH_TRASH = ("/api/v1/datasets/{ref}", "/api/v1/trained-models/{ref}", "/api/v1/training-runs/{ref}")


@dataclass(frozen=True, slots=True)
class _Use:
    """An operation on one thing. `parameter`: of its path, that names the thing."""

    operation_id: str
    parameter: str


def describe_links(document: dict[str, Any]) -> None:
    """Adds to the answers of the document what may come next."""
    uses = _find_uses(document)
    for path, method, operation in _list_operations(document):
        things = path.partition("/{")[0]
        if method == "post" and "201" in operation["responses"]:
            _link(document, operation["responses"]["201"], uses.get(things, []), "")
        elif method == "get" and path in uses:
            _link(document, operation["responses"]["200"], uses.get(things, []), "/items/0")
    restore = document["paths"][_RESTORE]["post"]["operationId"]
    for path in _WITH_TRASH:
        answer = document["paths"][path]["delete"]["responses"]["204"]
        answer["links"] = {
            restore: {
                "operationId": restore,
                "parameters": {"id": "$request.path.ref"},
                "description": "Where its id was given.",
            }
        }


def _list_operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def _find_uses(document: dict[str, Any]) -> dict[str, list[_Use]]:
    """By the path of the things."""
    uses: dict[str, list[_Use]] = {}
    for path, _, operation in _list_operations(document):
        if match := _OF_ONE.fullmatch(path):
            use = _Use(operation["operationId"], match["parameter"])
            uses.setdefault(match["things"], []).append(use)
    return uses


def _link(document: dict[str, Any], answer: dict[str, Any], uses: list[_Use], place: str) -> None:
    """`place`: of the thing in the answer, as a JSON pointer."""
    schema = _find_schema(document, answer.get("content", {}).get(_JSON, {}).get("schema", {}), place)
    ref = next((each for each in _REFS if _has(document, schema, each)), None)
    if ref is None or not uses:
        return
    expression = f"$response.body#{place}/{'/'.join(ref)}"
    answer["links"] = {
        use.operation_id: {"operationId": use.operation_id, "parameters": {use.parameter: expression}}
        for use in uses
    }


def _find_schema(document: dict[str, Any], schema: dict[str, Any], place: str) -> dict[str, Any]:
    schema = _resolve(document, schema)
    if place:
        items = _resolve(document, schema.get("properties", {}).get("items", {}))
        schema = _resolve(document, items.get("items", {}))
    return schema


def _has(document: dict[str, Any], schema: dict[str, Any], names: tuple[str, ...]) -> bool:
    for name in names:
        schema = _resolve(document, schema.get("properties", {}).get(name, {}))
    return bool(schema)


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    return document["components"]["schemas"][reference.rpartition("/")[2]]
