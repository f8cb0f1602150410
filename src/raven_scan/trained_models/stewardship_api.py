"""Looking after trained models over REST: edit, delete, download."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Response

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.kernel.revisions import parse_if_match
from raven_scan.trained_models.answers import ETAG, answer_model
from raven_scan.trained_models.file_answer import BlobAnswer
from raven_scan.trained_models.schemas import TrainedModelEdit, TrainedModelOut
from raven_scan.trained_models.stewardship import ModelStewardship

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


def build_stewardship_router(stewardship: ModelStewardship, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/trained-models", tags=["trained models"])

    @router.patch("/{ref}", response_model=TrainedModelOut, responses=ETAG)
    def edit(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        body: TrainedModelEdit,
        if_match: Annotated[str | None, Header(description="The ETag that you read.")] = None,
    ) -> Response:
        """Change a model's name or notes."""
        return answer_model(
            stewardship.edit(actor, ref, name=body.name, notes=body.notes, expected=parse_if_match(if_match))
        )

    @router.delete("/{ref}", status_code=204)
    def delete(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> None:
        """Put a model into the trash; refused where it is published, or something needs it."""
        stewardship.delete(actor, ref)

    @router.get("/{ref}/download", response_class=BlobAnswer, responses=_DOWNLOAD)
    def download(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        file: Literal["weights", "configuration"] = "weights",
        range_: Annotated[str | None, Header(alias="range", description="A part, as bytes=1000-")] = None,
    ) -> BlobAnswer:
        """Download a model's weights, as safetensors, or its configuration, as JSON. The ETag is its sha256."""
        is_resumed = range_ is not None and not range_.replace(" ", "").startswith("bytes=0-")
        found = stewardship.open_file(actor, ref, file, is_resumed=is_resumed)
        return BlobAnswer(
            found.path,
            media_type="application/json" if file == "configuration" else "application/octet-stream",
            filename=found.file_name,
            headers={"ETag": f'"{found.digest}"'},
        )

    return router
