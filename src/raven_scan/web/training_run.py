"""One training run: how far it is, what it has learned, what it printed, and what can be done with it."""

from collections.abc import Callable
from html import escape
from typing import Any

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.training_runs.metric_history import MetricHistory
from raven_scan.training_runs.types import RunStatus, TrainingRunView
from raven_scan.web.charts import LineChart
from raven_scan.web.frame import button, confirm, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import draw_bar, link, list_facts, mark_status
from raven_scan.web.services import Services
from raven_scan.web.texts import NONE
from raven_scan.web.viewer import Viewer, as_handler

_LOG_LINES = 400
_POINTS = 400
_QUALITY = ("map", "map50", "map75")


async def show_training_run(
    viewer: Viewer, services: Services, liveness: Liveness, arguments: PageArguments
) -> None:
    ref = arguments.path_parameters["ref"]
    run = await viewer.ask(services.training_runs.get_run, ref)
    with screen(run.name):
        page = _RunPage(viewer, services, run)
        await page.build()
        liveness.follow_run(viewer, run.id, page.look)


class _RunPage:
    def __init__(self, viewer: Viewer, services: Services, run: TrainingRunView) -> None:
        self._viewer = viewer
        self._services = services
        self._run = run
        self._names: list[str] = []

    async def build(self) -> None:
        t = self._viewer.texts
        ui.html(f'<div class="crumbs">{link(t("Training runs"), "/training-runs")}</div>', sanitize=False)
        with heading(self._run.name):
            self._buttons = ui.element("div").classes("row-gap")
        self._state = ui.html("", sanitize=False).props('aria-live="polite"')
        self._state.classes("sheet")
        self._error = ui.html("", sanitize=False)
        with ui.element("div").classes("grid"):
            with sheet(t("Loss")):
                self._loss = LineChart(t("Loss by step"))
            with sheet(t("Quality on the valid part")):
                self._quality = LineChart(t("mAP by step"), highest=1.0)
            with sheet(t("Learning rate")):
                self._rate = LineChart(t("Learning rate by step"))
            with sheet(t("What it is made of")):
                self._facts = ui.html("", sanitize=False)
        with sheet(t("Log"), classes="wide"):
            self._log = ui.html("", sanitize=False)
        await self._draw()

    async def look(self) -> bool:
        """Shows what is new; False where nothing more is to come."""
        self._run = await self._viewer.ask(self._services.training_runs.get_run, str(self._run.id))
        await self._draw()
        return not self._run.status.is_final

    async def _draw(self) -> None:
        run = self._run
        self._state.set_content(self._draw_state())
        self._error.set_content(self._draw_error())
        self._facts.set_content(self._draw_facts())
        self._draw_buttons()
        histories = await self._viewer.ask(
            self._services.run_metrics.read_thinned, str(run.id), [], points=_POINTS
        )
        by_name = {each.name: each for each in histories}
        self._loss.show(_choose(by_name, lambda name: name.startswith("loss")))
        self._quality.show(_choose(by_name, lambda name: name in _QUALITY))
        self._rate.show(_choose(by_name, lambda name: name in {"learning_rate", "lr"}))
        log = await self._viewer.ask(self._services.run_logs.read_last_lines, str(run.id), _LOG_LINES)
        self._log.set_content(
            f'<pre class="log" tabindex="0" aria-label="{escape(self._viewer.texts("Log"))}">{escape(log.text)}</pre>'
        )

    def _draw_state(self) -> str:
        run, t = self._run, self._viewer.texts
        progress = run.progress
        parts = [mark_status(run.status, t)]
        if run.status is RunStatus.PROCESSING and progress.steps:
            label = t("Epoch {epoch} of {epochs}", epoch=progress.epoch, epochs=progress.epochs)
            parts.append(escape(label))
            parts.append(
                escape(
                    t("step {step} of {steps}", step=t.number(progress.step), steps=t.number(progress.steps))
                )
            )
            if progress.time_left_s is not None:
                parts.append(escape(t("{time} left", time=t.duration(progress.time_left_s))))
        numbers = [
            (t("mAP50, best"), t.figure(None if run.best is None else run.best.get("map50"))),
            (t("mAP, best"), t.figure(None if run.best is None else run.best.get("map"))),
            (t("Loss"), NONE if progress.loss is None else t.number(progress.loss, 3)),
            (t("Memory"), NONE if progress.memory_mb is None else t.size(progress.memory_mb * 1e6)),
        ]
        drawn = "".join(
            f'<div class="number"><div class="value">{escape(value)}</div><div class="name">{escape(name)}</div></div>'
            for name, value in numbers
        )
        share = progress.step / progress.steps if progress.steps else float(run.status is RunStatus.SUCCESS)
        bar = draw_bar(share, t("Progress")) if run.status is RunStatus.PROCESSING else ""
        return f'<div class="row-gap">{" · ".join(parts)}</div>{bar}<div class="numbers">{drawn}</div>'

    def _draw_error(self) -> str:
        error = self._run.error
        if error is None:
            return ""
        return (
            f'<div class="notice bad" role="alert"><b>{escape(error.message)}</b><br>{escape(error.hint)}'
            f'<div class="small mono">{escape(error.code)}</div></div>'
        )

    def _draw_facts(self) -> str:
        run, t = self._run, self._viewer.texts
        facts = [
            (t("Dataset"), escape(run.dataset_version.name)),
            (t("Base model"), escape(run.base_model.name)),
            (t("Architecture"), escape(run.architecture)),
            (t("Created"), escape(f"{t.moment(run.created_at)}, {run.created_by}")),
            (t("Started"), escape(t.moment(run.started_at))),
            (t("Ended"), escape(t.moment(run.ended_at))),
            (t("Attempts"), str(len(run.attempts))),
        ]
        if run.model is not None:
            facts.append((t("Trained model"), escape(run.model.name)))
        if run.notes:
            facts.append((t("Notes"), escape(run.notes)))
        return list_facts(facts)

    def _draw_buttons(self) -> None:
        names = self._list_actions()
        if names == self._names:
            return
        self._names = names
        t, control = self._viewer.texts, self._services.run_control
        acts: dict[str, tuple[str, str, Callable[[], Any]]] = {
            "schedule": (t("Schedule training run"), "primary", self._schedule),
            "pause": (t("Pause"), "quiet", self._do(control.pause)),
            "resume": (t("Resume"), "primary", self._do(control.resume)),
            "retry": (t("Retry"), "primary", self._do(control.retry)),
            "cancel": (t("Cancel run"), "danger", self._cancel),
        }
        self._buttons.clear()
        with self._buttons:
            for name in names:
                text, kind, act = acts[name]
                button(text, as_handler(self._viewer, act), kind=kind)

    def _list_actions(self) -> list[str]:
        of_status = {
            RunStatus.DRAFT: ["schedule"],
            RunStatus.WAITING: ["cancel"],
            RunStatus.PROCESSING: ["pause", "cancel"],
            RunStatus.PAUSED: ["resume", "cancel"],
            RunStatus.ERROR: ["retry"],
            RunStatus.CANCELLED: ["retry"],
        }
        needs = {"cancel": Claim.TRAINING_RUN_CANCEL, "pause": Claim.TRAINING_RUN_CANCEL}
        return [
            name
            for name in of_status.get(self._run.status, [])
            if self._viewer.may(needs.get(name, Claim.TRAINING_RUN_SCHEDULE))
        ]

    def _do(self, use_case: Callable[..., Any]) -> Callable[[], Any]:
        async def do() -> None:
            await self._viewer.ask(use_case, str(self._run.id))
            await self.look()

        return do

    async def _schedule(self) -> None:
        await self._viewer.ask(self._services.training_runs.schedule, str(self._run.id))
        await self.look()

    async def _cancel(self) -> None:
        t = self._viewer.texts
        if await confirm(
            self._viewer,
            t("Cancel this run?"),
            explanation=t(
                "It stops within seconds. Its last checkpoint is kept, so that Retry goes on from there."
            ),
            action=t("Cancel run"),
            danger=True,
        ):
            await self._do(self._services.run_control.cancel)()


def _choose(histories: dict[str, MetricHistory], is_wanted: Callable[[str], bool]) -> list[MetricHistory]:
    return [history for name, history in sorted(histories.items()) if is_wanted(name)]
