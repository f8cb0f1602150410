"""Training runs as answers over REST.

They are encoded as they are: a list that is checked against its schema twice takes ten times as long. A test compares
what is said with the schemas.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import Response
from pydantic import BaseModel

from raven_scan.kernel.paging import Page
from raven_scan.kernel.revisions import format_etag
from raven_scan.training_runs.queue_types import QueuedEvaluation, QueueEntry
from raven_scan.training_runs.schemas import TrainingRunOut
from raven_scan.training_runs.types import TrainingRunSummary, TrainingRunView

ETAG: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {"schema": {"type": "string"}, "description": "Send it as If-Match."}}}
}

_FROM_PROGRESS = ("epoch", "epochs")
_FIELDS = [name for name in TrainingRunOut.model_fields if name not in _FROM_PROGRESS]


def answer_page(page: Page[TrainingRunSummary]) -> Response:
    return Response(msgspec.json.encode(page), media_type="application/json")


def answer_queue(page: Page[QueueEntry], evaluations: Sequence[QueuedEvaluation]) -> Response:
    content = {"items": page.items, "next": page.next, "evaluations": evaluations}
    return Response(msgspec.json.encode(content), media_type="application/json")


def answer_run(run: TrainingRunView) -> Response:
    content = msgspec.json.encode(_gather_fields(run), enc_hook=_describe_parameters)
    return Response(content, media_type="application/json", headers={"ETag": format_etag(run.revision)})


def describe_run(run: TrainingRunView) -> TrainingRunOut:
    """The run as a part of another answer."""
    return TrainingRunOut.model_validate(_gather_fields(run), from_attributes=True)


def _gather_fields(run: TrainingRunView) -> dict[str, Any]:
    fields = {name: getattr(run, name) for name in _FIELDS}
    return {**fields, **{name: getattr(run.progress, name) for name in _FROM_PROGRESS}}


def _describe_parameters(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise NotImplementedError
