"""Downloads of training runs over REST."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Response
from fastapi.responses import StreamingResponse

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.trained_models.file_answer import BlobAnswer
from raven_scan.training_runs.artifacts import RunArtifacts
from raven_scan.training_runs.schemas import ArtifactOut, ArtifactPage

_FILE: dict[str, Any] = {
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    "application/json": {},
}
_WRITTEN: dict[str, Any] = {
    "text/plain": {"schema": {"type": "string"}},
    "text/csv": {"schema": {"type": "string"}},
    "application/x-ndjson": {},
}
_DOWNLOAD: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole of it.", "content": _FILE | _WRITTEN},
    206: {"description": "The part that was asked for.", "content": _FILE},
    416: {"description": "It has no such part."},
}


def build_artifacts_router(service: RunArtifacts, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/training-runs", tags=["training runs"])

    @router.get("/{ref}/artifacts")
    def list_all(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> ArtifactPage:
        """List what a run has to download."""
        return ArtifactPage(
            items=[ArtifactOut.model_validate(each) for each in service.list_artifacts(actor, ref)]
        )

    @router.get("/{ref}/artifacts/{name}", response_class=Response, responses=_DOWNLOAD)
    def download(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        name: str,
        range_: Annotated[
            str | None, Header(alias="range", description="A part of a checkpoint or a model's file.")
        ] = None,
    ) -> Response:
        """Download one of them. The ETag of checkpoints and of a model's files is their sha256."""
        is_resumed = range_ is not None and not range_.replace(" ", "").startswith("bytes=0-")
        opened = service.open(actor, ref, name, is_resumed=is_resumed)
        artifact = opened.artifact
        if opened.path is not None:
            return BlobAnswer(
                opened.path,
                media_type=artifact.media_type,
                filename=opened.file_name,
                headers={"ETag": f'"{artifact.digest}"'},
            )
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(opened.file_name, safe='')}"}
        if artifact.size_bytes is not None:
            headers["Content-Length"] = str(artifact.size_bytes)
        return StreamingResponse(opened.pieces, media_type=artifact.media_type, headers=headers)

    return router
