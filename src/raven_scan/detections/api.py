"""DetectionsController: detections over REST."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.detections.errors import make_bad_request, make_paths_not_allowed
from raven_scan.detections.formats import make_coco, make_csv
from raven_scan.detections.intake import IMAGES_FIELD, receive_form, receive_paths
from raven_scan.detections.schemas import (
    DEVICE_PATTERN,
    LONGEST_REF,
    DetectionRequest,
    DetectionsOut,
    WarmModelOut,
    WarmModelPage,
)
from raven_scan.detections.service import DetectionService
from raven_scan.detections.types import DEFAULT_BATCH_SIZE, LARGEST_BATCH_SIZE, Detections
from raven_scan.kernel.long_work import stream_work
from raven_scan.kernel.progress import Progress, ignore_progress

_LINES, _JSON, _CSV = "application/x-ndjson", "application/json", "text/csv"
_MOST_THREADS = 64
"""Requests wait for their model in threads of their own, so that others are answered meanwhile."""


class Format(StrEnum):
    """How boxes are told: as this API does, as a COCO document, or as CSV."""

    JSON = "json"
    COCO = "coco"
    CSV = "csv"


_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["model", IMAGES_FIELD],
    "properties": {
        "model": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_REF,
            "description": "NAME or NAME@N of a published model; for reviewers also any model's name or id.",
        },
        "min_confidence": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "Boxes of less are left out. Default: where the model does best, else 0.3.",
        },
        "batch_size": {
            "type": "integer",
            "minimum": 1,
            "maximum": LARGEST_BATCH_SIZE,
            "default": DEFAULT_BATCH_SIZE,
        },
        "device": {
            "type": "string",
            "pattern": DEVICE_PATTERN,
            "description": "Default: as the server is set up.",
        },
        IMAGES_FIELD: {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}},
    },
    "additionalProperties": False,
}
_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The boxes. As lines: progress, and at last done (with the boxes) or failed.",
        "content": {
            _JSON: {
                "schema": {"anyOf": [{"$ref": "#/components/schemas/DetectionsOut"}, {"type": "object"}]}
            },
            _CSV: {"schema": {"type": "string"}},
            _LINES: {"schema": {"type": "string"}},
        },
        "model": DetectionsOut,
    }
}


def build_router(
    service: DetectionService, get_actor: ActorDependency, *, allow_server_paths: bool
) -> APIRouter:
    """The router of detections.

    Args:
        service: the use case.
        get_actor: dependency that tells who asks.
        allow_server_paths: whether a request may name files of this machine; only where it is its user's own.
    """
    router = APIRouter(prefix="/api/v1/detections", tags=["detections"])
    threads = CapacityLimiter(_MOST_THREADS)

    @router.post("", responses=_ANSWERS, response_class=Response, openapi_extra=_BODY)
    async def create(
        request: Request,
        actor: Annotated[Actor, Depends(get_actor)],
        wanted: Annotated[
            Format | None,
            Query(alias="format", description="Default: csv where Accept asks for text/csv, else json."),
        ] = None,
    ) -> Response:
        """Detect on images, with a published model. The images are not kept.

        With `Accept: application/x-ndjson` the answer tells its progress, a JSON object a line.
        """
        accepted = request.headers.get("accept", "")
        form = wanted or (Format.CSV if _CSV in accepted else Format.JSON)
        with ExitStack() as stack:
            asked, images = await _receive(
                request, service, actor, stack, allow_server_paths=allow_server_paths
            )
            # The images belong to the work from here on, whether or not anybody listens to its end.
            kept = stack.pop_all()

        def work(progress: Progress) -> Detections:
            with kept:
                return service.detect(
                    actor,
                    asked.model,
                    images,
                    min_confidence=asked.min_confidence,
                    batch_size=asked.batch_size,
                    device=asked.device,
                    progress=progress,
                )

        if _LINES in accepted:
            return StreamingResponse(_write_lines(work, form, threads), media_type=_LINES)
        detections = await to_thread.run_sync(work, ignore_progress, limiter=threads)
        described = await to_thread.run_sync(_describe, detections, form, limiter=threads)
        if isinstance(described, str):
            return Response(described, media_type=_CSV)
        return Response(msgspec.json.encode(described), media_type=_JSON)

    @router.get("/warm-models")
    def list_warm_models(actor: Annotated[Actor, Depends(get_actor)]) -> WarmModelPage:
        """List the models that processes of this server keep ready."""
        return WarmModelPage(
            items=[WarmModelOut.model_validate(each) for each in service.list_warm_models(actor)]
        )

    return router


async def _receive(
    request: Request, service: DetectionService, actor: Actor, stack: ExitStack, *, allow_server_paths: bool
) -> tuple[DetectionRequest, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    folder = await to_thread.run_sync(stack.enter_context, service.open_folder(actor))
    if kind == "multipart/form-data":
        limits = service.limits
        return await receive_form(
            request, folder, most_images=limits.most_images, most_bytes=limits.most_bytes
        )
    if kind == _JSON:
        if not allow_server_paths:
            raise make_paths_not_allowed()
        return await receive_paths(request)
    raise make_bad_request(
        f"A body of the type {kind[:100]!r} holds no images.",
        f"Send multipart/form-data: files as {IMAGES_FIELD}, and a model.",
    )


def _describe(detections: Detections, form: Format) -> Any:
    match form:
        case Format.COCO:
            return make_coco(detections)
        case Format.CSV:
            return make_csv(detections)
        case Format.JSON:
            return detections


async def _write_lines(
    work: Callable[[Progress], Detections], form: Format, threads: CapacityLimiter
) -> AsyncIterator[bytes]:
    events = stream_work(work, lambda detections: _describe(detections, form))
    while (event := await to_thread.run_sync(next, events, None, limiter=threads)) is not None:
        yield msgspec.json.encode(event) + b"\n"
