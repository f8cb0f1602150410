"""DatasetsController: datasets over REST."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from raven_scan.access.types import Actor, ActorDependency, Claim
from raven_scan.datasets.answers import ETAG, answer_dataset, answer_datasets
from raven_scan.datasets.schemas import (
    DatasetImport,
    DatasetOut,
    DatasetPage,
    describe_version,
)
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import DatasetVersionView, ImportOptions
from raven_scan.datasets.upload import Upload
from raven_scan.kernel.errors import Forbidden, Invalid
from raven_scan.kernel.long_work import stream_work
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest
from raven_scan.kernel.progress import Progress
from raven_scan.uploads.service import UploadService, WholeUpload
from raven_scan.uploads.types import UploadPurpose

_SORTS = "name or created_at; with - before it from the highest to the lowest"
_ARCHIVE_TYPES = ("application/zip", "application/x-zip-compressed", "application/octet-stream")
_WRITE_BYTES = 1 << 20
_LARGEST_JSON_BYTES = 1 << 20

_IMPORT_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": DatasetImport.model_json_schema()},
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
_IMPORT_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One JSON object a line: progress, then done with a version, or failed with an error.",
        "content": {"application/x-ndjson": {}},
    }
}


def build_router(
    service: DatasetService,
    get_actor: ActorDependency,
    *,
    uploads: UploadService | None = None,
    allow_server_paths: bool = False,
) -> APIRouter:
    """Args:
    uploads: what an import may name; None where there are none.
    allow_server_paths: whether a client may name a path on this machine; only where it is its user's own.
    """
    router = APIRouter(prefix="/api/v1/datasets", tags=["datasets"])

    @router.get("", response_model=DatasetPage)
    def list_all(
        actor: Annotated[Actor, Depends(get_actor)],
        q: Annotated[str | None, Query(description="Words that begin so in name or notes.")] = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        sort: Annotated[str | None, Query(description=_SORTS)] = None,
    ) -> Response:
        """List datasets, newest first where `sort` says nothing else, each with its newest version."""
        return answer_datasets(service.list_datasets(actor, PageRequest.parse(limit, cursor, sort), q))

    @router.get("/{ref}", response_model=DatasetOut, responses=ETAG)
    def get(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> Response:
        """Read a dataset with its versions, by name or id; with one version by name@number or the version's id."""
        return answer_dataset(service.get_dataset(actor, ref))

    @router.post("/import", openapi_extra=_IMPORT_BODY, responses=_IMPORT_ANSWER, response_model=None)
    async def import_version(
        request: Request,
        actor: Annotated[Actor, Depends(get_actor)],
        query: Annotated[_ImportQuery, Depends()],
    ) -> StreamingResponse:
        """Import a dataset: an upload as JSON, or a zip as the body with its options as the query."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        actor.require(Claim.DATASET_IMPORT)
        whole: WholeUpload | None = None
        with ExitStack() as cleanup:
            if kind == "application/json":
                body = _parse_import(await _read_json(request))
                options = body.make_options()
                if body.upload is not None and uploads is not None:
                    using = uploads.use(actor, str(body.upload), UploadPurpose.DATASET)
                    whole = await run_in_threadpool(cleanup.enter_context, using)
                    source = whole.path
                elif allow_server_paths and body.path is not None:
                    source = Path(body.path)
                else:
                    raise Forbidden(
                        "dataset.server_paths_forbidden",
                        "This server imports no paths of its own machine.",
                        hint="Upload the dataset as a zip: POST /api/v1/uploads.",
                    )
            elif kind in _ARCHIVE_TYPES:
                options = query.make_options()
                upload = cleanup.enter_context(service.open_upload(actor))
                source = await _receive(request, upload)
            else:
                raise Invalid(
                    "dataset.unknown_body",
                    f"A body of the type {kind[:100]!r} is no dataset.",
                    hint="Send application/json with an upload and a name, or application/zip.",
                )
            kept = cleanup.pop_all()

        def work(progress: Progress) -> DatasetVersionView:
            with kept:
                version = service.import_version(actor, source, options, progress)
                if whole is not None:
                    whole.is_used_up = True
                return version

        return StreamingResponse(_make_lines(work), media_type="application/x-ndjson")

    return router


class _ImportQuery:
    """The options of an uploaded archive."""

    def __init__(
        self,
        name: str | None = None,
        map: Annotated[list[str] | None, Query(description="old=new, any number of times.")] = None,  # noqa: A002 - its name outside
        single_class: str | None = None,
        allow_leak: bool = False,  # noqa: FBT001, FBT002 - a query parameter
        bands: Annotated[str | None, Query(description="Three, counted from 1: 1,2,3")] = None,
        seed: int = 0,
    ) -> None:
        self._values: dict[str, Any] = {
            "path": "",
            "name": name,
            "single_class": single_class,
            "allow_leak": allow_leak,
            "seed": seed,
        }
        self._map = map or []
        self._bands = bands

    def make_options(self) -> ImportOptions:
        """Raises Invalid."""
        pairs = [pair.partition("=") for pair in self._map]
        if any(not old or not equals for old, equals, _ in pairs):
            raise Invalid("dataset.bad_map", "A class is mapped as old=new.", hint="Use map=glass=waste.")
        values = {**self._values, "class_map": {old: new for old, _, new in pairs}}
        if self._bands is not None:
            values["bands"] = self._bands.split(",")
        return _parse_import(values).make_options()


def _parse_import(values: object) -> DatasetImport:
    try:
        return DatasetImport.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(place) for place in first["loc"])
        raise Invalid(
            "dataset.bad_import_request",
            f"The import cannot be understood: {where}: {first['msg']}.",
            hint="Give a name, and a path where no archive is sent.",
        ) from None


async def _read_json(request: Request) -> object:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_JSON_BYTES:
            raise Invalid(
                "dataset.bad_import_request", "The request is too long.", hint="Send a path and a name."
            )
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Invalid(
            "dataset.bad_import_request", f"The request is not JSON: {error}.", hint="Send a path and a name."
        ) from None


async def _receive(request: Request, upload: Upload) -> Path:
    try:
        pieces = bytearray()
        async for piece in request.stream():
            pieces += piece
            if len(pieces) >= _WRITE_BYTES:
                await run_in_threadpool(upload.write, bytes(pieces))
                pieces.clear()
        await run_in_threadpool(upload.write, bytes(pieces))
        return await run_in_threadpool(upload.finish)
    except ClientDisconnect:
        raise Invalid(
            "dataset.upload_broken", "The archive did not arrive wholly.", hint="Send it again."
        ) from None


def _make_lines(work: Callable[[Progress], DatasetVersionView]) -> Iterator[bytes]:
    for event in stream_work(work, describe_version):
        yield msgspec.json.encode(event) + b"\n"
