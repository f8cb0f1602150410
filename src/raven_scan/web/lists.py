"""Lists that are searched, filtered, sorted and paged on the server; their address says how, and can be shared."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Generic, TypeVar
from urllib.parse import urlencode

from nicegui import ui

from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.web.frame import button
from raven_scan.web.living_html import LivingHtml
from raven_scan.web.marks import as_prop
from raven_scan.web.page_turning import PageTurning
from raven_scan.web.viewer import Viewer, as_handler, as_refresh

T = TypeVar("T")

_ROWS = 25
_REFRESH_S = 3.0
_TELL_SORT = (
    "(event) => { const b = event.target.closest('button[data-sort]'); if (b) emit(b.dataset.sort); }"
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list.

    Attributes:
        title: in the user's language.
        sort: what the service calls its order; None where it cannot be sorted by.
        is_number: set to the right.
    """

    title: str
    sort: str | None = None
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A filter: one of a few values, or any.

    Attributes:
        name: in the address.
        label: for a screen reader.
        options: what is shown by value; the value "" is any.
    """

    name: str
    label: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Field:
    """A filter that is typed.

    Attributes:
        name: in the address.
        label: what it is called.
        is_date: a day, as YYYY-MM-DD.
    """

    name: str
    label: str
    is_date: bool = False


class SearchedList(Generic[T]):
    """Rows, what chooses them, and their refreshing while somebody looks.

    Args:
        viewer: who looks.
        path: of the screen.
        asked: what its address asks for.
        columns: of the table.
        fetch: a page of what passes search and filters, which come by their names (`q` is the search).
        draw_row: an item as `<tr>`, escaped.
        search: what the field of the search is called.
        choices: the filters.
        more: filters that are shown when they are asked for, or where the address has one.
        default_sort: where the address says nothing.
        empty: HTML where nothing passes.
    """

    def __init__(
        self,
        viewer: Viewer,
        path: str,
        asked: Mapping[str, str],
        *,
        columns: Sequence[Column],
        fetch: Callable[[PageRequest, Mapping[str, str]], Awaitable[Page[T]]],
        draw_row: Callable[[T], str],
        search: str,
        choices: Sequence[Choice] = (),
        more: Sequence[Choice | Field] = (),
        default_sort: str,
        empty: str,
    ) -> None:
        self._viewer = viewer
        self._path = path
        self._columns = columns
        self._fetch = fetch
        self._draw_row = draw_row
        self._search_label = search
        self._choices = choices
        self._more = more
        self._default_sort = default_sort
        self._empty = empty
        self._wanted = {"q": asked.get("q", "")}
        for choice in (*choices, *more):
            value = asked.get(choice.name, "")
            is_known = isinstance(choice, Field) or value in choice.options
            self._wanted[choice.name] = value if is_known else ""
        sorts = {each for column in columns if column.sort for each in (column.sort, f"-{column.sort}")}
        self._sort = asked["sort"] if asked.get("sort") in sorts else default_sort
        self._cursor = asked.get("cursor")
        self._page: Page[T] = Page([], None)
        self._asks = 0
        self._shown = ""

    async def show(self) -> None:
        """Builds it, with its first page."""
        t = self._viewer.texts
        with ui.element("div").classes("row-gap") as self.tools:
            ui.input(placeholder=t("Search"), value=self._wanted["q"], on_change=self._choose("q")).props(
                f"outlined dense clearable debounce=250 type=search aria-label={as_prop(self._search_label)}"
            ).style("min-width: 240px")
            for choice in self._choices:
                self._add_choice(choice)
            if self._more:
                self._add_more()
        self.table = LivingHtml().classes("scroll")
        self.table.on("click", self._sort_by, js_handler=_TELL_SORT)
        self._pages = PageTurning(self._viewer, self._turn, self._cursor)
        await self.refresh()
        ui.timer(_REFRESH_S, as_refresh(self._viewer, self.refresh), immediate=False)

    def _add_choice(self, choice: Choice) -> None:
        ui.select(
            dict(choice.options), value=self._wanted[choice.name], on_change=self._choose(choice.name)
        ).props(f"outlined dense options-dense aria-label={as_prop(choice.label)}").style("min-width: 150px")

    def _add_more(self) -> None:
        t = self._viewer.texts
        is_open = any(self._wanted[each.name] for each in self._more)

        def toggle() -> None:
            part.set_visibility(not part.visible)
            more.props(f"aria-expanded={'true' if part.visible else 'false'}")

        more = button(t("More filters"), toggle, icon="tune")
        more.props(f"aria-expanded={'true' if is_open else 'false'}")
        with ui.element("div").classes("row-gap more-filters") as part:
            for each in self._more:
                if isinstance(each, Choice):
                    self._add_choice(each)
                else:
                    kind = "type=date stack-label" if each.is_date else "clearable debounce=250"
                    ui.input(
                        each.label, value=self._wanted[each.name], on_change=self._choose(each.name)
                    ).props(f"outlined dense {kind}").style("width: 160px")
        part.set_visibility(is_open)

    async def refresh(self) -> None:
        """Shows the page as it is now."""
        self._asks += 1
        asked = self._asks
        page = await self._fetch(PageRequest.parse(_ROWS, self._pages.cursor, self._sort), dict(self._wanted))
        if asked != self._asks:
            return  # something else was asked for meanwhile, whose answer is shown
        self._page = page
        self._pages.show(page.next)
        shown = self._draw()
        if shown != self._shown:
            self._shown = shown
            self.table.set_content(shown)

    def keep_shown(self) -> None:
        """The browser shows already what the rows are now, such as a box that was ticked: nothing is sent."""
        self._shown = self._draw()

    def _choose(self, name: str) -> Callable[[object], Awaitable[None]]:
        async def choose(event: object) -> None:
            self._wanted[name] = str(getattr(event, "value", None) or "")
            await self._begin_anew()

        return choose

    async def _sort_by(self, event: object) -> None:
        name = str(getattr(event, "args", ""))
        if name in {column.sort for column in self._columns}:
            self._sort = f"-{name}" if self._sort == name else name
            await self._begin_anew()

    async def _begin_anew(self) -> None:
        self._pages.begin_anew()
        await as_handler(self._viewer, self.refresh)()
        self._keep_address()

    async def _turn(self) -> None:
        await self.refresh()
        self._keep_address()

    def _keep_address(self) -> None:
        query = {
            **self._wanted,
            "sort": "" if self._sort == self._default_sort else self._sort,
            "cursor": self._pages.cursor or "",
        }
        address = urlencode({name: value for name, value in query.items() if value})
        ui.navigate.history.replace(f"{self._path}?{address}" if address else self._path)

    def _draw(self) -> str:
        if not self._page.items:
            return self._empty
        head = "".join(self._draw_header(column) for column in self._columns)
        rows = "".join(self._draw_row(each) for each in self._page.items)
        return f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'

    def _draw_header(self, column: Column) -> str:
        if not column.title:
            return "<td></td>"  # of boxes to tick; a header without words would be read as one
        classes = ' class="n"' if column.is_number else ""
        if column.sort is None:
            return f"<th{classes}>{escape(column.title)}</th>"
        order, mark = {column.sort: ("ascending", "▲"), f"-{column.sort}": ("descending", "▼")}.get(
            self._sort, ("none", "")
        )
        return (
            f'<th{classes} aria-sort="{order}"><button type="button" data-sort="{column.sort}">'
            f'{escape(column.title)} <span aria-hidden="true">{mark}</span></button></th>'
        )
