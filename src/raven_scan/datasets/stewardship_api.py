"""Looking after datasets over REST: versions, edit, delete, export."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.datasets.answers import ETAG, answer_dataset, answer_version, answer_versions
from raven_scan.datasets.export import DatasetExports
from raven_scan.datasets.schemas import DatasetEdit, DatasetOut, DatasetVersionOut, DatasetVersionPage
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.stewardship import DatasetStewardship
from raven_scan.datasets.version_stewardship import VersionStewardship
from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest
from raven_scan.kernel.revisions import parse_if_match

_ZIP: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A zip in COCO form, as it is made; its ETag is the version's digest.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_SORTS = "number; with - before it from the newest"


def build_stewardship_router(
    service: DatasetService,
    datasets: DatasetStewardship,
    versions: VersionStewardship,
    exports: DatasetExports,
    get_actor: ActorDependency,
) -> APIRouter:
    router = APIRouter(prefix="/api/v1/datasets", tags=["datasets"])

    @router.patch("/{ref}", response_model=DatasetOut, responses=ETAG)
    def edit(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        body: DatasetEdit,
        if_match: Annotated[str | None, Header(description="The ETag that you read.")] = None,
    ) -> Response:
        """Change a dataset's name or notes."""
        expected = parse_if_match(if_match)
        return answer_dataset(datasets.edit(actor, ref, name=body.name, notes=body.notes, expected=expected))

    @router.delete("/{ref}", status_code=204)
    def delete(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> None:
        """Put a dataset into the trash, or one version, by name@number or its id; refused where something needs it."""
        if _names_version(service, actor, ref):
            versions.delete(actor, ref)
        else:
            datasets.delete(actor, ref)

    @router.get("/{ref}/versions", response_model=DatasetVersionPage)
    def list_versions(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        sort: Annotated[str | None, Query(description=_SORTS)] = None,
    ) -> Response:
        """List the versions of a dataset, newest first."""
        return answer_versions(service.list_versions(actor, ref, PageRequest.parse(limit, cursor, sort)))

    @router.get("/{ref}/versions/{number}", response_model=DatasetVersionOut)
    def get_version(actor: Annotated[Actor, Depends(get_actor)], ref: str, number: int) -> Response:
        """Read one version of a dataset."""
        return answer_version(service.get_version(actor, f"{ref}@{number}"))

    @router.get("/{ref}/export", response_class=StreamingResponse, responses=_ZIP)
    def export(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> StreamingResponse:
        """Export a version as a zip in COCO form: by name@number or its id, or the newest of a dataset."""
        archive = exports.open(actor, ref)
        return StreamingResponse(
            archive.chunks,
            media_type="application/zip",
            headers={
                "Content-Disposition": f"attachment; filename*=utf-8''{quote(archive.file_name, safe='')}",
                "ETag": f'"{archive.digest}"',
            },
        )

    return router


def _names_version(service: DatasetService, actor: Actor, ref: str) -> bool:
    if "@" in ref:
        return True
    # An id may be either's.
    id_ = parse_id(ref)
    return id_ is not None and service.get_version(actor, ref).id == id_
