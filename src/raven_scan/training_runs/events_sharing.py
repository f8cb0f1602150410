"""Readers of a run that stand at the same place, as most do, look together."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from raven_scan.access.types import Actor
from raven_scan.training_runs.events import Look, Place, TrainingRunEvents

T = TypeVar("T")

_LOOKS_AT_ONCE = 4
"""However many read along: of the threads and the database's connections, most are for others."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a reader wants to hear of."""

    run_id: UUID
    has_metrics: bool
    has_log: bool


class SharedLooks(Generic[T]):
    """Looks at runs, once for all who ask the same at the same time; on one event loop.

    Args:
        events: that are looked at.
        form: makes of a look what readers get, once for all of them, in a thread.
    """

    def __init__(self, events: TrainingRunEvents, form: Callable[[Look], T]) -> None:
        self._events = events
        self._form = form
        self._turns = asyncio.Semaphore(_LOOKS_AT_ONCE)
        self._waiting: dict[tuple[Any, ...], asyncio.Task[T]] = {}

    async def look(self, actor: Actor, ask: Ask, place: Place) -> T:
        """What the run has beyond the place. Raises NotFound: it is gone, or not for this actor any more."""
        # Shared is what has not begun: one that is under way may have seen what was before this reader was woken.
        key = (ask, place.format(), actor.claims)
        task = self._waiting.get(key)
        if task is None:
            task = asyncio.create_task(self._look_in_turn(key, actor, ask, place))
            task.add_done_callback(_note_failure)
            self._waiting[key] = task
        return await asyncio.shield(task)

    async def _look_in_turn(self, key: tuple[Any, ...], actor: Actor, ask: Ask, place: Place) -> T:
        async with self._turns:
            del self._waiting[key]
            # By asyncio's own executor, whose end the event loop waits for: no connection is left behind.
            return await asyncio.to_thread(self._look, actor, ask, place)

    def _look(self, actor: Actor, ask: Ask, place: Place) -> T:
        return self._form(
            self._events.look(actor, ask.run_id, place, has_metrics=ask.has_metrics, has_log=ask.has_log)
        )


def _note_failure(task: "asyncio.Task[Any]") -> None:
    """Readers get it; where all have left, nobody misses it."""
    if not task.cancelled():
        task.exception()
