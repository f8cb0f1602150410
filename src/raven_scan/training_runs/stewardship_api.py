"""Looking after training runs over REST: edit, delete."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.kernel.revisions import parse_if_match
from raven_scan.training_runs.answers import ETAG, answer_run
from raven_scan.training_runs.schemas import TrainingRunEdit, TrainingRunOut
from raven_scan.training_runs.stewardship import RunStewardship


def build_stewardship_router(stewardship: RunStewardship, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/training-runs", tags=["training runs"])

    @router.patch("/{ref}", response_model=TrainingRunOut, responses=ETAG)
    def edit(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        body: TrainingRunEdit,
        if_match: Annotated[str | None, Header(description="The ETag that you read.")] = None,
    ) -> Response:
        """Change a run's name or notes; a model that it has made keeps its name."""
        return answer_run(
            stewardship.edit(actor, ref, name=body.name, notes=body.notes, expected=parse_if_match(if_match))
        )

    @router.delete("/{ref}", status_code=204)
    def delete(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> None:
        """Put a run into the trash; refused while it is Processing. Its model stays."""
        stewardship.delete(actor, ref)

    return router
