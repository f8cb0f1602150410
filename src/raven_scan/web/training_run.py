"""One training run: how far it is, what it has learned, what it printed, and what can be done with it."""

from dataclasses import dataclass, replace
from functools import partial
from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.findings import Finding, Severity
from raven_scan.trained_models.types import Figures
from raven_scan.training_runs.artifacts import RunArtifact
from raven_scan.training_runs.events import Place
from raven_scan.training_runs.types import CLASS_METRICS, LogRange, RunStatus, TrainingRunView
from raven_scan.web.charts import ChartBoard, ChartedMetrics, LineChart, LineChoice, encode_points
from raven_scan.web.frame import heading, screen, sheet
from raven_scan.web.live import NO_METRICS, Liveness, RunNews
from raven_scan.web.living_html import LivingHtml
from raven_scan.web.marks import link, name_status
from raven_scan.web.run_actions import RunActions
from raven_scan.web.run_log import LINES, RunLogPart
from raven_scan.web.run_pieces import (
    draw_artifacts,
    draw_attempts,
    draw_classes,
    draw_facts,
    draw_notices,
    draw_parameters,
    draw_state,
)
from raven_scan.web.services import Services
from raven_scan.web.viewer import Viewer

_CHARTS_AFTER_S = 0.05
_POINTS = 300
_CLASSES = 10
"""So many curves by class can be told from each other; more are a tick away."""


@dataclass(frozen=True, slots=True)
class _Content:
    """A run, with what its page shows beside it.

    Attributes:
        findings: what scheduling a Draft would find now.
        changed: parameters that are not as they would have been decided.
        test: figures of its model, where it has one that the viewer may see.
    """

    run: TrainingRunView
    findings: list[Finding]
    changed: set[str]
    artifacts: list[RunArtifact]
    test: Figures | None


@dataclass(frozen=True, slots=True)
class _First:
    """What a page begins with.

    Attributes:
        place: behind which its news are.
        points: of all metrics, as JSON.
        measured_classes: how many have metrics.
        classes: with boxes in the valid part, the most frequent first; [] where the viewer may not see the dataset.
    """

    place: Place
    content: _Content
    log: LogRange
    points: str
    measured_classes: int
    classes: list[str]


def _read(actor: Actor, services: Services, run: TrainingRunView) -> _Content:
    ref, model = str(run.id), None
    if run.model is not None:
        model = services.trained_models.find_model(actor, run.model.id)
    return _Content(
        run=run,
        findings=_check(actor, services, run),
        changed=services.run_planning.list_changed(actor, ref),
        artifacts=services.run_artifacts.list_artifacts(actor, ref),
        test=None if model is None else model.test,
    )


def _check(actor: Actor, services: Services, run: TrainingRunView) -> list[Finding]:
    if run.status is not RunStatus.DRAFT or not actor.may(Claim.TRAINING_RUN_SCHEDULE):
        return []
    try:
        return services.training_runs.check(actor, str(run.id)).findings
    except RavenError as error:  # its dataset or its base model is gone
        return [Finding(error.code, Severity.ERROR, error.message, error.hint)]


def _read_first(actor: Actor, services: Services, ref: str) -> _First:
    """All that a page begins with, asked at once.

    First where the run stands, then what it has: what comes in between is told twice, and nothing is missed.
    """
    run_id, place = services.run_events.open(actor, ref, None, has_history=False)
    run = services.training_runs.get_run(actor, str(run_id))
    histories = services.run_metrics.read_thinned(actor, str(run_id), [], points=_POINTS)
    return _First(
        place=place,
        content=_read(actor, services, run),
        log=services.run_logs.read_last_lines(actor, str(run_id), LINES),
        points=encode_points(histories),
        measured_classes=sum(each.name.startswith(CLASS_METRICS) for each in histories),
        classes=_list_frequent_classes(actor, services, run),
    )


def _list_frequent_classes(actor: Actor, services: Services, run: TrainingRunView) -> list[str]:
    try:
        version = services.datasets.get_version(actor, str(run.dataset_version.id))
    except RavenError:
        return []
    counts = version.parts["valid"].boxes_by_class
    return sorted((name for name, count in counts.items() if count), key=lambda name: (-counts[name], name))


async def show_training_run(
    viewer: Viewer, services: Services, liveness: Liveness, arguments: PageArguments
) -> None:
    first = await viewer.ask(_read_first, services, arguments.path_parameters["ref"])
    run = first.content.run
    with screen(run.name):
        page = _RunPage(viewer, services, first)
        liveness.follow_news(viewer, first.place, run.id, page.take)


