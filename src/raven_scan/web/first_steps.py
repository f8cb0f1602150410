"""What leads the user of an empty installation: images, a run, a model."""

from dataclasses import dataclass
from html import escape
from uuid import UUID

from nicegui import ui

from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.paging import PageRequest
from raven_scan.training_runs.types import RunFilter, RunStatus
from raven_scan.web.dataset_importing import DATASET_IMPORTS, begin_sample
from raven_scan.web.frame import button, show_link_button
from raven_scan.web.marks import link
from raven_scan.web.rows import ShownTable
from raven_scan.web.services import Services
from raven_scan.web.viewer import Viewer, as_handler
from raven_scan.web.work_under_way import draw_work

_ONE = PageRequest(limit=1)
_TWO = PageRequest(limit=2)
_REFRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class StepsTaken:
    has_dataset: bool
    has_run: bool
    has_success: bool
    model_id: UUID | None = None
    """Of the first run that ended in Success, until a model is published."""

    @property
    def are_all(self) -> bool:
        return self.has_dataset and self.has_run and self.has_success and self.model_id is None


def find_steps(actor: Actor, services: Services) -> StepsTaken:
    """Which first steps somebody has taken already, as far as the actor may see it."""
    if not (actor.may(Claim.TRAINING_RUN_VIEW) and actor.may(Claim.DATASET_VIEW)):
        return StepsTaken(has_dataset=True, has_run=True, has_success=True)
    ended = RunFilter(statuses=(RunStatus.SUCCESS,))
    successes = services.training_runs.list_runs(actor, _TWO, ended).items
    if successes:
        model = successes[0].model
        # Who has had a second one knows the way.
        is_first = len(successes) == 1 and model is not None and actor.may(Claim.TRAINED_MODEL_VIEW)
        has_published = not is_first or bool(services.publishing.list_names(actor, _ONE).items)
        return StepsTaken(
            has_dataset=True,
            has_run=True,
            has_success=True,
            model_id=None if has_published or model is None else model.id,
        )
    return StepsTaken(
        has_dataset=bool(services.datasets.list_datasets(actor, _ONE).items),
        has_run=bool(services.training_runs.list_runs(actor, _ONE).items),
        has_success=False,
    )


class FirstSteps:
    """Cards with what comes next, until the first model is published."""

    def __init__(self, viewer: Viewer, services: Services) -> None:
        self._viewer = viewer
        self._services = services

    async def show(self) -> None:
        with ui.element("div") as self._place:
            pass
        self._taken: StepsTaken | None = None
        await self.refresh()

    async def refresh(self) -> None:
        services = self._services
        taken = await self._viewer.ask(lambda actor: find_steps(actor, services))
        if taken != self._taken:
            self._taken = taken
            self._place.clear()
            if not taken.are_all:
                with self._place:
                    await self._build(taken)

    async def _build(self, taken: StepsTaken) -> None:
        viewer, t = self._viewer, self._viewer.texts
        with ui.element("section").classes("sheet way-in"):
            ui.html(f"<h2>{escape(t('First steps'))}</h2>", sanitize=False)
            with ui.element("ol").classes("steps"):
                with _step(t("Bring images"), is_taken=taken.has_dataset, done=t("done")):
                    if taken.has_dataset:
                        _tell(t("There is a dataset."), link(t("Datasets"), "/datasets"))
                    elif viewer.may(Claim.DATASET_IMPORT):
                        ui.label(
                            t(
                                "Try the sample dataset: drawn scenes from above, some with waste. Or import your own."
                            )
                        ).classes("muted")
                        with ui.element("div").classes("row-gap"):
                            button(
                                t("Try the sample dataset"), as_handler(viewer, self._start), kind="primary"
                            )
                            show_link_button(t("Import yours"), "/datasets/import")
                        self._progress = ShownTable()
                        self._progress.element.props('aria-live="polite"')
                        self._draw_progress()
                        ui.timer(_REFRESH_S, self._draw_progress)
                    else:
                        ui.label(t("Whoever may import datasets brings some first.")).classes("muted")
                with _step(t("Train a detector"), is_taken=taken.has_run, done=t("done")):
                    if taken.has_run:
                        _tell(t("There is a training run."), link(t("Training runs"), "/training-runs"))
                    else:
                        ui.label(
                            t(
                                "Choose a dataset and a base model; all else is decided for you, and can be changed."
                            )
                        ).classes("muted")
                        if taken.has_dataset and viewer.may(Claim.TRAINING_RUN_CREATE):
                            show_link_button(
                                t("Create new training run"), "/training-runs/new", kind="primary"
                            )
                with _step(t("Review and publish the model"), is_taken=False, done=""):
                    if taken.model_id is None:
                        ui.label(
                            t("When the run has ended in Success, its model is among the trained models.")
                        ).classes("muted")
                    else:
                        ui.label(
                            t("See what it finds and where it goes wrong; published, it is there to detect.")
                        ).classes("muted")
                        show_link_button(
                            t("Look at the model"), f"/trained-models/{taken.model_id}", kind="primary"
                        )

    async def _start(self) -> None:
        await self._viewer.ask(begin_sample, self._services.datasets)
        self._draw_progress()

    def _draw_progress(self) -> None:
        viewer, found = self._viewer, DATASET_IMPORTS.find(self._viewer.actor.id)
        if found is None:
            self._progress.show("")
        elif found.error is not None:
            self._progress.show(viewer.draw_error(found.error, kind="bad"))
        else:
            self._progress.show("" if found.is_over else draw_work(found, viewer.texts))


def _tell(said: str, where: str) -> None:
    ui.html(f'<p class="muted">{escape(said)} {where}</p>', sanitize=False)


def _step(title: str, *, is_taken: bool, done: str) -> ui.element:
    step = ui.element("li").classes("taken" if is_taken else "")
    with step:
        mark = f' <span class="chip good">{escape(done)}</span>' if is_taken else ""
        ui.html(f"<h3>{escape(title)}{mark}</h3>", sanitize=False)
    return step
