"""What surrounds every screen: the navigation, the user's menu, where the screen stands."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path

from nicegui import ui

from raven_scan.access.types import Claim
from raven_scan.web.viewer import Viewer

_MARK = (Path(__file__).parent / "static" / "raven.svg").read_text().replace("#0b6b5b", "currentColor")


@dataclass(frozen=True, slots=True)
class Place:
    """A screen that the navigation leads to.

    Attributes:
        path: its address.
        name: in English.
        icon: of Material's.
        claim: what one needs to see it; None for everybody who is signed in.
    """

    path: str
    name: str
    icon: str
    claim: Claim | None


class Frame:
    """The navigation beside a screen, which stays while screens change.

    Args:
        viewer: whose page it is.
        places: that the navigation leads to; those that the viewer may not see are left out.
        path: of the first screen.
    """

    def __init__(self, viewer: Viewer, places: Sequence[Place], path: str) -> None:
        self._viewer = viewer
        self._links: dict[str, ui.element] = {}
        self._build(places)
        self.mark(path)

    def mark(self, path: str) -> None:
        """Shows which place a path belongs to."""
        here = path.partition("?")[0]
        for place, link in self._links.items():
            is_here = here == place or (place != "/" and here.startswith(f"{place}/"))
            link.props(add='aria-current="page"' if is_here else "", remove="" if is_here else "aria-current")

    def _build(self, places: Sequence[Place]) -> None:
        t = self._viewer.texts
        ui.html(f'<a class="skip" href="#screen">{escape(t("To the content"))}</a>', sanitize=False)
        with ui.left_drawer(value=False, bordered=False).props(
            "width=232 breakpoint=900 show-if-above"
        ) as drawer:
            drawer.style("padding: 0")
            ui.html(f'<a class="brand" href="/">{_MARK}Raven Scan</a>', sanitize=False)
            with ui.element("nav").classes("side").props(f'aria-label="{escape(t("Screens"))}"'):
                for place in places:
                    if place.claim is None or self._viewer.may(place.claim):
                        with ui.element("a").props(f'href="{place.path}"') as link:
                            ui.icon(place.icon).props('aria-hidden="true"')
                            ui.label(t(place.name))
                        self._links[place.path] = link
        with ui.element("header").classes("top"):
            ui.button(icon="menu", on_click=drawer.toggle).props(
                f'flat round dense aria-label="{escape(t("Navigation"))}"'
            )
            ui.element("div").classes("grow")
            with (
                ui.button(self._viewer.actor.name, icon="account_circle").props("flat no-caps"),
                ui.menu(),
            ):
                ui.menu_item(t("Sign out"), on_click=lambda: ui.run_javascript("ravenSignOut()"))


@contextmanager
def screen(title: str) -> Generator[ui.element]:
    """What a screen puts its parts into; `title` is its heading, and the browser's.

    Whoever follows a link by keyboard, or with a screen reader, is at the heading then.
    """
    ui.page_title(f"{title} · Raven Scan")
    with ui.element("main").classes("screen").props('id="screen" tabindex="-1"') as main:
        yield main


@contextmanager
def heading(title: str) -> Generator[None]:
    """A screen's heading; within come its buttons."""
    with ui.element("div").classes("title"):
        ui.html(f"<h1>{escape(title)}</h1>", sanitize=False)
        ui.element("div").classes("grow")
        yield


@contextmanager
def sheet(title: str = "", *, classes: str = "") -> Generator[ui.element]:
    """A part of a screen with a border, and a title."""
    with ui.element("section").classes(f"sheet {classes}") as part:
        if title:
            ui.html(f"<h2>{escape(title)}</h2>", sanitize=False)
        yield part


def show_empty(icon: str, sentence: str, *, link: tuple[str, str] | None = None) -> None:
    """What a list shows that has nothing, and what to do about it."""
    with ui.element("div").classes("empty"):
        ui.icon(icon).props('aria-hidden="true"')
        ui.label(sentence)
        if link is not None:
            ui.link(*link)


def button(
    text: str, act: Callable[..., object], *, kind: str = "quiet", icon: str | None = None
) -> ui.button:
    """A button; `kind`: `primary` for what a screen is for, `danger` for what loses something, `quiet` for the rest."""
    made = ui.button(text, icon=icon, on_click=act, color=None)
    return made.props("unelevated no-caps").classes(kind)


async def confirm(
    viewer: Viewer, question: str, *, explanation: str, action: str, danger: bool = False
) -> bool:
    """Asks before something is done that cannot be taken back at once."""
    with ui.dialog() as dialog, ui.card():
        ui.html(f"<h2>{escape(question)}</h2>", sanitize=False)
        ui.label(explanation).classes("muted")
        with ui.element("div").classes("row-gap").style("justify-content: flex-end; width: 100%"):
            button(viewer.texts("Keep as it is"), lambda: dialog.submit("no"))
            button(action, lambda: dialog.submit("yes"), kind="danger" if danger else "primary")
    try:
        return await dialog == "yes"
    finally:
        dialog.delete()
