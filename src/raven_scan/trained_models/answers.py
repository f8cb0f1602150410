"""Trained models as answers over REST.

They are encoded as they are: a list that is checked against its schema twice takes ten times as long. A test compares
what is said with the schemas.
"""

from typing import Any

import msgspec
from fastapi import Response

from raven_scan.kernel.paging import Page
from raven_scan.kernel.revisions import format_etag
from raven_scan.trained_models.types import TrainedModelSummary, TrainedModelView

ETAG: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {"schema": {"type": "string"}, "description": "Send it as If-Match."}}}
}


def answer_page(page: Page[TrainedModelSummary]) -> Response:
    return Response(msgspec.json.encode(page), media_type="application/json")


def answer_model(model: TrainedModelView) -> Response:
    headers = {"ETag": format_etag(model.revision)}
    return Response(msgspec.json.encode(model), media_type="application/json", headers=headers)
