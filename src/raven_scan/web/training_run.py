"""One training run: how far it is, what it has learned, what it printed, and what can be done with it."""

from dataclasses import replace
from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.findings import Finding, Severity
from raven_scan.training_runs.types import RunStatus, TrainingRunView
from raven_scan.web.charts import ChartBoard, ChartedMetrics, LineChart
from raven_scan.web.frame import heading, screen, sheet
from raven_scan.web.live import Liveness, RunNews
from raven_scan.web.marks import link
from raven_scan.web.run_actions import RunActions
from raven_scan.web.run_log import RunLogPart
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

_POINTS = 300


async def show_training_run(
    viewer: Viewer, services: Services, liveness: Liveness, arguments: PageArguments
) -> None:
    # First where it stands, then what it has: what comes in between is told twice, and nothing is missed.
    run_id, place = await liveness.open_run(viewer, arguments.path_parameters["ref"])
    run = await viewer.ask(services.training_runs.get_run, str(run_id))
    with screen(run.name):
        page = _RunPage(viewer, services, run)
        await page.build()
        liveness.follow_news(viewer, place, run.id, page.take)


class _RunPage:
    def __init__(self, viewer: Viewer, services: Services, run: TrainingRunView) -> None:
        self._viewer = viewer
        self._services = services
        self._run = run
        self._log = RunLogPart(viewer, services, str(run.id))

    async def build(self) -> None:
        t = self._viewer.texts
        ui.html(f'<div class="crumbs">{link(t("Training runs"), "/training-runs")}</div>', sanitize=False)
        with heading(self._run.name):
            self._actions = RunActions(self._viewer, self._services, self._show)
        self._status = ui.html("", sanitize=False).classes("visually-hidden").props('role="status"')
        self._state = ui.html("", sanitize=False).classes("sheet")
        self._notices = ui.html("", sanitize=False).classes("stack")
        self._build_charts()
        with ui.element("div").classes("grid"):
            with sheet(t("What it is made of")):
                self._facts = ui.html("", sanitize=False)
            with sheet(t("Downloads")):
                self._artifacts = ui.html("", sanitize=False)
        with sheet(t("Parameters")):
            self._parameters = ui.html("", sanitize=False)
        with sheet(t("Figures by class on the test part"), classes="wide") as classes:
            self._classes = ui.html("", sanitize=False).classes("scroll")
        self._classes_part = classes
        with sheet(t("Attempts"), classes="wide"):
            self._attempts = ui.html("", sanitize=False).classes("scroll")
        await self._log.build()
        self._changed = await self._viewer.ask(self._services.run_planning.list_changed, str(self._run.id))
        await self._show(self._run)
        histories = await self._viewer.ask(
            self._services.run_metrics.read_thinned, str(self._run.id), [], points=_POINTS
        )
        ui.run_javascript(self._board.write_start(histories))

    async def take(self, news: RunNews) -> None:
        """Shows what is new."""
        if news.run is not None:
            await self._show(news.run)
        elif news.progress is not None:
            self._run = replace(self._run, progress=news.progress)
            self._state.set_content(draw_state(self._run, self._viewer.texts))
        text = self._log.take(news.logs)
        if text or news.has_metrics:
            ui.run_javascript(self._board.write_news(news.metrics, text))

    def _build_charts(self) -> None:
        t = self._viewer.texts
        step, empty = t("Step"), t("Nothing is measured yet.")
        with ui.element("div").classes("grid charts") as large:
            self._board = ChartBoard(large.id)
            charts = self._board.charts
            with sheet(t("Loss")):
                chart = LineChart(t("Loss by step, with its parts"), empty=empty, step=step)
                charts.append(ChartedMetrics(chart, {"loss": t("Loss, all parts")}, "loss/"))
            with sheet(t("Quality on the valid part")):
                chart = LineChart(
                    t("mAP, mAP50 and mAP75 by step"),
                    highest=1.0,
                    empty=t("Measured when the first validation is done."),
                    step=step,
                )
                names = {"valid/map50": "mAP50", "valid/map": "mAP", "valid/map75": "mAP75"}
                charts.append(ChartedMetrics(chart, names))
        with ui.element("div").classes("grid") as small:
            with sheet(t("Learning rate")):
                chart = LineChart(t("Learning rate by step"), empty=empty, step=step)
                charts.append(ChartedMetrics(chart, {"learning_rate": t("Learning rate")}))
            with sheet(t("Memory of the device, MB")):
                chart = LineChart(t("Memory by step, in megabytes"), empty=empty, step=step)
                charts.append(ChartedMetrics(chart, {"memory_mb": t("Memory, MB")}))
            with sheet(t("Time a step, s")):
                chart = LineChart(t("Seconds a step takes"), empty=empty, step=step)
                charts.append(ChartedMetrics(chart, {"step_time_s": t("Time a step, s")}))

        self._charts = (large, small)

    async def _show(self, run: TrainingRunView) -> None:
        self._run = run
        t = self._viewer.texts
        for part in self._charts:
            part.set_visibility(bool(run.attempts))
        self._status.set_content(escape(t(str(run.status))))
        self._state.set_content(draw_state(run, t))
        self._notices.set_content(draw_notices(run, await self._check(), t))
        self._facts.set_content(draw_facts(run, self._viewer))
        self._parameters.set_content(draw_parameters(run, self._changed, t))
        self._attempts.set_content(draw_attempts(run, t))
        self._actions.show(run)
        artifacts = await self._viewer.ask(self._services.run_artifacts.list_artifacts, str(run.id))
        self._artifacts.set_content(draw_artifacts(run, artifacts, self._viewer))
        await self._show_classes()

    async def _check(self) -> list[Finding]:
        """What scheduling a Draft would find now."""
        if self._run.status is not RunStatus.DRAFT or not self._viewer.may(Claim.TRAINING_RUN_SCHEDULE):
            return []
        try:
            preflight = await self._viewer.ask(self._services.training_runs.check, str(self._run.id))
        except RavenError as error:  # its dataset or its base model is gone
            return [Finding(error.code, Severity.ERROR, error.message, error.hint)]
        return preflight.findings

    async def _show_classes(self) -> None:
        figures = None
        if self._run.model is not None and self._viewer.may(Claim.TRAINED_MODEL_VIEW):
            model = await self._viewer.ask(self._services.trained_models.find_model, self._run.model.id)
            figures = None if model is None else model.test
        has_classes = figures is not None and bool(figures.by_class)
        self._classes_part.set_visibility(has_classes)
        if figures is not None and has_classes:
            self._classes.set_content(draw_classes(figures, self._viewer.texts))
