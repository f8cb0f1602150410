"""Back and Next, of what is paged by cursors."""

from collections.abc import Awaitable, Callable

from nicegui import ui

from raven_scan.web.frame import button
from raven_scan.web.marks import as_prop
from raven_scan.web.viewer import Viewer, as_handler


class PageTurning:
    """Which page is shown, and the buttons to those beside it, where there are any.

    Args:
        viewer: who turns.
        turned: shows the page anew.
        cursor: of the page that is shown at first; None for the first of all.
    """

    def __init__(
        self, viewer: Viewer, turned: Callable[[], Awaitable[object]], cursor: str | None = None
    ) -> None:
        self._cursors = [cursor] if cursor else []
        self._next: str | None = None
        self._turned = turned
        t = viewer.texts
        with ui.element("nav").classes("row-gap").props(f"aria-label={as_prop(t('Pages'))}") as self._buttons:
            self._back = button(t("Back"), as_handler(viewer, self._go_back), icon="chevron_left").props(
                'data-turn="-1"'
            )
            self._forward = button(t("Next"), as_handler(viewer, self._go_on), icon="chevron_right").props(
                'data-turn="1"'
            )
        self._buttons.set_visibility(False)

    @property
    def cursor(self) -> str | None:
        return self._cursors[-1] if self._cursors else None

    def begin_anew(self) -> None:
        self._cursors = []

    def show(self, next_: str | None) -> None:
        """Args: `next_`: the cursor of the page behind the one that is shown now."""
        self._next = next_
        self._back.set_enabled(bool(self._cursors))
        self._forward.set_enabled(next_ is not None)
        self._buttons.set_visibility(bool(self._cursors) or next_ is not None)

    async def _go_on(self) -> None:
        if self._next is not None:
            self._cursors.append(self._next)
            self._next = None  # a second press has to wait for the page of the first
            await self._turned()

    async def _go_back(self) -> None:
        if self._cursors:
            self._cursors.pop()
            await self._turned()
