"""What imports trained models, one at a time for each user, and how far it is."""

from collections.abc import Callable
from html import escape

from nicegui import ui

from raven_scan.access.types import Actor
from raven_scan.kernel.progress import Progress
from raven_scan.trained_models.file_names import make_file_name
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.uploads.types import UploadView
from raven_scan.web.marks import link
from raven_scan.web.model_words import MODELS_PATH
from raven_scan.web.rows import ShownTable
from raven_scan.web.services import Services
from raven_scan.web.viewer import Viewer
from raven_scan.web.work_under_way import Work, WorkUnderWay, draw_work

_LOOK_S = 0.4

MODEL_IMPORTS = WorkUnderWay[TrainedModelView]()


class ImportedModel:
    """How far the user's import is, which goes on without this page; at its end the model is shown.

    Args:
        viewer: whose import it is.
        changed: is called each time that another one may begin, or may not.
    """

    def __init__(self, viewer: Viewer, changed: Callable[[], object]) -> None:
        self._viewer = viewer
        self._changed = changed
        self._watched: Work[TrainedModelView] | None = None
        self._result = ShownTable()
        self._result.element.props('aria-live="polite"')
        ui.timer(_LOOK_S, self.look, immediate=False)

    @property
    def is_free(self) -> bool:
        """Whether another import may begin."""
        found = MODEL_IMPORTS.find(self._viewer.actor.id)
        return found is None or found.is_over

    def look(self) -> None:
        viewer, found = self._viewer, MODEL_IMPORTS.find(self._viewer.actor.id)
        self._changed()
        if found is not None and not found.is_over:
            self._watched = found
        # Another page of the user may have dismissed what this one waits for.
        shown = found or self._watched
        self._result.show("" if shown is None else _draw(shown, viewer))
        if self._watched is not None and self._watched.is_over:
            made, self._watched = self._watched.result, None
            if made is not None:
                # Whoever comes back begins anew.
                MODEL_IMPORTS.dismiss(viewer.actor.id)
                ui.navigate.to(f"{MODELS_PATH}/{made.id}")


def _draw(work: Work[TrainedModelView], viewer: Viewer) -> str:
    if work.error is not None:
        return viewer.draw_error(work.error, kind="bad")
    if work.result is None:
        return draw_work(work, viewer.texts)
    made = link(work.result.name, f"{MODELS_PATH}/{work.result.id}")
    return f'<div class="notice">{escape(viewer.texts("Imported:"))} {made}</div>'


def begin_file_import(
    actor: Actor, services: Services, upload: UploadView, name: str, architecture: str | None
) -> Work[TrainedModelView]:
    """Of a package, or of a checkpoint of an architecture. Raises Busy: another import of the user goes on."""

    def act(progress: Progress) -> TrainedModelView:
        with services.uploads.use(actor, str(upload.id), upload.purpose) as whole:
            if architecture is None:
                model = services.package_imports.import_package(
                    actor, whole.path, name=name or None, progress=progress
                )
            else:
                model = services.trained_models.import_checkpoint(
                    actor,
                    whole.path,
                    architecture=architecture,
                    name=name,
                    file_name=make_file_name(whole.file_name),
                    progress=progress,
                )
            whole.is_used_up = True
            return model

    return MODEL_IMPORTS.begin(actor, name or upload.file_name, act)


def begin_pull(actor: Actor, services: Services, index_name: str, name: str) -> Work[TrainedModelView]:
    """Of a checkpoint that MMDetection's index names.

    Raises:
        Busy: another import of the user goes on.
        NotFound, Conflict: as `TrainedModelService.check_pull`.
    """
    source = services.trained_models.check_pull(actor, index_name, name=name or None)
    return MODEL_IMPORTS.begin(
        actor,
        name or source.name,
        lambda progress: services.trained_models.pull_model(
            actor, index_name, name=name or None, progress=progress
        ),
    )
