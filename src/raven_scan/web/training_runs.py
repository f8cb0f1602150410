"""The list of training runs: search, filter and order are in its address, so that it can be shared."""

from html import escape
from urllib.parse import urlencode

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.training_runs.types import RunFilter, RunStatus, TrainingRunSummary
from raven_scan.web.frame import button, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import draw_bar, link, mark_status
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer, as_handler

_PATH = "/training-runs"
_ROWS = 25
_REFRESH_S = 3.0
_SORTS = {
    "name": "Name",
    "status": "Status",
    "created_at": "Created",
    "best_map50": "mAP50",
}


async def show_training_runs(
    viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments
) -> None:
    t = viewer.texts
    asked = dict(arguments.query_parameters)
    with screen(t("Training runs")):
        with heading(t("Training runs")):
            pass
        with sheet():
            await _RunList(viewer, services, asked).show()


class _RunList:
    """The rows, what chooses them, and their refreshing while somebody looks."""

    def __init__(self, viewer: Viewer, services: Services, asked: dict[str, str]) -> None:
        self._viewer = viewer
        self._services = services
        self._search = asked.get("q", "")
        self._status = asked.get("status", "")
        self._sort = asked.get("sort", "-created_at")
        self._cursors: list[str] = [asked["cursor"]] if asked.get("cursor") else []
        self._next: str | None = None
        self._shown = ""

    async def show(self) -> None:
        t = self._viewer.texts
        with ui.element("div").classes("row-gap"):
            ui.input(placeholder=t("Search"), value=self._search, on_change=self._choose("_search")).props(
                f'outlined dense clearable debounce=250 type=search aria-label="{escape(t("Search runs"))}"'
            ).style("min-width: 260px")
            options = {"": t("Any status"), **{str(each): t(str(each)) for each in RunStatus}}
            ui.select(
                options,
                value=self._status if self._status in options else "",
                on_change=self._choose("_status"),
            ).props(f'outlined dense options-dense aria-label="{escape(t("Status"))}"').style(
                "min-width: 150px"
            )
        self._table = ui.html("", sanitize=False).classes("scroll")
        self._table.on("click", self._sort_by, js_handler=_TELL_SORT)
        with ui.element("nav").classes("row-gap").props(f'aria-label="{escape(t("Pages"))}"'):
            self._back = button(t("Back"), as_handler(self._viewer, self._go_back), icon="chevron_left")
            self._forward = button(t("Next"), as_handler(self._viewer, self._go_on), icon="chevron_right")
        await self._refresh()
        ui.timer(_REFRESH_S, as_handler(self._viewer, self._refresh), immediate=False)

    def _choose(self, name: str):  # noqa: ANN202 - an event's handler
        async def choose(event: object) -> None:
            setattr(self, name, getattr(event, "value", None) or "")
            self._cursors = []
            await as_handler(self._viewer, self._refresh)()
            self._keep_address()

        return choose

    async def _sort_by(self, event: object) -> None:
        name = str(getattr(event, "args", ""))
        if name not in _SORTS:
            return
        self._sort = f"-{name}" if self._sort == name else name
        self._cursors = []
        await as_handler(self._viewer, self._refresh)()
        self._keep_address()

    async def _go_on(self) -> None:
        if self._next is not None:
            self._cursors.append(self._next)
            await self._refresh()
            self._keep_address()

    async def _go_back(self) -> None:
        if self._cursors:
            self._cursors.pop()
            await self._refresh()
            self._keep_address()

    def _keep_address(self) -> None:
        query = {
            "q": self._search,
            "status": self._status,
            "sort": "" if self._sort == "-created_at" else self._sort,
            "cursor": self._cursors[-1] if self._cursors else "",
        }
        address = urlencode({name: value for name, value in query.items() if value})
        ui.navigate.history.replace(f"{_PATH}?{address}" if address else _PATH)

    async def _refresh(self) -> None:
        wanted = RunFilter(
            search=self._search,
            statuses=(RunStatus(self._status),) if self._status in set(RunStatus) else (),
        )
        request = PageRequest.parse(_ROWS, self._cursors[-1] if self._cursors else None, self._sort)
        page = await self._viewer.ask(self._services.training_runs.list_runs, request, wanted)
        self._next = page.next
        self._back.set_enabled(bool(self._cursors))
        self._forward.set_enabled(page.next is not None)
        shown = self._draw(page)
        if shown != self._shown:
            self._shown = shown
            self._table.set_content(shown)

    def _draw(self, page: Page[TrainingRunSummary]) -> str:
        t = self._viewer.texts
        if not page.items:
            return f'<div class="empty">{escape(t("No training run is like that."))}</div>'
        head = "".join(
            (
                self._draw_header("name"),
                self._draw_header("status"),
                f"<th>{escape(t('Progress'))}</th>",
                f"<th>{escape(t('Dataset'))}</th>",
                f"<th>{escape(t('Base model'))}</th>",
                self._draw_header("best_map50", classes="n"),
                self._draw_header("created_at"),
            )
        )
        rows = "".join(_draw_row(run, t) for run in page.items)
        return f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'

    def _draw_header(self, name: str, classes: str = "") -> str:
        sort = {name: ("ascending", "▲"), f"-{name}": ("descending", "▼")}.get(self._sort, ("none", ""))
        return (
            f'<th class="{classes}" aria-sort="{sort[0]}"><button type="button" data-sort="{name}">'
            f'{escape(self._viewer.texts(_SORTS[name]))} <span aria-hidden="true">{sort[1]}</span></button></th>'
        )


_TELL_SORT = (
    "(event) => { const b = event.target.closest('button[data-sort]'); if (b) emit(b.dataset.sort); }"
)


def _draw_row(run: TrainingRunSummary, t: Texts) -> str:
    progress = ""
    if run.status in {RunStatus.PROCESSING, RunStatus.PAUSED}:
        done = run.progress.step / run.progress.steps if run.progress.steps else 0.0
        label = t("Epoch {epoch} of {epochs}", epoch=run.epoch, epochs=run.epochs)
        progress = f'{draw_bar(done, label)}<span class="small muted">{escape(label)}</span>'
    elif run.error is not None:
        progress = f'<span class="small muted">{escape(run.error.message[:90])}</span>'
    best = None if run.best is None else run.best.get("map50")
    return (
        f"<tr><td>{link(run.name, f'{_PATH}/{run.id}')}</td><td>{mark_status(run.status, t)}</td>"
        f"<td>{progress}</td><td>{escape(run.dataset_version.name)}</td><td>{escape(run.base_model.name)}</td>"
        f'<td class="n">{t.figure(best)}</td><td class="muted">{escape(t.moment(run.created_at))}</td></tr>'
    )
