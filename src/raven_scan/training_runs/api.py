"""TrainingRunsController: training runs over REST."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest
from raven_scan.training_runs.answers import ETAG, answer_page, answer_run, describe_run
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
from raven_scan.training_runs.types import Preflight, RunFilter, RunOptions, RunStatus

_LOG_LIMIT_BYTES = 1 << 18


_SORTS = (
    "name, status, created_at, scheduled_at, ended_at, priority or best_map50; "
    "with - before it from the highest to the lowest. What has no value comes last."
)
_SEARCHED = "Words that begin so in name, notes, dataset, base model, architecture or who created it."


async def _read_filter(
    q: Annotated[str, Query(description=_SEARCHED)] = "",
    status: Annotated[list[RunStatus] | None, Query(description="Any of these.")] = None,
    dataset: Annotated[str | None, Query(description="Name, name@version, or id.")] = None,
    base_model: Annotated[str | None, Query(description="Name or id.")] = None,
    architecture: str | None = None,
    created_by: Annotated[str | None, Query(description="A user's name.")] = None,
    created_since: AwareDatetime | None = None,
    created_until: Annotated[AwareDatetime | None, Query(description="This moment is left out.")] = None,
    ended_since: AwareDatetime | None = None,
    ended_until: Annotated[AwareDatetime | None, Query(description="This moment is left out.")] = None,
) -> RunFilter:
    """The filters of a list; a run must pass all that are given."""
    return RunFilter(
        search=q,
        statuses=tuple(status or ()),
        dataset=dataset,
        base_model=base_model,
        architecture=architecture,
        created_by=created_by,
        created_since=created_since,
        created_until=created_until,
        ended_since=ended_since,
        ended_until=ended_until,
    )


def build_router(service: TrainingRunService, get_actor: ActorDependency) -> APIRouter:
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

    @router.get("", response_model=TrainingRunPage)
    def list_all(
        actor: Annotated[Actor, Depends(get_actor)],
        wanted: Annotated[RunFilter, Depends(_read_filter)],
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        sort: Annotated[str | None, Query(description=_SORTS)] = None,
    ) -> Response:
        """List training runs, newest first where `sort` says nothing else."""
        return answer_page(service.list_runs(actor, PageRequest.parse(limit, cursor, sort), wanted))

    @router.get("/{ref}", response_model=TrainingRunOut, responses=ETAG)
    def get(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> Response:
        """Read a training run, by name or id."""
        return answer_run(service.get_run(actor, ref))

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


def _describe_findings(preflight: Preflight) -> list[FindingOut]:
    return [FindingOut.model_validate(finding) for finding in preflight.findings]
