"""Metrics of training runs over REST."""

from collections.abc import Generator, Iterable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.training_runs.metric_history import MetricHistory, TrainingRunMetrics
from raven_scan.training_runs.schemas import MetricsOut

_LARGEST_STEP = (1 << 31) - 1


def build_metrics_router(service: TrainingRunMetrics, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/training-runs", tags=["training runs"])

    @router.get("/{ref}/metrics", response_model=MetricsOut)
    def list_metrics(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        name: Annotated[list[str] | None, Query(description="Those of these names; none: all.")] = None,
        points: Annotated[
            int | None,
            Query(
                ge=8,
                le=100_000,
                description="At most so many points of each metric, for a chart: the first, the last, and all that "
                "stands out. None: every point, as a stream.",
            ),
        ] = None,
        from_step: Annotated[int, Query(ge=0, le=_LARGEST_STEP, description="None before this.")] = 0,
        to_step: Annotated[
            int, Query(ge=0, le=_LARGEST_STEP, description="None after this.")
        ] = _LARGEST_STEP,
    ) -> Response:
        """Read the run's metrics."""
        names = name or []
        if points is None:
            whole = service.read_whole(actor, ref, names, first_step=from_step, last_step=to_step)
            return StreamingResponse(_encode_in_turn(whole), media_type="application/json")
        thinned = service.read_thinned(
            actor, ref, names, points=points, first_step=from_step, last_step=to_step
        )
        content = b"".join(_encode_in_turn(thinned, points))
        return Response(content, media_type="application/json")

    return router


def _encode_in_turn(histories: Iterable[MetricHistory], points: int | None = None) -> Generator[bytes]:
    """As `MetricsOut`, a metric at a time: pydantic would take longer over a history than the database does."""
    yield b'{"series":['
    is_thinned = False
    for number, history in enumerate(histories):
        is_thinned |= history.is_thinned
        yield (b"," if number else b"") + msgspec.json.encode(describe_history(history))
    thinning = {"points": points, "method": "smallest_and_largest"} if is_thinned else None
    yield b'],"thinning":' + msgspec.json.encode(thinning) + b"}"


def describe_history(history: MetricHistory) -> dict[str, Any]:
    """As `MetricSeries`."""
    return {
        "name": history.name,
        "steps": history.steps.tolist(),
        "epochs": history.epochs.tolist(),
        "values": history.values.tolist(),  # what is not a number is null
        "is_thinned": history.is_thinned,
    }
