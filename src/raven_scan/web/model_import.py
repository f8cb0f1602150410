"""Taking a model in: a package of another platform, or a checkpoint of MMDetection."""

import re
from dataclasses import dataclass
from html import escape

from nicegui import events, ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Actor, Claim
from raven_scan.architectures.catalogue import list_architectures
from raven_scan.kernel.errors import RavenError
from raven_scan.trained_models.file_names import make_file_name
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.uploads.types import UploadPurpose
from raven_scan.web.dataset_upload import show_upload
from raven_scan.web.frame import button, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import link, list_places
from raven_scan.web.model_words import MODELS_PATH
from raven_scan.web.services import Services
from raven_scan.web.viewer import Viewer, as_handler

_LOOK_S = 0.4
_NOT_IN_NAMES = re.compile(r"[/@\x00-\x1f]+")
_ENDINGS = re.compile(r"(\.raven)?\.(zip|pth|safetensors)$")
_TELL = "(event) => emit(event.detail)"
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


@dataclass
class _Work:
    """What an import does at the moment; told from its thread."""

    stage: str = ""
    is_running: bool = False


class _ImportPage:
    def __init__(self, viewer: Viewer, services: Services, purpose: UploadPurpose) -> None:
        self._viewer = viewer
        self._services = services
        self._purpose = purpose
        self._upload: str | None = None
        self._file_name = ""
        self._work = _Work()

    async def build(self) -> None:
        t = self._viewer.texts
        is_package = self._purpose is UploadPurpose.PACKAGE
        with sheet(t("1. The file")):
            said = (
                t(
                    "A package that another Raven Scan made, .raven.zip. Its signature is checked against trusted keys."
                )
                if is_package
                else t(
                    "A checkpoint of MMDetection, .pth or .safetensors. Tensors are read, and nothing is run."
                )
            )
            accepted = ".zip,application/zip" if is_package else ".pth,.safetensors"
            part = show_upload(self._purpose, accepted, said, t)
            part.on("uploaded", self._take, js_handler=_TELL)
            part.on("dropped", self._drop, js_handler=_TELL)
            part.on("refused", self._refuse, js_handler=_TELL)
        with sheet(t("2. What it is called")), ui.element("div").classes("form"):
            label = t("Name; without one, the name that it had") if is_package else t("Name")
            self._name = ui.input(label).props("outlined dense")
            if not is_package:
                architectures = {each.name: f"{each.title} ({each.name})" for each in list_architectures()}
                self._architecture = ui.select(
                    architectures,
                    label=t("Architecture that it is of"),
                    value=next(iter(architectures)),
                    with_input=True,
                ).props("outlined dense options-dense")
            with ui.element("div").classes("row-gap"):
                self._import = button(t("Import model"), as_handler(self._viewer, self._run), kind="primary")
                self._said = ui.label().classes("muted").props('aria-live="polite"')
            self._result = ui.html("", sanitize=False).props('aria-live="polite"')
        await self._find_whole()
        ui.timer(_LOOK_S, self._look, immediate=False)

    async def _find_whole(self) -> None:
        """One that was uploaded before this page was opened."""
        uploads = await self._viewer.ask(self._services.uploads.list_uploads)
        whole = [each for each in uploads if each.purpose is self._purpose and each.sha256 is not None]
        if whole:
            self._choose(str(whole[0].id), whole[0].file_name)
        self._look()

    def _choose(self, id_: str, file_name: str) -> None:
        self._upload, self._file_name = id_, file_name
        if self._purpose is UploadPurpose.CHECKPOINT and not self._name.value:
            self._name.set_value(_NOT_IN_NAMES.sub(" ", _ENDINGS.sub("", file_name)).strip())
        self._tell_choice()

    def _tell_choice(self) -> None:
        self._said.set_text(self._viewer.texts("To be imported: {name}", name=self._file_name))

    def _take(self, event: events.GenericEventArguments) -> None:
        told = dict(event.args or {})
        self._choose(str(told.get("id", "")), str(told.get("name", "")))

    def _drop(self) -> None:
        self._upload = None
        self._said.set_text("")

    def _refuse(self, event: events.GenericEventArguments) -> None:
        self._viewer.notify(str(dict(event.args or {}).get("text", "")), kind="warning")

    def _look(self) -> None:
        self._import.set_enabled(self._upload is not None and not self._work.is_running)
        if self._work.is_running:
            said = self._viewer.texts("Importing: {stage}…", stage=self._work.stage or "…")
            if self._said.text != said:
                self._said.set_text(said)

    async def _run(self) -> None:
        t, id_ = self._viewer.texts, self._upload
        if id_ is None or self._work.is_running:
            return
        self._work = _Work(is_running=True)
        self._result.set_content("")
        self._look()
        try:
            model = await self._viewer.ask(self._do_import, id_)
        except RavenError as error:
            self._tell_choice()
            self._result.set_content(
                f'<div class="notice bad" role="alert"><b>{escape(error.message)}</b><br>{escape(error.hint)}</div>'
            )
            return
        finally:
            self._work.is_running = False
        self._viewer.notify(t("{name} is imported.", name=model.name))
        ui.navigate.to(f"{MODELS_PATH}/{model.id}")

    def _do_import(self, actor: Actor, id_: str) -> TrainedModelView:
        name = str(self._name.value or "").strip()

        def tell(stage: str, done: int, total: int) -> None:
            del done, total
            self._work.stage = stage

        with self._services.uploads.use(actor, id_, self._purpose) as whole:
            if self._purpose is UploadPurpose.PACKAGE:
                model = self._services.package_imports.import_package(
                    actor, whole.path, name=name or None, progress=tell
                )
            else:
                model = self._services.trained_models.import_checkpoint(
                    actor,
                    whole.path,
                    architecture=str(self._architecture.value),
                    name=name,
                    file_name=make_file_name(whole.file_name),
                    progress=tell,
                )
            whole.is_used_up = True
            return model
