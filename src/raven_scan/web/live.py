"""What keeps an open page up to date: it is woken when a run changes, and looks for what it does not know yet."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from nicegui import background_tasks, ui
from sqlalchemy.exc import SQLAlchemyError

from raven_scan.access.types import Actor
from raven_scan.kernel.errors import RavenError, Unavailable
from raven_scan.training_runs.events import (
    LogTold,
    Look,
    Place,
    PointsRemoved,
    PointsTold,
    ProgressTold,
    RunTold,
    TrainingRunEvents,
)
from raven_scan.training_runs.events_sharing import Ask, SharedLooks
from raven_scan.training_runs.events_wakeups import RunWaker
from raven_scan.training_runs.types import LogRange, RunProgress, TrainingRunView
from raven_scan.web.viewer import Viewer, ask_in_thread

T = TypeVar("T")

_LOOK_AGAIN_S = 15.0
"""So often a page looks that was told of nothing: whether its user is still signed in, too."""

_BETWEEN_LOOKS_S = 0.2
"""A trainer that tells a hundred points a second is not looked at as often."""

_LONGEST_KEPT_S = 60.0

NO_METRICS = "[]"


@dataclass(slots=True)
class RunNews:
    """What a page did not know of its run.

    Attributes:
        run: as it is now; None where nothing but its progress changed.
        progress: as it is now; None where it is as it was.
        metrics: JSON for the browser: steps after which points are void, and points by name, in this order.
        logs: pieces that follow each other.
    """

    run: TrainingRunView | None = None
    progress: RunProgress | None = None
    metrics: str = NO_METRICS
    logs: list[LogRange] = field(default_factory=list[LogRange])

    @property
    def has_metrics(self) -> bool:
        return self.metrics != NO_METRICS

    @property
    def is_empty(self) -> bool:
        return self.run is None and self.progress is None and not self.has_metrics and not self.logs


@dataclass(frozen=True, slots=True)
class _Seen:
    """A look, made ready once for all pages that share it."""

    news: RunNews
    place: Place
    has_more: bool


class Liveness:
    """Keeps pages up to date with runs.

    Args:
        waker: tells that a run has changed.
        events: what has changed of it.

    Attributes:
        answers: what pages look at together that show more than one run.
    """

    def __init__(self, waker: RunWaker, events: TrainingRunEvents) -> None:
        self.answers = SharedAnswers()
        self._waker = waker
        self._looks = SharedLooks(events, _make_news)

    def follow_news(
        self, viewer: Viewer, place: Place, run_id: UUID, take: Callable[[RunNews], Awaitable[None]]
    ) -> None:
        """Calls `take` with what the run has beyond the place, each thing once.

        It ends with the part of the page that it was called in.
        """
        ask = Ask(run_id, has_metrics=True, has_log=True)
        part = ui.context.slot.parent
        at = place

        async def look() -> None:
            nonlocal at
            # Though most of what it costs is shared: who has signed out is told nothing more.
            await viewer.recognise()
            has_more = True
            while has_more and not part.is_deleted:
                seen = await self._looks.look(viewer.actor, ask, at)
                if not seen.news.is_empty and not part.is_deleted:
                    await take(seen.news)
                # Not before: what could not be shown is told again.
                at, has_more = seen.place, seen.has_more

        async def keep_looking() -> None:
            with self._waker.subscribe(run_id) as woken:
                while not self._waker.is_closed:
                    await self._waker.wait(woken, _LOOK_AGAIN_S)
                    if part.is_deleted:
                        return
                    with part:
                        try:
                            await look()
                        except (Unavailable, SQLAlchemyError):
                            pass  # the database is away: it is asked again
                        except RavenError as error:
                            if not part.is_deleted:
                                viewer.tell(error)
                            return
                    await asyncio.sleep(_BETWEEN_LOOKS_S)

        background_tasks.create(  # pyright: ignore[reportUnknownMemberType]
            keep_looking(), name=f"follow {run_id}"
        )


class SharedAnswers:
    """What pages show that does not depend on who looks, but on what they may see: asked once for all of them."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[float, asyncio.Task[Any]]] = {}

    async def ask(
        self, viewer: Viewer, key: Hashable, question: Callable[[Actor], T], *, fresh_s: float
    ) -> T:
        """What the question was answered to somebody of the same claims, at most so long ago.

        Args:
            viewer: who asks, and is recognised anew.
            key: which question it is, with all that its answer depends on.
            question: is asked in a thread.
            fresh_s: how old the answer may be.
        """
        actor = await viewer.recognise()
        now = time.monotonic()
        key = (key, actor.claims)
        begun, task = self._kept.get(key, (0.0, None))
        if task is None or now - begun > fresh_s or (task.done() and _has_failed(task)):
            task = asyncio.create_task(ask_in_thread(partial(question, actor)))
            task.add_done_callback(_has_failed)  # where all have left, nobody misses it
            self._kept = {each: kept for each, kept in self._kept.items() if now - kept[0] < _LONGEST_KEPT_S}
            self._kept[key] = (now, task)
        # A page that is left ends its own waiting, and not that of the others.
        return await asyncio.shield(task)


def _has_failed(task: "asyncio.Task[Any]") -> bool:
    return task.cancelled() or task.exception() is not None


def _make_news(look: Look) -> _Seen:
    news, metrics = RunNews(), list[dict[str, Any]]()
    for told, _ in look.told:
        match told:
            case RunTold(run):
                news.run, news.progress = run, run.progress
            case ProgressTold(progress):
                news.progress = progress
            case PointsRemoved(step):
                metrics.append({"after": step})
            case PointsTold(points):
                by_name = groupby(points, key=lambda point: point.name)
                metrics.append(
                    {"points": {name: [[each.step, each.value] for each in group] for name, group in by_name}}
                )
            case LogTold(log):
                news.logs.append(log)
            case _:
                pass
    news.metrics = msgspec.json.encode(metrics).decode()
    return _Seen(news, look.place, look.has_more)
