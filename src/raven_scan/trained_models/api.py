"""TrainedModelsController: trained models over REST."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from raven_scan.access.types import Actor
from raven_scan.kernel.errors import Forbidden, Invalid, Unavailable
from raven_scan.kernel.long_work import stream_work
from raven_scan.kernel.paging import DEFAULT_LIMIT, Page, PageRequest
from raven_scan.kernel.progress import Progress
from raven_scan.kernel.revisions import format_etag, parse_if_match
from raven_scan.trained_models.checkpoint_reading import LARGEST_CHECKPOINT_BYTES
from raven_scan.trained_models.schemas import (
    TrainedModelEdit,
    TrainedModelImport,
    TrainedModelOut,
    TrainedModelPage,
    TrainedModelPull,
)
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.stewardship import ModelStewardship
from raven_scan.trained_models.types import (
    ModelFilter,
    Origin,
    Stage,
    TrainedModelSummary,
    TrainedModelView,
)

_WRITE_BYTES = 1 << 20
_LINES = "application/x-ndjson"
_WORK: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One JSON object a line: progress, and at last done (with the model) or failed.",
        "content": {_LINES: {"schema": {"type": "string"}}},
    }
}

_FILE: dict[str, Any] = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}

_SORTS = "name, created_at, test_map50 or size; with - before it from the highest to the lowest"
_SEARCHED = "Words that begin so in name, notes, architecture, dataset, base model or run."
_ETAG: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {"schema": {"type": "string"}, "description": "Send it as If-Match."}}}
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_DOWNLOAD: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The whole file.",
        "content": {"application/octet-stream": _BINARY, "application/json": {}},
    },
    206: {
        "description": "The part that was asked for.",
        "content": {"application/octet-stream": _BINARY, "application/json": {}},
    },
    416: {"description": "The file has no such part."},
}


def build_router(
    service: TrainedModelService,
    stewardship: ModelStewardship,
    get_actor: Callable[..., Actor],
    *,
    allow_server_paths: bool,
) -> APIRouter:
    """The router of trained models.

    Args:
        service: what there is, and where it comes from.
        stewardship: edit, delete, download.
        get_actor: dependency that tells who asks.
        allow_server_paths: whether an import may name a file of the server's machine.
    """
    router = APIRouter(prefix="/api/v1/trained-models", tags=["trained models"])

    @router.get("", response_model=TrainedModelPage)
    def list_all(
        actor: Annotated[Actor, Depends(get_actor)],
        query: Annotated[_ListQuery, Depends()],
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        sort: Annotated[str | None, Query(description=_SORTS)] = None,
    ) -> Response:
        """List trained models, newest first where `sort` says nothing else."""
        page = service.list_models(actor, PageRequest.parse(limit, cursor, sort), query.chosen)
        return _answer(page)

    @router.get("/{ref}", response_model=TrainedModelOut, responses=_ETAG)
    def get(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> Response:
        """Read a trained model, by name or id."""
        return _answer_model(service.get_model(actor, ref))

    @router.patch("/{ref}", response_model=TrainedModelOut, responses=_ETAG)
    def edit(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        body: TrainedModelEdit,
        if_match: Annotated[str | None, Header(description="The ETag that you read.")] = None,
    ) -> Response:
        """Change a model's name or notes."""
        return _answer_model(
            stewardship.edit(actor, ref, name=body.name, notes=body.notes, expected=parse_if_match(if_match))
        )

    @router.delete("/{ref}", status_code=204)
    def delete(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> None:
        """Put a model into the trash; refused where it is published, or something needs it."""
        stewardship.delete(actor, ref)

    @router.get("/{ref}/download", response_class=FileResponse, responses=_DOWNLOAD)
    def download(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        file: Literal["weights", "configuration"] = "weights",
        range_: Annotated[str | None, Header(alias="range", description="A part, as bytes=1000-")] = None,
    ) -> FileResponse:
        """Download a model's weights, as safetensors, or its configuration, as JSON. The ETag is its sha256."""
        is_resumed = range_ is not None and not range_.replace(" ", "").startswith("bytes=0-")
        found = stewardship.open_file(actor, ref, file, is_resumed=is_resumed)
        return FileResponse(
            found.path,
            media_type="application/json" if file == "configuration" else "application/octet-stream",
            filename=found.file_name,
            headers={"ETag": f'"{found.digest}"'},
        )

    @router.post("/import", responses=_WORK, response_class=StreamingResponse)
    def import_file(
        actor: Annotated[Actor, Depends(get_actor)], body: TrainedModelImport
    ) -> StreamingResponse:
        """Import a checkpoint file that the server can read."""
        if not allow_server_paths:
            raise Forbidden(
                "trained_model.path_not_allowed",
                "This server does not read files of its own machine for others.",
                hint="Send the file itself: POST /api/v1/trained-models/upload.",
            )
        service.check_import(actor, architecture=body.architecture, name=body.name)
        return _answer_work(
            lambda progress: service.import_checkpoint(
                actor, Path(body.path), architecture=body.architecture, name=body.name, progress=progress
            )
        )

    @router.post(
        "/upload", responses=_WORK, response_class=StreamingResponse, openapi_extra={"requestBody": _FILE}
    )
    async def upload(
        request: Request,
        actor: Annotated[Actor, Depends(get_actor)],
        architecture: str,
        name: str,
        file_name: Annotated[str, Query(description="What the file is called; messages name it.")],
    ) -> StreamingResponse:
        """Import a checkpoint that is the request's body."""
        with ExitStack() as stack:
            taken = service.open_upload(actor, architecture=architecture, name=name, file_name=file_name)
            path = await run_in_threadpool(stack.enter_context, taken)
            await _receive(request, path)
            # The file belongs to the work from here on, whether or not anybody listens to its end.
            upload_ended = stack.pop_all()

        def work(progress: Progress) -> TrainedModelView:
            with upload_ended:
                return service.import_checkpoint(
                    actor, path, architecture=architecture, name=name, progress=progress
                )

        return _answer_work(work)

    @router.post("/pull", responses=_WORK, response_class=StreamingResponse)
    def pull(actor: Annotated[Actor, Depends(get_actor)], body: TrainedModelPull) -> StreamingResponse:
        """Download a checkpoint of MMDetection's model index, and import it."""
        return _answer_work(
            lambda progress: service.pull_model(actor, body.model, name=body.name, progress=progress)
        )

    return router


class _ListQuery:
    """Which models a list has."""

    def __init__(
        self,
        q: Annotated[str | None, Query(description=_SEARCHED)] = None,
        origin: Origin | None = None,
        stage: Stage | None = None,
        architecture: Annotated[str | None, Query(pattern=r"^[a-z0-9-]+$")] = None,
        dataset_version: Annotated[str | None, Query(description="name@version or id")] = None,
        base_model: Annotated[str | None, Query(description="name or id")] = None,
        training_run: Annotated[str | None, Query(description="name or id")] = None,
        class_: Annotated[
            str | None, Query(alias="class", description="Models that know this class.")
        ] = None,
    ) -> None:
        self.chosen = ModelFilter(
            origin=origin,
            stage=stage,
            architecture=architecture,
            dataset_version=dataset_version,
            base_model=base_model,
            training_run=training_run,
            class_name=class_,
            words=q,
        )


def _answer(content: Page[TrainedModelSummary]) -> Response:
    # Encoded as it is: a list of models that is checked against its schema twice takes ten times as long.
    return Response(msgspec.json.encode(content), media_type="application/json")


def _answer_model(model: TrainedModelView) -> Response:
    headers = {"ETag": format_etag(model.revision)}
    return Response(msgspec.json.encode(model), media_type="application/json", headers=headers)


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


def _answer_work(work: Callable[[Progress], TrainedModelView]) -> StreamingResponse:
    def write_lines() -> Iterator[str]:
        for event in stream_work(work, lambda model: _describe(model).model_dump(mode="json")):
            yield json.dumps(event) + "\n"

    return StreamingResponse(write_lines(), media_type=_LINES)


def _describe(model: TrainedModelView) -> TrainedModelOut:
    return TrainedModelOut.model_validate(model)
