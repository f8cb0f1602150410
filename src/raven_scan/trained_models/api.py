"""TrainedModelsController: trained models over REST."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from raven_scan.access.types import Actor
from raven_scan.kernel.errors import Forbidden, Invalid, Unavailable
from raven_scan.kernel.long_work import stream_work
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest
from raven_scan.kernel.progress import Progress
from raven_scan.trained_models.checkpoint_reading import LARGEST_CHECKPOINT_BYTES
from raven_scan.trained_models.schemas import (
    TrainedModelImport,
    TrainedModelOut,
    TrainedModelPage,
    TrainedModelPull,
)
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import Origin, Stage, TrainedModelView

_WRITE_BYTES = 1 << 20
_LINES = "application/x-ndjson"
_WORK: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One JSON object a line: progress, and at last done (with the model) or failed.",
        "content": {_LINES: {"schema": {"type": "string"}}},
    }
}


ModelWork = Callable[[Progress], TrainedModelView]


def build_router(
    service: TrainedModelService, get_actor: Callable[..., Actor], *, allow_server_paths: bool
) -> APIRouter:
    """The router of trained models.

    Args:
        service: the use cases.
        get_actor: dependency that tells who asks.
        allow_server_paths: whether an import may name a file of the server's machine.
    """
    router = APIRouter(prefix="/api/v1/trained-models", tags=["trained models"])

    @router.get("")
    def list_all(
        actor: Annotated[Actor, Depends(get_actor)],
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        origin: Origin | None = None,
        stage: Stage | None = None,
        architecture: str | None = None,
        dataset_version: UUID | None = None,
    ) -> TrainedModelPage:
        """List trained models, newest first."""
        page = service.list_models(
            actor,
            PageRequest.parse(limit, cursor),
            origin=origin,
            stage=stage,
            architecture=architecture,
            dataset_version_id=dataset_version,
        )
        return TrainedModelPage(items=[_describe(model) for model in page.items], next=page.next)

    @router.get("/{ref}")
    def get(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> TrainedModelOut:
        """Read a trained model, by name or id."""
        return _describe(service.get_model(actor, ref))

    @router.post(
        "/import", responses=_WORK, response_class=StreamingResponse, openapi_extra=_describe_import_body()
    )
    async def import_checkpoint(
        request: Request,
        actor: Annotated[Actor, Depends(get_actor)],
        architecture: Annotated[str, Query(description="Of an upload: what it is of.")] = "",
        name: Annotated[str, Query(description="Of an upload: the model's name.")] = "",
        file_name: Annotated[str, Query(description="Of an upload: what the file is called.")] = "checkpoint",
    ) -> StreamingResponse:
        """Import a checkpoint: one that the server can read (JSON), or one that is the request's body."""
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type == "application/json":
            work = await run_in_threadpool(_plan_import, actor, _parse_import(await request.body()))
        else:
            work = await _take_upload(request, actor, architecture, name, file_name)
        return _answer_work(work)

    def _plan_import(actor: Actor, body: TrainedModelImport) -> ModelWork:
        if not allow_server_paths:
            raise Forbidden(
                "trained_model.path_not_allowed",
                "This server does not read files of its own machine for others.",
                hint="Send the file itself, as application/octet-stream.",
            )
        service.check_import(actor, architecture=body.architecture, name=body.name)
        return lambda progress: service.import_checkpoint(
            actor, Path(body.path), architecture=body.architecture, name=body.name, progress=progress
        )

    async def _take_upload(
        request: Request, actor: Actor, architecture: str, name: str, file_name: str
    ) -> ModelWork:
        with ExitStack() as stack:
            upload = service.open_upload(actor, architecture=architecture, name=name, file_name=file_name)
            path = await run_in_threadpool(stack.enter_context, upload)
            await _receive(request, path)
            # The file belongs to the work from here on, whether or not anybody listens to its end.
            upload_ended = stack.pop_all()

        def work(progress: Progress) -> TrainedModelView:
            with upload_ended:
                return service.import_checkpoint(
                    actor, path, architecture=architecture, name=name, file_name=file_name, progress=progress
                )

        return work

    @router.post("/pull", responses=_WORK, response_class=StreamingResponse)
    def pull(actor: Annotated[Actor, Depends(get_actor)], body: TrainedModelPull) -> StreamingResponse:
        """Download a checkpoint of MMDetection's model index, and import it."""
        return _answer_work(
            lambda progress: service.pull_model(actor, body.model, name=body.name, progress=progress)
        )

    return router


def _parse_import(body: bytes) -> TrainedModelImport:
    try:
        return TrainedModelImport.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(
            [{**problem, "loc": ("body", *problem["loc"])} for problem in error.errors()]
        ) from error


def _describe_import_body() -> dict[str, Any]:
    content = {
        "application/json": {"schema": TrainedModelImport.model_json_schema()},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    }
    return {"requestBody": {"required": True, "content": content}}


async def _receive(request: Request, path: Path) -> None:
    received_bytes = 0
    waiting = bytearray()
    try:
        with path.open("xb") as file:
            async for chunk in request.stream():
                waiting += chunk
                received_bytes += len(chunk)
                if received_bytes > LARGEST_CHECKPOINT_BYTES:
                    raise Invalid(
                        "trained_model.bad_checkpoint_file",
                        f"{path.name} has more than {LARGEST_CHECKPOINT_BYTES} bytes.",
                        hint="Give a checkpoint of one model.",
                    )
                if len(waiting) >= _WRITE_BYTES:
                    await run_in_threadpool(file.write, bytes(waiting))
                    waiting.clear()
            file.write(waiting)
    except OSError as error:
        raise Unavailable(
            "trained_model.upload_not_stored",
            f"{path.name} could not be stored: {error.strerror or error}.",
            hint="Free some space on the server.",
        ) from error


def _answer_work(work: ModelWork) -> StreamingResponse:
    def write_lines() -> Iterator[str]:
        for event in stream_work(work, lambda model: _describe(model).model_dump(mode="json")):
            yield json.dumps(event) + "\n"

    return StreamingResponse(write_lines(), media_type=_LINES)


def _describe(model: TrainedModelView) -> TrainedModelOut:
    return TrainedModelOut.model_validate(model)
