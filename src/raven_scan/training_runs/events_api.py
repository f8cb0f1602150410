"""Events of training runs, as a stream that goes on where its reader was cut off (server-sent events, WHATWG HTML)."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import SQLAlchemyError

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.kernel.errors import RavenError
from raven_scan.training_runs.answers import describe_run
from raven_scan.training_runs.events import (
    AnyTold,
    LogTold,
    Look,
    Place,
    PointsRemoved,
    PointsTold,
    ProgressTold,
    Rested,
    RunTold,
    TrainingRunEvents,
)
from raven_scan.training_runs.events_schemas import (
    AnyRunEvent,
    EndEvent,
    LogEvent,
    MetricsEvent,
    MetricsResetEvent,
    ProgressEvent,
    RunEvent,
)
from raven_scan.training_runs.events_sharing import Ask, SharedLooks
from raven_scan.training_runs.events_wakeups import RunWaker
from raven_scan.training_runs.schemas import MetricSeries, Progress
from raven_scan.training_runs.types import MetricPoint

_HEARTBEAT_S = 15.0
_CHECK_INTERVAL_S = 5.0
"""So often a reader that hears nothing is looked at: is it still signed in, and is the run still there?"""
_NOTHING_NEW = b": nothing new\n\n"
_RETRY_MS = 2000

IsAdmitted = Callable[[Request], Awaitable[bool]]
"""Tells whether whoever made a request is still who they were, and may still do what they could."""


async def admit_always(_: Request) -> bool:
    return True


_EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "description": "Sent as Last-Event-ID, the stream goes on behind it."},
        "event": {"type": "string"},
        "data": {"type": "string", "description": "JSON."},
        "retry": {"type": "integer"},
    },
}


def build_events_router(
    events: TrainingRunEvents,
    waker: RunWaker,
    get_actor: ActorDependency,
    is_admitted: IsAdmitted = admit_always,
) -> APIRouter:
    router = APIRouter(prefix="/api/v1/training-runs", tags=["training runs"])
    looks = SharedLooks(events, _format_look)

    @router.get(
        "/{ref}/events",
        responses={
            200: {
                "description": "A stream of events; each has an id, a kind, and JSON as its data.",
                "content": {"text/event-stream": {"itemSchema": _EVENT}},
            },
            204: {"description": "The run is at rest, and the reader knows all: nothing to come back for."},
        },
        response_class=StreamingResponse,
    )
    async def follow(
        request: Request,
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        last_event_id: Annotated[
            str | None, Header(description="Of the last event that was read: goes on behind it.")
        ] = None,
        *,
        history: Annotated[
            bool, Query(description="Metrics and log from the beginning, not from now on.")
        ] = True,
        metrics: Annotated[bool, Query(description="Tell metrics.")] = True,
        log: Annotated[bool, Query(description="Tell the log.")] = False,
    ) -> Response:
        """Follow a run until it is at rest."""
        run_id, place = await asyncio.to_thread(events.open, actor, ref, last_event_id, has_history=history)
        ask = Ask(run_id, has_metrics=metrics, has_log=log)
        look = await looks.look(actor, ask, place)
        if last_event_id and not look.told and look.place.is_over:
            return Response(status_code=204)
        return StreamingResponse(
            _Reading(request, actor, ask, looks, waker, is_admitted).stream(look),
            media_type="text/event-stream",
            # Proxies that gather an answer before they hand it on would hold every event back.
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    return router


@dataclass(frozen=True, slots=True)
class _FormattedLook:
    """A look as it is sent."""

    told: bytes
    place: Place
    has_more: bool


class _Reading:
    """One reader, from its first look on."""

    def __init__(
        self,
        request: Request,
        actor: Actor,
        ask: Ask,
        looks: SharedLooks[_FormattedLook],
        waker: RunWaker,
        is_admitted: IsAdmitted,
    ) -> None:
        self._request = request
        self._actor = actor
        self._ask = ask
        self._looks = looks
        self._waker = waker
        self._is_admitted = is_admitted
        self._told_at = self._checked_at = time.monotonic()

    async def stream(self, look: _FormattedLook) -> AsyncGenerator[bytes]:
        # As a field of the first event: a block of its own is an event to some clients.
        yield f"retry: {_RETRY_MS}\n".encode() + look.told if look.told else _NOTHING_NEW
        if look.place.is_over:
            return
        with self._waker.subscribe(self._ask.run_id) as woken:
            while True:
                if not look.has_more:
                    await self._waker.wait(woken, _CHECK_INTERVAL_S)
                if self._waker.is_closed or not await self._may_go_on():
                    return
                try:
                    look = await self._looks.look(self._actor, self._ask, look.place)
                except RavenError:
                    yield _format(EndEvent(status=None), None)
                    return
                except SQLAlchemyError:
                    look = replace(look, told=b"", has_more=False)  # the database is away: it is asked again
                if look.told or time.monotonic() - self._told_at >= _HEARTBEAT_S:
                    self._told_at = time.monotonic()
                    yield look.told or _NOTHING_NEW
                if look.place.is_over:
                    return

    async def _may_go_on(self) -> bool:
        now = time.monotonic()
        if now - self._checked_at < _CHECK_INTERVAL_S:
            return True
        self._checked_at = now
        try:
            return await self._is_admitted(self._request)
        except SQLAlchemyError:
            return True


def _format_look(look: Look) -> _FormattedLook:
    told = b"".join(_format(_describe(told), after.format()) for told, after in look.told)
    return _FormattedLook(told, look.place, look.has_more)


def _format(event: AnyRunEvent, event_id: str | None) -> bytes:
    lines = [f"event: {event.event}", f"data: {event.model_dump_json()}"]
    if event_id is not None:
        lines.insert(0, f"id: {event_id}")
    return "\n".join([*lines, "", ""]).encode()


def _describe(told: AnyTold) -> AnyRunEvent:
    match told:
        case RunTold(run):
            return RunEvent(run=describe_run(run))
        case ProgressTold(progress):
            return ProgressEvent(progress=Progress.model_validate(progress))
        case PointsTold(points):
            return MetricsEvent(series=describe_series(points))
        case PointsRemoved(step):
            return MetricsResetEvent(step=step)
        case LogTold(log):
            return LogEvent(
                text=log.text,
                offset=log.offset,
                next_offset=log.next_offset,
                missing_bytes=log.missing_bytes,
            )
        case Rested(status):
            return EndEvent(status=status)


def describe_series(points: list[MetricPoint]) -> list[MetricSeries]:
    """Columns by name, of points that are sorted by name."""
    return [
        MetricSeries(
            name=name,
            steps=[point.step for point in group],
            epochs=[point.epoch for point in group],
            values=[point.value for point in group],
        )
        for name, group in (
            (name, list(each)) for name, each in groupby(points, key=lambda point: point.name)
        )
    ]
