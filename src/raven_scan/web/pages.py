"""The addresses of screens, and the page that they are shown in."""

from collections.abc import Awaitable, Callable

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.web.frame import Frame, Place
from raven_scan.web.guide_sections import find_guide_address
from raven_scan.web.live import Liveness
from raven_scan.web.services import Services
from raven_scan.web.training_run import show_training_run
from raven_scan.web.training_runs import show_training_runs
from raven_scan.web.viewer import Viewer

PLACES = (Place("/training-runs", "Training runs", "model_training", Claim.TRAINING_RUN_VIEW),)

Screen = Callable[..., Awaitable[None]]

_SCREENS: dict[str, Screen] = {
    "/": show_training_runs,
    "/training-runs": show_training_runs,
    "/training-runs/{ref}": show_training_run,
}


def build_page(viewer: Viewer, services: Services, liveness: Liveness, path: str) -> None:
    """The frame, and in it the screen of the path; following a link changes the screen alone."""
    frame = Frame(viewer, PLACES, path, find_guide_address)
    ui.context.client.sub_pages_router.on_path_changed(frame.mark)

    def bind(show: Screen) -> Callable[..., Awaitable[None]]:
        async def build(arguments: PageArguments) -> None:
            async with viewer.telling_errors():
                await show(viewer, services, liveness, arguments)

        return build

    ui.sub_pages({path: bind(show) for path, show in _SCREENS.items()}, show_404=False).classes("pages")
