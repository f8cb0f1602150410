"""TrainedModelsController: trained models over REST."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.kernel.errors import Forbidden, Invalid, Unavailable
from raven_scan.kernel.long_work import stream_work
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest
from raven_scan.kernel.progress import Progress
from raven_scan.trained_models.answers import ETAG, answer_model, answer_page
from raven_scan.trained_models.checkpoint_reading import LARGEST_CHECKPOINT_BYTES
from raven_scan.trained_models.file_names import make_file_name
from raven_scan.trained_models.schemas import (
    TrainedModelImport,
    TrainedModelOut,
    TrainedModelPage,
    TrainedModelPull,
)
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import (
    ModelFilter,
    Origin,
    Stage,
    TrainedModelView,
)
from raven_scan.uploads.service import UploadService
from raven_scan.uploads.types import UploadPurpose

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


async def _read_filter(  # asynchronous, since FastAPI sends what is not to another thread
    q: Annotated[str | None, Query(description=_SEARCHED)] = None,
    origin: Annotated[list[Origin] | None, Query(description="Any of these.")] = None,
    stage: Stage | None = None,
    architecture: Annotated[str | None, Query(pattern=r"^[a-z0-9-]+$")] = None,
    dataset_version: Annotated[str | None, Query(description="name@version or id")] = None,
    base_model: Annotated[str | None, Query(description="name or id")] = None,
    training_run: Annotated[str | None, Query(description="name or id")] = None,
    class_: Annotated[str | None, Query(alias="class", description="Models that know this class.")] = None,
) -> ModelFilter:
    """Which models a list has."""
    return ModelFilter(
        origins=tuple(origin or ()),
        stage=stage,
        architecture=architecture,
        dataset_version=dataset_version,
        base_model=base_model,
        training_run=training_run,
        class_name=class_,
        words=q,
    )


def build_router(
    service: TrainedModelService,
    get_actor: ActorDependency,
    *,
    uploads: UploadService | None = None,
    allow_server_paths: bool,
) -> APIRouter:
    """The router of trained models: what there is, and where it comes from.

    Args:
        service: the use cases.
        get_actor: dependency that tells who asks.
        uploads: what an import may name; None where there are none.
        allow_server_paths: whether an import may name a file of the server's machine.
    """
    router = APIRouter(prefix="/api/v1/trained-models", tags=["trained models"])

    @router.get("", response_model=TrainedModelPage)
    def list_all(
        actor: Annotated[Actor, Depends(get_actor)],
        chosen: Annotated[ModelFilter, Depends(_read_filter)],
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        sort: Annotated[str | None, Query(description=_SORTS)] = None,
    ) -> Response:
        """List trained models, newest first where `sort` says nothing else."""
        page = service.list_models(actor, PageRequest.parse(limit, cursor, sort), chosen)
        return answer_page(page)

    @router.get("/{ref}", response_model=TrainedModelOut, responses=ETAG)
    def get(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> Response:
        """Read a trained model, by name or id."""
        return answer_model(service.get_model(actor, ref))

    @router.post("/import", responses=_WORK, response_class=StreamingResponse)
    def import_file(
        actor: Annotated[Actor, Depends(get_actor)], body: TrainedModelImport
    ) -> StreamingResponse:
        """Import a checkpoint that was uploaded, or that the server can read."""
        service.check_import(actor, architecture=body.architecture, name=body.name)
        if body.upload is not None and uploads is not None:
            return _answer_work(_import_upload(service, uploads, actor, body))
        return _answer_work(_import_path(service, actor, body, is_allowed=allow_server_paths))

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
        service.check_pull(actor, body.model, name=body.name)
        return _answer_work(
            lambda progress: service.pull_model(actor, body.model, name=body.name, progress=progress)
        )

    return router


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


def _import_path(
    service: TrainedModelService, actor: Actor, body: TrainedModelImport, *, is_allowed: bool
) -> Callable[[Progress], TrainedModelView]:
    if body.path is None or not is_allowed:
        raise Forbidden(
            "trained_model.path_not_allowed",
            "This server does not read files of its own machine for others.",
            hint="Upload the file: POST /api/v1/uploads.",
        )
    path = Path(body.path)
    return lambda progress: service.import_checkpoint(
        actor, path, architecture=body.architecture, name=body.name, progress=progress
    )


def _import_upload(
    service: TrainedModelService, uploads: UploadService, actor: Actor, body: TrainedModelImport
) -> Callable[[Progress], TrainedModelView]:
    """Work that imports a complete upload, which is held from now on. Raises as `UploadService.use`."""
    with ExitStack() as stack:
        whole = stack.enter_context(uploads.use(actor, str(body.upload), UploadPurpose.CHECKPOINT))
        kept = stack.pop_all()

    def work(progress: Progress) -> TrainedModelView:
        with kept:
            model = service.import_checkpoint(
                actor,
                whole.path,
                architecture=body.architecture,
                name=body.name,
                file_name=make_file_name(whole.file_name),
                progress=progress,
            )
            whole.is_used_up = True
            return model

    return work


def _answer_work(work: Callable[[Progress], TrainedModelView]) -> StreamingResponse:
    def write_lines() -> Iterator[str]:
        for event in stream_work(work, lambda model: _describe(model).model_dump(mode="json")):
            yield json.dumps(event) + "\n"

    return StreamingResponse(write_lines(), media_type=_LINES)


def _describe(model: TrainedModelView) -> TrainedModelOut:
    return TrainedModelOut.model_validate(model)
