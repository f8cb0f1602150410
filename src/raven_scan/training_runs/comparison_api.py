"""Comparisons and reproductions of training runs over REST."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.training_runs.answers import describe_run
from raven_scan.training_runs.comparison import DEFAULT_METRICS, RunComparison, RunComparisons
from raven_scan.training_runs.comparison_schemas import (
    ReproductionOut,
    ReproductionReportOut,
    RunComparisonOut,
    RunReproduce,
)
from raven_scan.training_runs.metrics_api import describe_history
from raven_scan.training_runs.reproduction import RunReproductions
from raven_scan.training_runs.reproduction_verdicts import TOLERANCE
from raven_scan.training_runs.schemas import FindingOut


def build_comparison_router(
    comparisons: RunComparisons, reproductions: RunReproductions, get_actor: ActorDependency
) -> APIRouter:
    router = APIRouter(prefix="/api/v1/training-runs", tags=["training runs"])

    @router.get("/{ref}/comparison", response_model=RunComparisonOut)
    def compare(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        others: Annotated[
            list[str], Query(alias="with", description="Names or ids of one to nine other runs.")
        ],
        metric: Annotated[
            list[str] | None,
            Query(description=f"Metrics whose curves are wanted; none: {' and '.join(DEFAULT_METRICS)}."),
        ] = None,
        points: Annotated[int, Query(ge=8, le=10_000, description="At most so many of each curve.")] = 200,
    ) -> Response:
        """Compare a run with others: what differs of them, their figures, their curves."""
        found = comparisons.compare_runs(
            actor, [ref, *others], metrics=metric or DEFAULT_METRICS, points=points
        )
        return Response(_encode(found), media_type="application/json")

    @router.post("/{ref}/reproduce", status_code=201)
    def reproduce(
        actor: Annotated[Actor, Depends(get_actor)], ref: str, body: RunReproduce
    ) -> ReproductionOut:
        """Make a Draft from the record of a run that ended in Success, to run it again."""
        run, findings = reproductions.reproduce(actor, ref, name=body.name)
        return ReproductionOut(
            run=describe_run(run), findings=[FindingOut.model_validate(each) for each in findings]
        )

    @router.get("/{ref}/reproduction")
    def get_report(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        tolerance: Annotated[
            float, Query(ge=0, le=1, description="How much figures in 0-1 may differ.")
        ] = TOLERANCE,
    ) -> ReproductionReportOut:
        """Read how a reproduction compares with the run that it reproduces."""
        return ReproductionReportOut.model_validate(reproductions.get_report(actor, ref, tolerance=tolerance))

    return router


def _encode(comparison: RunComparison) -> bytes:
    """As `RunComparisonOut`."""
    curves = [
        {
            "metric": curve.metric,
            "series": [history and describe_history(history) for history in curve.histories],
        }
        for curve in comparison.curves
    ]
    return msgspec.json.encode(
        {
            "runs": comparison.runs,
            "differences": comparison.differences,
            "figures": comparison.figures,
            "curves": curves,
        }
    )
