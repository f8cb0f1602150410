"""The system over REST: is it alive, is it ready, which version is it, how is it set up, what waits, and who works."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

import raven_scan
from raven_scan.access.types import Actor, ActorDependency, Claim
from raven_scan.app.readiness import Readiness
from raven_scan.app.settings_listing import SettingsListing
from raven_scan.jobs.schemas import WorkerOut, WorkerPage
from raven_scan.kernel.errors import Unavailable
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest
from raven_scan.kernel.system_schemas import DatabaseOut, SettingOut, SettingPage, SystemOut
from raven_scan.training_runs.answers import answer_queue
from raven_scan.training_runs.queue import TrainingRunQueue
from raven_scan.training_runs.schemas import QueueOut


class HealthOut(BaseModel):
    status: Literal["ok"] = "ok"


class ReadinessOut(BaseModel):
    status: Literal["ready"] = "ready"


class VersionOut(BaseModel):
    version: str


_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"description": "Not ready; `parameters.missing` says what is missing: database, schema, storage."}
}


def build_system_router(
    readiness: Readiness,
    queue: TrainingRunQueue,
    settings: SettingsListing,
    has_worker: Callable[[], bool],
    get_actor: ActorDependency,
) -> APIRouter:
    router = APIRouter(prefix="/api/v1/system", tags=["system"])

    @router.get("/health")
    def show_health() -> HealthOut:
        """Tell that the server is alive. Needs no sign-in."""
        return HealthOut()

    @router.get("/readiness", responses=_NOT_READY)
    def show_readiness() -> ReadinessOut:
        """Tell whether requests will be answered: 503 says what is missing. Needs no sign-in."""
        lacks = readiness.find_lacks()
        if lacks:
            raise Unavailable(
                "system.not_ready",
                " ".join(lack.message for lack in lacks),
                hint="`raven doctor` says more.",
                parameters={"missing": [lack.what for lack in lacks]},
            )
        return ReadinessOut()

    @router.get("/version")
    def show_version(actor: Annotated[Actor, Depends(get_actor)]) -> VersionOut:
        """Tell the server's version, to whoever is signed in."""
        del actor
        return VersionOut(version=raven_scan.__version__)

    @router.get("/settings")
    def list_settings(actor: Annotated[Actor, Depends(get_actor)]) -> SettingPage:
        """List the settings as they count, and who set them; secrets are not shown."""
        items = [SettingOut.model_validate(each) for each in settings.list_settings(actor)]
        return SettingPage(items=items, next=None)

    @router.get("/queue", response_model=QueueOut)
    def list_queue(
        actor: Annotated[Actor, Depends(get_actor)], limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Response:
        """List the runs that wait, in their order, with why and until when; evaluations come before them."""
        page = queue.list_page(actor, PageRequest.parse(limit, cursor))
        is_first = cursor is None and actor.may(Claim.TRAINED_MODEL_VIEW)
        return answer_queue(page, queue.list_evaluations(actor) if is_first else [])

    @router.get("/workers")
    def list_workers(actor: Annotated[Actor, Depends(get_actor)]) -> WorkerPage:
        """List the workers that live, and what they do."""
        return WorkerPage(items=[WorkerOut.model_validate(worker) for worker in queue.list_workers(actor)])

    @router.get("")
    def show_system(actor: Annotated[Actor, Depends(get_actor)]) -> SystemOut:
        """Tell version, what is missing, and whether a worker runs here."""
        actor.require(Claim.SYSTEM_VIEW)
        missing = [lack.what for lack in readiness.find_lacks()]
        return SystemOut(
            version=raven_scan.__version__,
            database=DatabaseOut(reachable="database" not in missing),
            worker=has_worker(),
            missing=missing,
        )

    return router
