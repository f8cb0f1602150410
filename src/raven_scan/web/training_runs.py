"""The list of training runs: search, filters and order are in its address, so that it can be shared."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from html import escape
from urllib.parse import urlencode

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.architectures.catalogue import list_architectures
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.training_runs.comparison import FEWEST, MOST
from raven_scan.training_runs.types import RunFilter, RunStatus, TrainingRunSummary
from raven_scan.web.frame import button, heading, screen, sheet
from raven_scan.web.lists import Choice, Column, Field, SearchedList
from raven_scan.web.live import Liveness
from raven_scan.web.marks import draw_bar, link, mark_status, name_status
from raven_scan.web.run_energy import name_energy
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer, as_handler

_PATH = "/training-runs"
_CHOICES = PageRequest(limit=200, sort="name")
_TELL_TICK = (
    "(event) => { const box = event.target; if (box.dataset.run) emit([box.dataset.run, box.checked]); }"
)


async def show_training_runs(
    viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments
) -> None:
    t = viewer.texts
    with screen(t("Training runs")):
        with heading(t("Training runs")):
            if viewer.may(Claim.TRAINING_RUN_CREATE):
                button(
                    t("Create new training run"),
                    lambda: ui.navigate.to(f"{_PATH}/new"),
                    kind="primary",
                    icon="add",
                )
        with sheet(classes="run-list"):
            await _RunList(viewer, services, dict(arguments.query_parameters)).build()


class _RunList:
    """With runs that are ticked, to be compared."""

    def __init__(self, viewer: Viewer, services: Services, asked: Mapping[str, str]) -> None:
        self._viewer = viewer
        self._services = services
        self._asked = asked
        self._ticked: dict[str, None] = {}

    async def build(self) -> None:
        t, viewer = self._viewer.texts, self._viewer
        statuses = {"": t("Any status"), **{str(each): name_status(each, t) for each in RunStatus}}
        architectures = {
            "": t("Any architecture"),
            **{each.name: each.title for each in list_architectures()},
        }
        choices = [Choice("status", t("Status"), statuses)]
        more: list[Choice | Field] = [
            Choice("dataset", t("Dataset"), await self._list_datasets()),
            Choice("base_model", t("Base model"), await self._list_models()),
            Choice("architecture", t("Architecture"), architectures),
            Field("created_by", t("Created by")),
            Field("since", t("Created from"), is_date=True),
            Field("until", t("Created until"), is_date=True),
        ]
        self._list = SearchedList(
            viewer,
            _PATH,
            self._asked,
            columns=(
                Column(""),
                Column(t("Name"), "name"),
                Column(t("Status"), "status"),
                Column(t("Progress")),
                Column(t("Dataset and base model")),
                Column(t("mAP50, best"), "best_map50", is_number=True),
                Column(t("Created"), "created_at"),
            ),
            fetch=self._fetch,
            draw_row=self._draw_row,
            search=t("Search runs"),
            choices=choices,
            more=more,
            default_sort="-created_at",
            empty=self._draw_empty(),
        )
        self._bar = ui.element("div").classes("row-gap picked").props('role="status"')
        with self._bar:
            self._count = ui.label("")
            self._compare = button(t("Compare"), self._go_compare, kind="primary")
            button(t("Choose none"), as_handler(viewer, self._untick))
        self._bar.set_visibility(False)
        await self._list.show()
        self._list.table.on("change", self._tick, js_handler=_TELL_TICK)

    async def _fetch(self, request: PageRequest, wanted: Mapping[str, str]) -> Page[TrainingRunSummary]:
        status = wanted["status"]
        until = self._read_day(wanted["until"])
        chosen = RunFilter(
            search=wanted["q"],
            statuses=(RunStatus(status),) if status else (),
            dataset=wanted["dataset"] or None,
            base_model=wanted["base_model"] or None,
            architecture=wanted["architecture"] or None,
            created_by=wanted["created_by"].strip() or None,
            created_since=self._read_day(wanted["since"]),
            created_until=None if until is None else until + timedelta(days=1),
        )
        return await self._viewer.ask(self._services.training_runs.list_runs, request, chosen)

    def _read_day(self, text: str) -> datetime | None:
        """Its beginning where the user is; what is no day, such as one half typed, is none."""
        try:
            return datetime.combine(date.fromisoformat(text), time(), self._viewer.texts.timezone)
        except ValueError:
            return None

    async def _list_datasets(self) -> dict[str, str]:
        names = {self._asked.get("dataset", "")}
        if self._viewer.may(Claim.DATASET_VIEW):
            found = await self._viewer.ask(self._services.datasets.list_datasets, _CHOICES)
            names |= {each.name for each in found.items}
        return {"": self._viewer.texts("Any dataset"), **{name: name for name in sorted(names - {""})}}

    async def _list_models(self) -> dict[str, str]:
        names = {self._asked.get("base_model", "")}
        if self._viewer.may(Claim.TRAINED_MODEL_VIEW):
            found = await self._viewer.ask(self._services.trained_models.list_models, _CHOICES)
            names |= {each.name for each in found.items}
        return {"": self._viewer.texts("Any base model"), **{name: name for name in sorted(names - {""})}}

    def _draw_empty(self) -> str:
        t = self._viewer.texts
        advice = escape(t("Clear the search and the filters."))
        if self._viewer.may(Claim.TRAINING_RUN_CREATE):
            more = link(t("Create new training run"), f"{_PATH}/new")
            advice = f"{escape(t('Clear the search and the filters, or:'))} {more}"
        return f'<div class="empty">{escape(t("No training run is like that."))}<br>{advice}</div>'

    def _draw_row(self, run: TrainingRunSummary) -> str:
        t = self._viewer.texts
        best = None if run.best is None else run.best.get("map50")
        ticked = " checked" if str(run.id) in self._ticked else ""
        label = escape(t("Choose {name} to compare", name=run.name))
        note = f'<div class="small muted">{escape(t("dry run"))}</div>' if run.is_dry_run else ""
        return (
            f'<tr><td class="tick-cell"><input type="checkbox" data-run="{run.id}" aria-label="{label}"{ticked}></td>'
            f'<td class="name">{link(run.name, f"{_PATH}/{run.id}")}</td>'
            f"<td>{mark_status(run.status, t)}{note}</td>"
            f"<td>{_draw_progress(run, t)}</td><td>{escape(run.dataset_version.name)}"
            f'<div class="small muted">{escape(run.base_model.name)}</div></td><td class="n">{t.figure(best)}</td>'
            f'<td class="muted nowrap">{escape(t.moment(run.created_at))}'
            f'<div class="small">{escape(run.created_by)}</div></td></tr>'
        )

    async def _tick(self, event: object) -> None:
        told = getattr(event, "args", None)
        match told:
            case [str(run_id), True]:
                self._ticked[run_id] = None
            case [str(run_id), False]:
                self._ticked.pop(run_id, None)
            case _:
                return
        self._show_ticked()
        self._list.keep_shown()

    async def _untick(self) -> None:
        self._ticked.clear()
        self._show_ticked()
        await self._list.refresh()

    def _show_ticked(self) -> None:
        t, count = self._viewer.texts, len(self._ticked)
        self._bar.set_visibility(count > 0)
        self._compare.set_enabled(FEWEST <= count <= MOST)
        advice = "" if FEWEST <= count <= MOST else t("Choose {fewest} to {most}.", fewest=FEWEST, most=MOST)
        self._count.set_text(" ".join((t("{count} chosen.", count=count), advice)).strip())

    def _go_compare(self) -> None:
        ui.navigate.to(f"{_PATH}/compare?{urlencode([('run', each) for each in self._ticked])}")


def _draw_progress(run: TrainingRunSummary, t: Texts) -> str:
    if run.status in {RunStatus.PROCESSING, RunStatus.PAUSED}:
        done = run.progress.step / run.progress.steps if run.progress.steps else 0.0
        label = t("Epoch {epoch} of {epochs}", epoch=run.epoch, epochs=run.epochs)
        left = run.progress.time_left_s
        if left is not None and run.status is RunStatus.PROCESSING:
            label = f"{label}, {t('{time} left', time=t.duration(left))}"
        return f'{draw_bar(done, label)}<span class="small muted">{escape(label)}</span>'
    if run.error is not None:
        return f'<span class="small muted">{escape(run.error.message[:90])}</span>'
    if run.status is RunStatus.SUCCESS and run.started_at and run.ended_at:
        taken = t.duration((run.ended_at - run.started_at).total_seconds())
        said = t("took {time}", time=taken)
        if run.energy is not None:
            said = f"{said} · {name_energy(run.energy, t)}"
        return f'<span class="small muted">{escape(said)}</span>'
    return ""
