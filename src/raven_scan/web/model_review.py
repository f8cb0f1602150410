"""How well a model detects: its evaluations, one of them in full, and having another one made."""

from html import escape
from uuid import UUID

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.datasets.types import Part
from raven_scan.evaluations.types import EvaluationFilter, EvaluationStatus, EvaluationView
from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.web.frame import button, confirm, sheet, show_empty
from raven_scan.web.hints import name_screens
from raven_scan.web.marks import draw_bar
from raven_scan.web.model_figures import show_report
from raven_scan.web.model_gallery import Gallery
from raven_scan.web.model_words import MODELS_PATH, mark_evaluation
from raven_scan.web.rows import ShownTable
from raven_scan.web.services import Services
from raven_scan.web.viewer import Viewer, as_handler, as_refresh

_MOST_OFFERED = 100
_LOOK_AGAIN_S = 1.0
_LOG_LINES = 200


async def show_review(
    viewer: Viewer, services: Services, model: TrainedModelView, arguments: PageArguments
) -> None:
    t = viewer.texts
    asked = parse_id(arguments.query_parameters.get("evaluation", ""))
    page = await viewer.ask(
        services.evaluations.list_evaluations,
        PageRequest.parse(_MOST_OFFERED),
        EvaluationFilter(model=str(model.id)),
    )
    evaluations = list(page.items)
    shown = next((each for each in evaluations if each.id == asked), None)
    if shown is None and asked is not None:
        found = await viewer.ask(services.evaluations.get_evaluation, asked)
        shown = found if found.model.id == model.id else None
    if shown is None:
        succeeded = [each for each in evaluations if each.status is EvaluationStatus.SUCCESS]
        shown = next(iter([*succeeded, *evaluations]), None)
    with sheet():
        if evaluations:
            options = {str(each.id): _name(viewer, each) for each in evaluations}
            ui.select(
                options,
                label=t("Evaluation"),
                value=None if shown is None else str(shown.id) if str(shown.id) in options else None,
                on_change=lambda event: ui.navigate.to(_make_path(model, UUID(str(event.value)))),
            ).props("outlined dense options-dense").classes("long-select")
        if viewer.may(Claim.TRAINED_MODEL_REVIEW):
            await _build_request(viewer, services, model)
        elif not evaluations:
            show_empty("fact_check", t("Nobody has evaluated it yet."))
    if shown is None:
        return
    if shown.status is EvaluationStatus.SUCCESS:
        report = await viewer.ask(services.evaluations.read_report, shown.id)
        show_report(shown, report, t)
        await Gallery(viewer, services, shown).build()
        return
    await _Watch(viewer, services, shown).build()


def _make_path(model: TrainedModelView, evaluation_id: UUID) -> str:
    return f"{MODELS_PATH}/{model.id}/review?evaluation={evaluation_id}"


def _name(viewer: Viewer, evaluation: EvaluationView) -> str:
    t = viewer.texts
    told = (
        t("mAP50 {value}", value=t.figure(evaluation.figures["map50"].value))
        if evaluation.figures and "map50" in evaluation.figures
        else t(str(evaluation.status))
        if evaluation.status.is_final
        else t("not over yet")
    )
    where = f"{evaluation.dataset_version.name}, {evaluation.part}"
    return f"{where} · {told} · {t.moment(evaluation.created_at)}"


