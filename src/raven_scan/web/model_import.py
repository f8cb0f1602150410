"""Taking a model in: a package of another platform, or a checkpoint of MMDetection."""

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.architectures.catalogue import list_architectures
from raven_scan.uploads.types import UploadPurpose
from raven_scan.web.frame import button, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import link, list_places
from raven_scan.web.model_importing import MODEL_IMPORTS, ImportedModel, begin_file_import
from raven_scan.web.model_pull import PullPage
from raven_scan.web.model_words import MODELS_PATH
from raven_scan.web.services import Services
from raven_scan.web.uploads import UploadChoice, suggest_name
from raven_scan.web.viewer import Viewer, as_handler

_PATH = f"{MODELS_PATH}/import"


async def show_model_import(
    viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments
) -> None:
    t = viewer.texts
    kind = arguments.query_parameters.get("kind", "")
    with screen(t("Import a model")):
        ui.html(f'<div class="crumbs">{link(t("Trained models"), MODELS_PATH)}</div>', sanitize=False)
        with heading(t("Import a model")):
            pass
        viewer.actor.require(Claim.TRAINED_MODEL_IMPORT)
        places = [
            (_PATH, t("Package")),
            (f"{_PATH}?kind=checkpoint", t("Checkpoint")),
            (f"{_PATH}?kind=coco", t("COCO weights")),
        ]
        here = f"{_PATH}?kind={kind}" if kind else _PATH
        ui.html(list_places(places, here, t("What is imported")), sanitize=False)
        if kind == "coco":
            PullPage(viewer, services, arguments.query_parameters.get("architecture", "")).build()
        else:
            purpose = UploadPurpose.CHECKPOINT if kind == "checkpoint" else UploadPurpose.PACKAGE
            await _ImportPage(viewer, services, purpose).build()


class _ImportPage:
    def __init__(self, viewer: Viewer, services: Services, purpose: UploadPurpose) -> None:
        self._viewer = viewer
        self._services = services
        self._purpose = purpose
        self._is_package = purpose is UploadPurpose.PACKAGE

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
                on_arrival=lambda: MODEL_IMPORTS.dismiss(self._viewer.actor.id),
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
            self._shown = ImportedModel(self._viewer, self._enable)
        await self._uploads.refresh()

    def _take_choice(self) -> None:
        if self._uploads.chosen is not None and not self._is_package and not self._name.value:
            self._name.set_value(suggest_name(self._uploads.chosen))
        self._shown.look()

    def _enable(self) -> None:
        self._import.set_enabled(self._shown.is_free and self._uploads.chosen is not None)

    async def _begin(self) -> None:
        upload = self._uploads.chosen
        if upload is not None:
            name = str(self._name.value or "").strip()
            architecture = None if self._is_package else str(self._architecture.value)
            await self._viewer.ask(begin_file_import, self._services, upload, name, architecture)
            self._shown.look()
