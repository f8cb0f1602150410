"""What keeps an open page up to date: it is woken when a run changes, and looks for itself."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from nicegui import background_tasks, ui

from raven_scan.kernel.errors import RavenError
from raven_scan.training_runs.events_wakeups import RunWaker
from raven_scan.web.viewer import Viewer

_LOOK_AGAIN_S = 15.0
"""So often a page looks that was told of nothing: whether its user is still signed in, too."""

_BETWEEN_LOOKS_S = 0.2
"""A trainer that tells a hundred points a second is not looked at as often."""


class Liveness:
    """Keeps pages up to date with runs.

    Args:
        waker: tells that a run has changed.
    """

    def __init__(self, waker: RunWaker) -> None:
        self._waker = waker

    def follow_run(self, viewer: Viewer, run_id: UUID, look: Callable[[], Awaitable[bool]]) -> None:
        """Calls `look` each time that the run may have changed, until it says that there is nothing more to come.

        It ends with the part of the page that it was called in.
        """
        place = ui.context.slot.parent

        async def follow() -> None:
            with self._waker.subscribe(run_id) as woken:
                while not place.is_deleted and not self._waker.is_closed:
                    await self._waker.wait(woken, _LOOK_AGAIN_S)
                    if place.is_deleted:
                        return
                    with place:
                        try:
                            if not await look():
                                return
                        except RavenError as error:
                            viewer.tell(error)
                            return
                    await asyncio.sleep(_BETWEEN_LOOKS_S)

        task = background_tasks.create(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            follow(), name=f"follow {run_id}"
        )
        place.client.on_delete(task.cancel)  # pyright: ignore[reportUnknownMemberType]