async def _build_request(viewer: Viewer, services: Services, model: TrainedModelView) -> None:
    """A row to have the model evaluated on another part."""
    t = viewer.texts
    if not viewer.may(Claim.DATASET_VIEW):
        return
    page = await viewer.ask(services.datasets.list_datasets, PageRequest.parse(_MOST_OFFERED))
    names = [version.full_name for each in page.items for version in each.versions]
    if not names:
        show_empty(
            "fact_check", t("Import a dataset to evaluate this model on."), link=(t("Datasets"), "/datasets")
        )
        return
    own = model.lineage.dataset_version
    if own is not None and own.name not in names:
        names.insert(0, own.name)
    parts = {Part.TEST: t("test"), Part.VALID: t("valid"), Part.TRAIN: t("train")}
    with ui.element("div").classes("row-gap"):
        dataset = (
            ui.select(
                names,
                label=t("Dataset"),
                value=own.name if own is not None else names[0],
                with_input=True,
            )
            .props("outlined dense options-dense")
            .style("width: min(100%, 320px)")
        )
        part = (
            ui.select(parts, label=t("Part"), value=Part.TEST)
            .props("outlined dense options-dense")
            .style("min-width: 110px")
        )

        async def request() -> None:
            asked = await viewer.ask(
                services.evaluations.request, str(model.id), str(dataset.value), str(part.value)
            )
            ui.navigate.to(_make_path(model, asked.id))

        button(t("Evaluate"), as_handler(viewer, request), kind="primary")


class _Watch:
    """An evaluation that waits, is processed, or was no Success."""

    def __init__(self, viewer: Viewer, services: Services, evaluation: EvaluationView) -> None:
        self._viewer = viewer
        self._evaluations = services.evaluations
        self._evaluation = evaluation

    async def build(self) -> None:
        t = self._viewer.texts
        with sheet(t("This evaluation")):
            self._state = ShownTable()
            self._state.element.props('aria-live="polite"').classes("stack")
            if not self._evaluation.status.is_final and self._viewer.may(Claim.TRAINED_MODEL_REVIEW):
                with ui.element("div").classes("row-gap"):
                    self._cancel = button(
                        t("Cancel evaluation"), as_handler(self._viewer, self._ask_cancel), kind="danger"
                    )
            self._log = ShownTable()
        await self._draw()
        if not self._evaluation.status.is_final:
            self._timer = ui.timer(_LOOK_AGAIN_S, as_refresh(self._viewer, self._look), immediate=False)

    async def _look(self) -> None:
        self._evaluation = await self._viewer.ask(self._evaluations.get_evaluation, self._evaluation.id)
        if self._evaluation.status.is_final:
            self._timer.deactivate()
            await ui.context.client.sub_pages_router.refresh()
            return
        await self._draw()

    async def _draw(self) -> None:
        evaluation, t = self._evaluation, self._viewer.texts
        progress = evaluation.progress
        where = f"{evaluation.dataset_version.name}, {evaluation.part}"
        parts = [f'<div class="row-gap">{mark_evaluation(evaluation.status, t)} {escape(where)}</div>']
        if evaluation.status is EvaluationStatus.WAITING:
            said = t("It waits for a worker with a free device; it comes before training runs.")
            parts.append(f'<p class="muted">{escape(said)}</p>')
        if progress.total and evaluation.status is EvaluationStatus.PROCESSING:
            label = t(
                "{done} of {total} images", done=t.number(progress.done), total=t.number(progress.total)
            )
            parts.append(draw_bar(progress.done / progress.total, label))
            parts.append(f'<p class="muted small">{escape(label)}</p>')
        if evaluation.error is not None:
            error = evaluation.error
            parts.append(
                f'<div class="notice bad"><b>{escape(error.message)}</b><br>{escape(name_screens(error.hint, t))}'
                f'<div class="small mono">{escape(error.code)}</div></div>'
            )
        self._state.show("".join(parts))
        log = await self._viewer.ask(self._evaluations.read_log, evaluation.id)
        last = "\n".join(log.splitlines()[-_LOG_LINES:])
        if last:
            label = escape(t("Log"))
            self._log.show(f'<pre class="log" tabindex="0" aria-label="{label}">{escape(last)}</pre>')

    async def _ask_cancel(self) -> None:
        t = self._viewer.texts
        if await confirm(
            self._viewer,
            t("Cancel this evaluation?"),
            explanation=t("What it has measured so far is lost; it can be asked for again."),
            action=t("Cancel evaluation"),
            danger=True,
        ):
            self._evaluation = await self._viewer.ask(self._evaluations.cancel, self._evaluation.id)
            self._cancel.delete()
            await self._draw()
