"""TrainingRunsController: training runs over REST."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from raven_scan.access.types import Actor
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest
from raven_scan.training_runs.schemas import (
    FindingOut,
    Options,
    PreflightOut,
    ScheduledOut,
    TrainingRunClone,
    TrainingRunCreate,
    TrainingRunOut,
    TrainingRunPage,
)
from raven_scan.training_runs.service import TrainingRunService
from raven_scan.training_runs.types import Preflight, RunOptions, RunStatus, TrainingRunView

_LOG_LIMIT_BYTES = 1 << 18


def build_router(service: TrainingRunService, get_actor: Callable[..., Actor]) -> APIRouter:
    router = APIRouter(prefix="/api/v1/training-runs", tags=["training runs"])

    @router.post("", status_code=201)
    def create(actor: Annotated[Actor, Depends(get_actor)], body: TrainingRunCreate) -> TrainingRunOut:
        """Create a training run, a Draft."""
        run = service.create(
            actor,
            name=body.name,
            dataset=body.dataset,
            base_model=body.base_model,
            parameters=body.parameters,
            options=make_options(body.options),
            preset=body.preset,
        )
        return describe_run(run)

    @router.get("")
    def list_all(
        actor: Annotated[Actor, Depends(get_actor)],
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        status: RunStatus | None = None,
    ) -> TrainingRunPage:
        """List training runs, newest first."""
        page = service.list_runs(actor, PageRequest.parse(limit, cursor), status)
        return TrainingRunPage(items=[describe_run(run) for run in page.items], next=page.next)

    @router.get("/{ref}")
    def get(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> TrainingRunOut:
        """Read a training run, by name or id."""
        return describe_run(service.get_run(actor, ref))

    @router.post("/{ref}/preflight")
    def check(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> PreflightOut:
        """Check what scheduling would find."""
        preflight = service.check(actor, ref)
        return PreflightOut(passed=preflight.is_passed, findings=_describe_findings(preflight))

    @router.post("/{ref}/schedule")
    def schedule(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        *,
        dry_run: Annotated[
            bool, Query(description="A few steps alone; then it is a Draft again, with an estimate.")
        ] = False,
    ) -> ScheduledOut:
        """Schedule a Draft: after the preflight it waits for a worker."""
        run, preflight = service.schedule(actor, ref, dry_run=dry_run)
        return ScheduledOut(run=describe_run(run), findings=_describe_findings(preflight))

    @router.post("/{ref}/clone", status_code=201)
    def clone(
        actor: Annotated[Actor, Depends(get_actor)], ref: str, body: TrainingRunClone
    ) -> TrainingRunOut:
        """Make a new Draft like this run, with changes."""
        run = service.clone(
            actor,
            ref,
            name=body.name,
            dataset=body.dataset,
            base_model=body.base_model,
            parameters=body.parameters,
            options=body.options.model_dump(exclude_unset=True),
        )
        return describe_run(run)

    return router


def make_options(options: Options) -> RunOptions:
    return RunOptions(**options.model_dump())


def describe_run(run: TrainingRunView) -> TrainingRunOut:
    fields = {
        name: getattr(run, name) for name in TrainingRunOut.model_fields if name not in {"epoch", "epochs"}
    }
    return TrainingRunOut.model_validate(
        {**fields, "epoch": run.progress.epoch, "epochs": run.progress.epochs}, from_attributes=True
    )


def _describe_findings(preflight: Preflight) -> list[FindingOut]:
    return [FindingOut.model_validate(finding) for finding in preflight.findings]
