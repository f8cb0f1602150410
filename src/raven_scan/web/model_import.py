"""Taking a model in: a package of another platform, or a checkpoint of MMDetection."""

from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Actor, Claim
from raven_scan.architectures.catalogue import list_architectures
from raven_scan.kernel.progress import Progress
from raven_scan.trained_models.file_names import make_file_name
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.uploads.types import UploadPurpose, UploadView
from raven_scan.web.frame import button, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import link, list_places
from raven_scan.web.model_words import MODELS_PATH
from raven_scan.web.rows import ShownTable
from raven_scan.web.services import Services
from raven_scan.web.uploads import UploadChoice, suggest_name
from raven_scan.web.viewer import Viewer, as_handler
from raven_scan.web.work_under_way import Work, WorkUnderWay, draw_work

_LOOK_S = 0.4
_PATH = f"{MODELS_PATH}/import"


async def show_model_import(
    viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments
) -> None:
    t = viewer.texts
    is_checkpoint = arguments.query_parameters.get("kind") == "checkpoint"
    with screen(t("Import a model")):
        ui.html(f'<div class="crumbs">{link(t("Trained models"), MODELS_PATH)}</div>', sanitize=False)
        with heading(t("Import a model")):
            pass
        viewer.actor.require(Claim.TRAINED_MODEL_IMPORT)
        checkpoint = f"{_PATH}?kind=checkpoint"
        places = [(_PATH, t("Package")), (checkpoint, t("Checkpoint"))]
        here = checkpoint if is_checkpoint else _PATH
        ui.html(list_places(places, here, t("What is imported")), sanitize=False)
        purpose = UploadPurpose.CHECKPOINT if is_checkpoint else UploadPurpose.PACKAGE
        await _ImportPage(viewer, services, purpose).build()


_IMPORTS = WorkUnderWay[TrainedModelView]()


class _ImportPage:
    def __init__(self, viewer: Viewer, services: Services, purpose: UploadPurpose) -> None:
        self._viewer = viewer
        self._services = services
        self._purpose = purpose
        self._is_package = purpose is UploadPurpose.PACKAGE
        self._watched: Work[TrainedModelView] | None = None

    async def build(self) -> None:
        t = self._viewer.texts
        with sheet(t("1. The file")):
            if self._is_package:
                accepted = ".zip,application/zip"
                said = t(
                    "A package that another Raven Scan made, .raven.zip. Its signature is checked against trusted keys."
                )
            else:
                accepted = ".pth,.safetensors"
                said = t(
                    "A checkpoint of MMDetection, .pth or .safetensors. Tensors are read, and nothing is run."
                )
            self._uploads = UploadChoice(
                self._viewer,
                self._services,
                self._purpose,
                accepted,
                said,
                on_choice=self._take_choice,
                on_arrival=lambda: _IMPORTS.dismiss(self._viewer.actor.id),
            )
        with sheet(t("2. What it is called")), ui.element("div").classes("form"):
            label = t("Name; without one, the name that it had") if self._is_package else t("Name")
            self._name = ui.input(label).props("outlined dense")
            if not self._is_package:
                architectures = {each.name: f"{each.title} ({each.name})" for each in list_architectures()}
                self._architecture = ui.select(
                    architectures,
                    label=t("Architecture that it is of"),
                    value=next(iter(architectures)),
                    with_input=True,
                ).props("outlined dense options-dense")
            with ui.element("div").classes("row-gap"):
                self._import = button(
                    t("Import model"), as_handler(self._viewer, self._begin), kind="primary"
                )
            self._result = ShownTable()
            self._result.element.props('aria-live="polite"')
        await self._uploads.refresh()
        self._look()
        ui.timer(_LOOK_S, self._look, immediate=False)

    def _take_choice(self) -> None:
        if self._uploads.chosen is not None and not self._is_package and not self._name.value:
            self._name.set_value(suggest_name(self._uploads.chosen))
        self._look()

    async def _begin(self) -> None:
        upload = self._uploads.chosen
        if upload is not None:
            name = str(self._name.value or "").strip()
            architecture = None if self._is_package else str(self._architecture.value)
            self._watched = await self._viewer.ask(_begin_import, self._services, upload, name, architecture)
            self._look()

    def _look(self) -> None:
        """Shows how far the import is, which goes on without this page."""
        viewer, found = self._viewer, _IMPORTS.find(self._viewer.actor.id)
        self._import.set_enabled(self._uploads.chosen is not None and (found is None or found.is_over))
        if found is None or not found.is_over:
            self._watched = found
            self._result.show("" if found is None else draw_work(found, viewer.texts))
        elif found.error is not None:
            self._result.show(viewer.draw_error(found.error, kind="bad"))
        elif found.result is not None:
            path = f"{MODELS_PATH}/{found.result.id}"
            told = f"{escape(viewer.texts('Imported:'))} {link(found.result.name, path)}"
            self._result.show(f'<div class="notice">{told}</div>')
            if found is self._watched:
                self._watched = None
                # Whoever comes back begins anew.
                _IMPORTS.dismiss(viewer.actor.id)
                ui.navigate.to(path)


def _begin_import(
    actor: Actor, services: Services, upload: UploadView, name: str, architecture: str | None
) -> Work[TrainedModelView]:
    """Of a package, or of a checkpoint of an architecture."""

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

    return _IMPORTS.begin(actor, name or upload.file_name, act)
