"""The first screen: what is at work, what came out, and what needs attention."""

from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.training_runs.queue_types import QueueEntry
from raven_scan.training_runs.types import RunStatus, TrainingRunSummary
from raven_scan.web.first_steps import FirstSteps
from raven_scan.web.frame import heading, screen, sheet, show_link_button
from raven_scan.web.hints import leave_out_marks
from raven_scan.web.live import Liveness, SharedAnswers
from raven_scan.web.marks import draw_bar, link, mark_status
from raven_scan.web.overview_attention import draw_attention
from raven_scan.web.overview_state import AtWork, Outcome, look_at_outcome, look_at_work
from raven_scan.web.rows import ShownTable, draw_table
from raven_scan.web.services import Services
from raven_scan.web.storage_use import draw_storage
from raven_scan.web.texts import NONE, Texts
from raven_scan.web.viewer import Viewer, as_refresh
from raven_scan.web.worker_slots import draw_workers

_REFRESH_S = 2.0
_WORK_FRESH_S = 1.0
_OUTCOME_FRESH_S = 9.0
"""What ends seldom is not looked at as often as what is at work."""


async def show_overview(viewer: Viewer, services: Services, liveness: Liveness, _: PageArguments) -> None:
    t = viewer.texts
    with screen(t("Overview")):
        with heading(t("Overview")):
            if viewer.may(Claim.TRAINING_RUN_CREATE):
                show_link_button(t("Create new training run"), "/training-runs/new", kind="primary")
        await _Overview(viewer, services, liveness.answers).show()


class _Overview:
    def __init__(self, viewer: Viewer, services: Services, answers: SharedAnswers) -> None:
        self._viewer = viewer
        self._services = services
        self._answers = answers
        self._tables: dict[str, ShownTable] = {}
        self._outcome: Outcome | None = None

    async def show(self) -> None:
        viewer, t = self._viewer, self._viewer.texts
        self._steps = FirstSteps(viewer, self._services)
        await self._steps.show()
        attention = self._add("attention")
        attention.element.props('role="status"')
        if viewer.may(Claim.TRAINING_RUN_VIEW):
            with sheet(t("At work and waiting"), classes="short"):
                self._add("runs")
        with ui.element("div").classes("grid overview"):
            for name, title, claim in (
                ("last", t("Last results"), Claim.TRAINING_RUN_VIEW),
                ("models", t("Models in use"), Claim.TRAINED_MODEL_VIEW),
                ("workers", t("Workers"), Claim.SYSTEM_VIEW),
                ("storage", t("Storage"), Claim.SYSTEM_VIEW),
            ):
                if viewer.may(claim):
                    with sheet(title):
                        self._add(name)
        await self._refresh()
        ui.timer(_REFRESH_S, as_refresh(viewer, self._refresh), immediate=False)

    def _add(self, name: str) -> ShownTable:
        self._tables[name] = ShownTable()
        return self._tables[name]

    async def _refresh(self) -> None:
        viewer, services, t = self._viewer, self._services, self._viewer.texts
        outcome = await self._answers.ask(
            viewer, "outcome", lambda actor: look_at_outcome(actor, services), fresh_s=_OUTCOME_FRESH_S
        )
        drawn = await self._answers.ask(
            viewer,
            ("overview", t.way),
            lambda actor: _draw(look_at_work(actor, services), outcome, t),
            fresh_s=_WORK_FRESH_S,
        )
        for name, table in self._tables.items():
            table.show(drawn[name])
        if outcome is not self._outcome:
            self._outcome = outcome
            await self._steps.refresh()


def _draw(work: AtWork, outcome: Outcome, t: Texts) -> dict[str, str]:
    """Its parts, as HTML."""
    at_work = {run.id: run for run in work.processing}
    return {
        "attention": draw_attention(work, outcome, t),
        "runs": _draw_runs(work, t),
        "last": _draw_last(outcome.ended, t),
        "models": _draw_models(outcome, t),
        "workers": "" if work.workers is None else draw_workers(work.workers, t, runs=at_work),
        "storage": "" if outcome.storage is None else draw_storage(outcome.storage, t),
    }


def _draw_runs(work: AtWork, t: Texts) -> str:
    rows = [_draw_processing(run, t) for run in work.processing]
    rows += [_draw_waiting(entry, t) for entry in work.waiting]
    more = ""
    if work.has_more_waiting:
        more = f'<p class="small">{link(t("All that waits is in the queue"), "/queue")}</p>'
    titles = [t("Training run"), t("Status"), t("Progress"), f"#{t('mAP50')}", t("Time left")]
    return (
        draw_table(titles, rows, empty=t("Nothing is at work, and nothing waits."), caption=t("At work"))
        + more
    )


def _draw_processing(run: TrainingRunSummary, t: Texts) -> str:
    progress = run.progress
    share = progress.step / progress.steps if progress.steps else 0.0
    label = t("Epoch {epoch} of {epochs}", epoch=run.epoch, epochs=run.epochs)
    best = None if run.best is None else run.best.get("map50")
    left = NONE if progress.time_left_s is None else t.duration(progress.time_left_s)
    return (
        f"<tr><td>{link(run.name, f'/training-runs/{run.id}')}</td><td>{mark_status(run.status, t)}</td>"
        f'<td>{draw_bar(share, label)}<span class="small muted">{escape(label)} · {t.percent(share)}</span></td>'
        f'<td class="n">{t.figure(best)}</td><td>{escape(left)}</td></tr>'
    )


def _draw_waiting(entry: QueueEntry, t: Texts) -> str:
    start = entry.expected_start_at
    begins = t("begins {moment}", moment=t.moment(start)) if start else NONE
    waits = f"{t('Place {place} in the queue.', place=entry.place)} {leave_out_marks(entry.reason)}"
    return (
        f"<tr><td>{link(entry.run.name, f'/training-runs/{entry.run.id}')}</td>"
        f"<td>{mark_status(RunStatus.WAITING, t)}</td>"
        f'<td class="small">{escape(waits)}</td>'
        f'<td class="n">{NONE}</td><td class="small">{escape(begins)}</td></tr>'
    )


def _draw_last(ended: list[TrainingRunSummary], t: Texts) -> str:
    rows: list[str] = []
    for run in ended:
        best = None if run.best is None else run.best.get("map50")
        rows.append(
            f"<tr><td>{link(run.name, f'/training-runs/{run.id}')}"
            f'<div class="small muted">{escape(t.moment(run.ended_at))}</div></td>'
            f'<td>{mark_status(run.status, t)}</td><td class="n">{t.figure(best)}</td></tr>'
        )
    titles = [t("Training run"), t("Status"), f"#{t('mAP50, best')}"]
    return draw_table(titles, rows, empty=t("No training run has ended yet."), caption=t("Last results"))


def _draw_models(outcome: Outcome, t: Texts) -> str:
    rows = [
        f"<tr><td><b>{escape(name.name)}</b>@{name.number}</td>"
        f"<td>{link(name.model or NONE, f'/trained-models/{name.model_id}')}</td>"
        f'<td class="small muted">{escape(t.moment(name.changed_at))}</td></tr>'
        for name in outcome.published
    ]
    titles = [t("Published as"), t("Model"), t("Since")]
    return draw_table(titles, rows, empty=t("No model is published yet."), caption=t("Models in use"))