class _RunPage:
    def __init__(self, viewer: Viewer, services: Services, first: _First) -> None:
        self._viewer = viewer
        self._services = services
        self._run = first.content.run
        t = viewer.texts
        ui.html(f'<div class="crumbs">{link(t("Training runs"), "/training-runs")}</div>', sanitize=False)
        with heading(self._run.name) as self._retitle:
            self._actions = RunActions(viewer, services, self._show)
        self._status = ui.html("", sanitize=False).classes("visually-hidden").props('role="status"')
        self._state = LivingHtml().classes("sheet")
        self._notices = LivingHtml().classes("stack")
        self._build_charts(first.classes)
        self._has_classes = first.measured_classes > 0
        self._has_one_class = (first.measured_classes or len(first.classes)) == 1
        with ui.element("div").classes("grid"):
            with sheet(t("What it is made of")):
                self._facts = LivingHtml()
            with sheet(t("Downloads")):
                self._artifacts = LivingHtml()
        with sheet(t("Parameters")):
            self._parameters = LivingHtml()
        with sheet(t("Figures by class on the test part"), classes="wide") as self._classes_part:
            self._classes = ui.html("", sanitize=False).classes("scroll")
        with sheet(t("Attempts"), classes="wide"):
            self._attempts = LivingHtml().classes("scroll")
        self._log = RunLogPart(viewer, services, str(self._run.id), first.log)
        self._draw(first.content)
        # What the charts are told before they are there; None once they are.
        self._missed: list[str] | None = []
        # The rest is there first, and can be read.
        ui.timer(_CHARTS_AFTER_S, partial(self._begin_charts, first.points), once=True)

    async def take(self, news: RunNews) -> None:
        """Shows what is new."""
        if news.run is not None:
            await self._show(news.run)
        elif news.progress is not None:
            self._run = replace(self._run, progress=news.progress)
            self._state.set_content(draw_state(self._run, self._viewer.texts))
        text = self._log.take(news.logs)
        if not self._has_classes and CLASS_METRICS in news.metrics:
            self._has_classes = True
            self._show_class_chart()
        metrics = news.metrics
        if self._missed is not None:
            self._missed.append(metrics)
            metrics = NO_METRICS
        if text or metrics != NO_METRICS:
            ui.run_javascript(self._board.write_news(metrics, text))

    def _begin_charts(self, points: str) -> None:
        self._board.build()
        ui.run_javascript(self._board.write_start(points))
        for metrics in self._missed or []:
            ui.run_javascript(self._board.write_news(metrics, ""))
        self._missed = None

    def _build_charts(self, classes: list[str]) -> None:
        t = self._viewer.texts
        later = partial(LineChart, step=t("Step"), comes_later=True)
        empty = t("Nothing is measured yet.")
        with ui.element("div").classes("grid charts") as large:
            self._board = ChartBoard(large.id)
            charts = self._board.charts
            with sheet(t("Loss")):
                chart = later(t("Loss by step, with its parts"), empty=empty)
                charts.append(ChartedMetrics(chart, {"loss": t("Loss, all parts")}, "loss/"))
            with sheet(t("Quality on the valid part")):
                chart = later(
                    t("mAP, mAP50 and mAP75 by step"),
                    highest=1.0,
                    empty=t("It ended before a validation was done.")
                    if self._run.status.is_final
                    else t("Measured when the first validation is done."),
                )
                names = {"valid/map50": "mAP50", "valid/map": "mAP", "valid/map75": "mAP75"}
                charts.append(ChartedMetrics(chart, names))
            with sheet(t("mAP by class on the valid part"), classes="wide") as self._by_class:
                chart = later(
                    t("mAP of each class by step"),
                    highest=1.0,
                    empty=t("Measured when the first validation is done."),
                )
                said = t(
                    "{shown} of {count} classes are drawn. Choose others", shown="{shown}", count="{count}"
                )
                choice = LineChoice([f"{CLASS_METRICS}{name}" for name in classes], _CLASSES, said)
                charts.append(ChartedMetrics(chart, {}, CLASS_METRICS, choice))
        with ui.element("div").classes("grid charts") as small:
            with sheet(t("Learning rate")):
                chart = later(t("Learning rate by step"), empty=empty)
                charts.append(ChartedMetrics(chart, {"learning_rate": t("Learning rate")}))
            with sheet(t("Memory of the device, MiB")):
                chart = later(t("Memory by step, in mebibytes"), empty=empty)
                charts.append(ChartedMetrics(chart, {"memory_mb": t("Memory, MiB")}))
            with sheet(t("Load of the device")):
                chart = later(t("Load of the device by step, in percent"), highest=100.0, empty=empty)
                charts.append(ChartedMetrics(chart, {"device_load_percent": t("Load, %")}))
            with sheet(t("Time a step, s")):
                chart = later(t("Seconds a step takes"), empty=empty)
                charts.append(ChartedMetrics(chart, {"step_time_s": t("Time a step, s")}))

        self._charts = (large, small)

    async def _show(self, run: TrainingRunView) -> None:
        self._draw(await self._viewer.ask(_read, self._services, run))

    def _draw(self, content: _Content) -> None:
        run, viewer = content.run, self._viewer
        self._run = run
        self._retitle(run.name)
        t = viewer.texts
        for part in self._charts:
            part.set_visibility(bool(run.attempts))
        self._show_class_chart()
        self._status.set_content(escape(name_status(run.status, t)))
        self._state.set_content(draw_state(run, t))
        self._notices.set_content(draw_notices(run, content.findings, viewer))
        self._facts.set_content(draw_facts(run, viewer))
        self._parameters.set_content(draw_parameters(run, content.changed, t))
        self._attempts.set_content(draw_attempts(run, t))
        self._artifacts.set_content(draw_artifacts(run, content.artifacts, viewer))
        self._actions.show(run)
        has_classes = content.test is not None and bool(content.test.by_class)
        self._classes_part.set_visibility(has_classes)
        if content.test is not None and has_classes:
            self._classes.set_content(draw_classes(content.test, t))

    def _show_class_chart(self) -> None:
        """Not of a single class, of which it says what the mAP does, nor of runs that older releases ended."""
        may_come = self._has_classes or not self._run.status.is_final
        self._by_class.set_visibility(may_come and not self._has_one_class)
