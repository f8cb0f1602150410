"""The same work on MLflow's tracking server."""

from typing import Any


def compare(*_: Any) -> dict[str, Any]:
    return {"skipped": "the comparison is not there yet"}
