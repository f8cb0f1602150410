"""What is shown in place of a screen that is not there, or not for this user."""

from html import escape

from nicegui import ui

from raven_scan.kernel.errors import NotFound, RavenError
from raven_scan.web.frame import heading, screen, show_link_button
from raven_scan.web.viewer import Viewer


def show_refused(viewer: Viewer, error: RavenError) -> None:
    t = viewer.texts
    title = t("Not found") if isinstance(error, NotFound) else t("This cannot be shown")
    with screen(title):
        with heading(title):
            pass
        ui.html(
            f'<div class="notice" role="alert"><b>{escape(error.message)}</b><br>'
            f"{escape(viewer.describe_hint(error))}</div>",
            sanitize=False,
        )
        with ui.element("div"):
            show_link_button(t("To the overview"), "/")


def make_no_screen(path: str) -> NotFound:
    return NotFound(
        "screen.unknown",
        f"There is no screen at {path[:200]}.",
        hint="Choose one beside, or check the address.",
    )
