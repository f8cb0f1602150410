"""What surrounds every screen: the navigation, the user's menu, where the screen stands."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from html import escape
from itertools import groupby
from pathlib import Path

from nicegui import ui

from raven_scan.access.types import Claim
from raven_scan.web.account_places import list_account_places
from raven_scan.web.marks import as_prop
from raven_scan.web.viewer import Viewer

_MARK = (Path(__file__).parent / "static" / "raven.svg").read_text().replace("#0b6b5b", "currentColor")


@dataclass(frozen=True, slots=True)
class Place:
    """A screen that the navigation leads to.

    Attributes:
        path: its address.
        name: in English.
        icon: of Material's.
        claim: what one needs to see it, or any one of several; None for everybody who is signed in.
        part: of the navigation, in English; places of one part follow each other.
    """

    path: str
    name: str
    icon: str
    claim: Claim | tuple[Claim, ...] | None
    part: str = ""

    def is_for(self, viewer: Viewer) -> bool:
        if self.claim is None:
            return True
        return any(
            viewer.may(each) for each in (self.claim if isinstance(self.claim, tuple) else (self.claim,))
        )


class Frame:
    """The navigation beside a screen, which stays while screens change.

    Args:
        viewer: whose page it is.
        places: that the navigation leads to; those that the viewer may not see are left out.
        path: of the first screen.
        find_help: the address of what the user guide says of a screen, by its path.
    """

    def __init__(
        self, viewer: Viewer, places: Sequence[Place], path: str, find_help: Callable[[str], str]
    ) -> None:
        self._viewer = viewer
        self._find_help = find_help
        # Quasar's page is a `main` of its own, around the screen's.
        around = ui.context.client.content.parent_slot
        if around is not None:
            around.parent.props("role=presentation")
        self._links: dict[str, ui.element] = {}
        self._build(places)
        self.mark(path)

    def mark(self, path: str) -> None:
        """Shows which place a path belongs to; what was refused on the screen before is of no interest now."""
        ui.run_javascript("ravenCloseRefusals()")
        here = path.partition("?")[0]
        self._help.props(f"href={as_prop(self._find_help(here))}")
        for place, link in self._links.items():
            is_here = here == place or (place != "/" and here.startswith(f"{place}/"))
            link.props(add='aria-current="page"' if is_here else "", remove="" if is_here else "aria-current")

    def _build(self, places: Sequence[Place]) -> None:
        t = self._viewer.texts
        with ui.left_drawer(value=False, bordered=False).props(
            "width=232 breakpoint=900 show-if-above"
        ) as drawer:
            drawer.style("padding: 0")
            ui.html(f'<a class="brand" href="/">{_MARK}Raven Scan</a>', sanitize=False)
            with ui.element("nav").classes("side").props(f"aria-label={as_prop(t('Screens'))}"):
                shown = [place for place in places if place.is_for(self._viewer)]
                for part, members in groupby(shown, key=lambda place: place.part):
                    if part:
                        ui.html(f'<div class="side-part">{escape(t(part))}</div>', sanitize=False)
                    for place in members:
                        self._add_link(place)
        with ui.context.client.layout:
            skip = ui.html(
                f'<a class="skip" href="#screen">{escape(t("To the content"))}</a>', sanitize=False
            )
        # Before the navigation that it skips.
        skip.move(target_index=0)
        with ui.element("header").classes("top"):
            ui.button(icon="menu", on_click=drawer.toggle).props(
                f"flat round dense aria-label={as_prop(t('Navigation'))}"
            )
            ui.html(
                '<div id="connection" role="status" '
                f'data-lost="{escape(t("Connection lost. It is mended by itself."))}" '
                f'data-mended="{escape(t("The connection is back."))}"></div>',
                sanitize=False,
            )
            ui.element("div").classes("grow")
            with ui.element("a").classes("top-link").props('href="/guide"') as self._help:
                ui.icon("help_outline").props('aria-hidden="true"')
                ui.label(t("Help"))
            self._build_light_switch()
            self._build_own_menu()

    def _add_link(self, place: Place) -> None:
        with ui.element("a").props(f'href="{place.path}"') as link:
            ui.icon(place.icon).props('aria-hidden="true"')
            ui.label(self._viewer.texts(place.name))
        self._links[place.path] = link

    def _build_light_switch(self) -> None:
        t = self._viewer.texts
        with (
            ui.button(icon="contrast").props(f"flat round dense aria-label={as_prop(t('Light or dark'))}"),
            ui.menu(),
        ):
            for light, name, icon in (
                ("auto", t("As the system has it"), "brightness_auto"),
                ("light", t("Light"), "light_mode"),
                ("dark", t("Dark"), "dark_mode"),
            ):
                with ui.menu_item().on("click", js_handler=f'() => ravenSetLight("{light}")'):
                    ui.icon(icon).props('aria-hidden="true"').classes("menu-icon")
                    ui.label(name)

    def _build_own_menu(self) -> None:
        t = self._viewer.texts
        with ui.button(self._viewer.actor.name, icon="account_circle").props("flat no-caps"), ui.menu():
            for path, name in list_account_places(self._viewer):
                ui.menu_item(name, on_click=partial(ui.navigate.to, path))
            ui.separator()
            ui.menu_item(t("Sign out"), on_click=lambda: ui.run_javascript("ravenSignOut()"))


@contextmanager
def screen(title: str) -> Generator[ui.element]:
    """What a screen puts its parts into; `title` is its heading, and the browser's.

    Whoever follows a link by keyboard, or with a screen reader, is at the heading then.
    """
    ui.page_title(_name_page(title))
    with ui.element("main").classes("screen").props('id="screen" tabindex="-1"') as main:
        yield main


@contextmanager
def heading(title: str) -> Generator[Callable[[str], None]]:
    """A screen's heading; within come its buttons. What it yields shows another title, such as a new name."""
    with ui.element("div").classes("title"):
        shown = ui.html(f"<h1>{escape(title)}</h1>", sanitize=False)
        ui.element("div").classes("grow")
        told = title

        def retitle(changed: str) -> None:
            nonlocal told
            if changed == told:
                return
            told = changed
            shown.set_content(f"<h1>{escape(changed)}</h1>")
            ui.page_title(_name_page(changed))

        yield retitle


def _name_page(title: str) -> str:
    return f"{title} · Raven Scan"


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


def show_link_button(text: str, path: str, *, kind: str = "quiet") -> None:
    """What looks like a button and leads to another screen."""
    ui.html(f'<a class="as-button {kind}" href="{escape(path)}">{escape(text)}</a>', sanitize=False)


async def confirm(
    viewer: Viewer, question: str, *, explanation: str, action: str, danger: bool = False
) -> bool:
    """Asks before something is done that cannot be taken back at once."""
    # Not inside what asks: that may be built anew meanwhile.
    with ui.context.client.content, ui.dialog() as dialog, ui.card():
        ui.html(f"<h2>{escape(question)}</h2>", sanitize=False)
        ui.label(explanation).classes("muted")
        with ui.element("div").classes("row-gap").style("justify-content: flex-end; width: 100%"):
            button(viewer.texts("Keep as it is"), lambda: dialog.submit("no"))
            button(action, lambda: dialog.submit("yes"), kind="danger" if danger else "primary")
    try:
        return await dialog == "yes"
    finally:
        dialog.delete()
