"""PackagesController: packing models, taking packages in, and the keys of both, over REST."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Header, Query
from fastapi import Path as PathParameter
from fastapi.responses import StreamingResponse

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.kernel.errors import Forbidden
from raven_scan.kernel.long_work import stream_work
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest
from raven_scan.kernel.progress import Progress
from raven_scan.packages.export import PackageExports
from raven_scan.packages.importing import PackageImports
from raven_scan.packages.keys import PackageKeys
from raven_scan.packages.schemas import (
    PackageCreate,
    PackageImport,
    PackageKeyOut,
    PackageKeyPage,
    PackageKeyTrust,
    PackageOut,
)
from raven_scan.trained_models.file_answer import BlobAnswer
from raven_scan.trained_models.schemas import TrainedModelOut
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.uploads.service import UploadService
from raven_scan.uploads.types import UploadPurpose

T = TypeVar("T")

_LINES = "application/x-ndjson"
_SORTS = "name or added_at; with - before it downwards"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ZIP: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole zip.", "content": {"application/zip": _BINARY}},
    206: {"description": "The part that was asked for.", "content": {"application/zip": _BINARY}},
    416: {"description": "The file has no such part."},
}


def _say_lines(result: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {
            "description": f"One JSON object a line: progress, and at last done (with the {result}) or failed.",
            "content": {_LINES: {"schema": {"type": "string"}}},
        }
    }


def build_packages_router(
    exports: PackageExports,
    imports: PackageImports,
    get_actor: ActorDependency,
    *,
    uploads: UploadService,
    allow_server_paths: bool,
) -> APIRouter:
    """The router of packages.

    Args:
        exports: the use cases of packing.
        imports: the use cases of taking in.
        get_actor: dependency that tells who asks.
        uploads: what an import may name.
        allow_server_paths: whether an import may name a file of the server's machine.
    """
    router = APIRouter(prefix="/api/v1/trained-models", tags=["packages"])

    @router.post("/packages/import", responses=_say_lines("model"), response_class=StreamingResponse)
    def import_package(actor: Annotated[Actor, Depends(get_actor)], body: PackageImport) -> StreamingResponse:
        """Import a package that was uploaded, or that the server can read."""
        imports.check(actor, name=body.name)
        if body.upload is not None:
            return _answer_work(_import_upload(imports, uploads, actor, body), _describe_model)
        return _answer_work(
            _import_path(imports, actor, body, is_allowed=allow_server_paths), _describe_model
        )

    @router.post("/{ref}/package", responses=_say_lines("package"), response_class=StreamingResponse)
    def make(actor: Annotated[Actor, Depends(get_actor)], ref: str, body: PackageCreate) -> StreamingResponse:
        """Pack a model into a signed zip, which can be downloaded for a day."""
        exports.check(actor, ref)
        return _answer_work(
            lambda progress: exports.make(actor, ref, onnx=body.onnx, progress=progress),
            lambda made: PackageOut.model_validate(made).model_dump(mode="json"),
        )

    @router.get("/{ref}/package/{digest}", response_class=BlobAnswer, responses=_ZIP)
    def download(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        digest: Annotated[str, PathParameter(pattern=r"^[0-9a-f]{64}$")],
        range_: Annotated[str | None, Header(alias="range", description="A part, as bytes=1000-")] = None,
    ) -> BlobAnswer:
        """Download a package that was made lately. The ETag is its sha256."""
        is_resumed = range_ is not None and not range_.replace(" ", "").startswith("bytes=0-")
        found = exports.open(actor, ref, digest, is_resumed=is_resumed)
        return BlobAnswer(
            found.path,
            media_type="application/zip",
            filename=found.file_name,
            headers={"ETag": f'"{found.digest}"'},
        )

    return router


def build_keys_router(keys: PackageKeys, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/package-keys", tags=["packages"])

    @router.get("")
    def list_all(
        actor: Annotated[Actor, Depends(get_actor)],
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        sort: Annotated[str | None, Query(description=_SORTS)] = None,
    ) -> PackageKeyPage:
        """List the keys whose signatures are believed, and those that were revoked."""
        page = keys.list_keys(actor, PageRequest.parse(limit, cursor, sort))
        return PackageKeyPage(
            items=[PackageKeyOut.model_validate(each) for each in page.items], next=page.next
        )

    @router.get("/own")
    def get_own(actor: Annotated[Actor, Depends(get_actor)]) -> PackageKeyOut:
        """Read the platform's own public key; it is made where there is none."""
        return PackageKeyOut.model_validate(keys.get_own(actor))

    @router.post("", status_code=201)
    def trust(actor: Annotated[Actor, Depends(get_actor)], body: PackageKeyTrust) -> PackageKeyOut:
        """Trust a key of somebody else: packages signed with it can be imported."""
        return PackageKeyOut.model_validate(keys.trust(actor, body.key, name=body.name))

    @router.delete("/{ref}", status_code=204)
    def revoke(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> None:
        """Revoke a key, by name or id: what it signed is refused from now on."""
        keys.revoke(actor, ref)

    return router


def _import_path(
    imports: PackageImports, actor: Actor, body: PackageImport, *, is_allowed: bool
) -> Callable[[Progress], TrainedModelView]:
    if body.path is None or not is_allowed:
        raise Forbidden(
            "trained_model.path_not_allowed",
            "This server does not read files of its own machine for others.",
            hint="Upload the file: POST /api/v1/uploads.",
        )
    path = Path(body.path)
    return lambda progress: imports.import_package(actor, path, name=body.name, progress=progress)


def _import_upload(
    imports: PackageImports, uploads: UploadService, actor: Actor, body: PackageImport
) -> Callable[[Progress], TrainedModelView]:
    """Work that imports a complete upload, which is held from now on. Raises as `UploadService.use`."""
    with ExitStack() as stack:
        whole = stack.enter_context(uploads.use(actor, str(body.upload), UploadPurpose.PACKAGE))
        kept = stack.pop_all()

    def work(progress: Progress) -> TrainedModelView:
        with kept:
            model = imports.import_package(actor, whole.path, name=body.name, progress=progress)
            whole.is_used_up = True
            return model

    return work


def _answer_work(work: Callable[[Progress], T], describe: Callable[[T], dict[str, Any]]) -> StreamingResponse:
    def write_lines() -> Iterator[str]:
        for event in stream_work(work, describe):
            yield json.dumps(event) + "\n"

    return StreamingResponse(write_lines(), media_type=_LINES)


def _describe_model(model: TrainedModelView) -> dict[str, Any]:
    return TrainedModelOut.model_validate(model).model_dump(mode="json")
