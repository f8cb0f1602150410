"""The user guide and what it refers to, as the documentation's files tell it."""

import re
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from anyio import to_thread
from nicegui import ui
from nicegui.elements.markdown import prepare_content
from nicegui.page_arguments import PageArguments

from raven_scan.kernel.errors import NotFound
from raven_scan.web.frame import screen
from raven_scan.web.guide_sections import GUIDE_PATH
from raven_scan.web.live import Liveness
from raven_scan.web.marks import list_places
from raven_scan.web.services import Services
from raven_scan.web.texts import later
from raven_scan.web.viewer import Viewer

_PACKED = Path(__file__).parent / "guide_files"
"""Where a wheel has them; in a checkout they are in `docs/`."""
_CHECKED_OUT = Path(__file__).resolve().parents[3] / "docs"

_CHAPTERS = {
    "user-guide": later("User guide"),
    "operations": later("Operations"),
    "settings": later("Settings"),
    "cli": later("Command line"),
    "rest": later("REST API"),
    "sdk": later("Python SDK"),
    "onnx": later("ONNX"),
}
_EXTRAS = ("fenced-code-blocks", "tables", "header-ids")
# Addresses of mail are left alone: markdown2 writes their letters as numbers, now these, now those.
_LINK = re.compile(r"""href="(?!https?:|#|/|[^"]*&#)([^"#]*)(#[^"]*)?\"""")
_HEADING = re.compile(r'<h2 id="([^"]+)">(.*?)</h2>')


@dataclass(frozen=True, slots=True)
class Chapter:
    """`sections`: titles, which are HTML, by their anchors."""

    content: str
    sections: dict[str, str]


async def show_guide(viewer: Viewer, _: Services, __: Liveness, arguments: PageArguments) -> None:
    t = viewer.texts
    name = arguments.path_parameters.get("chapter", "user-guide")
    if name not in _CHAPTERS:
        raise NotFound(
            "guide.unknown", f"The guide has no chapter {name!r}.", hint="Choose one in the user guide."
        )
    # What is read for the first time takes long: not where all pages wait.
    chapter = await to_thread.run_sync(read_chapter, name)
    address = _get_address(name)
    title = t(_CHAPTERS[name])
    with screen(title):
        places = [(_get_address(each), t(words)) for each, words in _CHAPTERS.items()]
        ui.html(list_places(places, address, t("Chapters")), sanitize=False)
        with ui.element("div").classes("guide-page"):
            links = "".join(
                f'<li><a href="{address}#{escape(anchor)}">{words}</a></li>'
                for anchor, words in chapter.sections.items()
            )
            if links:
                ui.html(
                    f'<nav aria-label="{escape(t("Contents"))}"><ul class="plain">{links}</ul></nav>',
                    sanitize=False,
                ).classes("guide-contents")
            ui.html(chapter.content, sanitize=False).classes("sheet guide").props('lang="en"')


@cache
def read_chapter(name: str) -> Chapter:
    """A chapter as HTML. It is our own text: nothing of users is in it."""
    text = find_file(name).read_text(encoding="utf-8")
    content = _LINK.sub(_lead_within, prepare_content(text, " ".join(_EXTRAS)))
    content = content.replace("<table>", '<div class="scroll"><table class="list">').replace(
        "</table>", "</table></div>"
    )
    content = content.replace("<pre>", '<pre tabindex="0">')
    return Chapter(content, dict(_HEADING.findall(content)))


def find_file(name: str) -> Path:
    packed = _PACKED / f"{name}.md"
    return packed if packed.is_file() else _CHECKED_OUT / f"{name}.md"


def _get_address(name: str) -> str:
    return GUIDE_PATH if name == "user-guide" else f"{GUIDE_PATH}/{name}"


def _lead_within(found: re.Match[str]) -> str:
    """A link between files becomes one between chapters; to what is not here, one to the guide's beginning."""
    name = found[1].removesuffix(".md")
    address = _get_address(name) if name in _CHAPTERS else GUIDE_PATH
    return f'href="{address}{found[2] or ""}"'
