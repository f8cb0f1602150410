"""Short tables that are made whole on the server, and the buttons in their rows."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from html import escape

from nicegui import ui

from raven_scan.web.living_html import LivingHtml
from raven_scan.web.viewer import Viewer, as_handler

_TELL_ROW = (
    "(event) => { const b = event.target.closest('button[data-act]');"
    " if (b) emit([b.dataset.act, b.dataset.row]); }"
)


def draw_table(titles: Sequence[str], rows: Sequence[str], *, empty: str, caption: str = "") -> str:
    """Rows are `<tr>` with what users wrote escaped; titles that begin with `#` are of numbers, "" is of buttons."""
    if not rows:
        return f'<div class="empty">{escape(empty)}</div>'
    head = "".join(_draw_title(title) for title in titles)
    said = f'<caption class="visually-hidden">{escape(caption)}</caption>' if caption else ""
    return f'<table class="list">{said}<thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _draw_title(title: str) -> str:
    if not title:
        return "<td></td>"  # of buttons; a header without words would be read as one
    if title.startswith("#"):
        return f'<th scope="col" class="n">{escape(title[1:])}</th>'
    return f'<th scope="col">{escape(title)}</th>'


def draw_row_button(act: str, row: object, text: str, *, label: str = "", danger: bool = False) -> str:
    """A button of a row; `label` says to a screen reader which row's it is."""
    kind = "row-act danger" if danger else "row-act"
    said = f' aria-label="{escape(label)}"' if label else ""
    return (
        f'<button type="button" class="{kind}" data-act="{escape(act)}" data-row="{escape(str(row))}"{said}>'
        f"{escape(text)}</button>"
    )


def listen_to_rows(
    table: ui.html, viewer: Viewer, acts: Mapping[str, Callable[[str], Awaitable[object]]]
) -> None:
    """Calls the act of a button that was pressed with its row."""

    async def press(event: object) -> None:
        told = getattr(event, "args", None)
        if not isinstance(told, list) or len(told) != 2 or told[0] not in acts:  # pyright: ignore[reportUnknownArgumentType]
            return
        await as_handler(viewer, acts[str(told[0])])(str(told[1]))  # pyright: ignore[reportUnknownArgumentType]

    table.on("click", press, js_handler=_TELL_ROW)


class ShownTable:
    """A table that is sent where it differs from what is shown."""

    def __init__(self) -> None:
        self.element = LivingHtml().classes("scroll")
        self._shown = ""
        self.element.set_visibility(False)  # what is empty takes no room

    def show(self, content: str) -> None:
        if content != self._shown:
            self._shown = content
            self.element.set_content(content)
            self.element.set_visibility(bool(content))
