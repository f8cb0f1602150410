"""Importing a dataset: an archive is uploaded, checked as a whole, and stored only if nothing is wrong."""

from collections.abc import Awaitable, Callable
from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.datasets.types import DatasetVersionView, SourceFindings
from raven_scan.kernel.errors import Invalid
from raven_scan.uploads.types import UploadPurpose
from raven_scan.web.dataset_import_options import ImportForm
from raven_scan.web.dataset_importing import DATASET_IMPORTS, ImportWork, begin_import, begin_sample
from raven_scan.web.dataset_problems import draw_notices, draw_parts, draw_refusal
from raven_scan.web.frame import button, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import link
from raven_scan.web.rows import ShownTable
from raven_scan.web.services import Services
from raven_scan.web.uploads import UploadChoice, suggest_name
from raven_scan.web.viewer import Viewer, as_handler
from raven_scan.web.work_under_way import draw_work

_LOOK_S = 0.4


async def show_dataset_import(
    viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments
) -> None:
    t = viewer.texts
    with screen(t("Import a dataset")):
        ui.html(f'<div class="crumbs">{link(t("Datasets"), "/datasets")}</div>', sanitize=False)
        with heading(t("Import a dataset")):
            pass
        viewer.actor.require(Claim.DATASET_IMPORT)
        await _ImportPage(viewer, services, arguments.query_parameters.get("name", "")).build()


class _ImportPage:
    """Args:
    name: of the dataset, where a next version of it is wanted.
    """

    def __init__(self, viewer: Viewer, services: Services, name: str) -> None:
        self._viewer = viewer
        self._services = services
        self._form = ImportForm(viewer, name)
        self._watched: ImportWork | None = None
        self._has_ended = False

    async def build(self) -> None:
        t = self._viewer.texts
        with sheet(t("1. The archive")):
            explanation = t(
                "A zip in COCO form: the folders train, valid and test, each with its images and "
                "annotations_coco.json; or all images with one annotations file, which are split here."
            )
            self._uploads = UploadChoice(
                self._viewer,
                self._services,
                UploadPurpose.DATASET,
                ".zip,application/zip",
                explanation,
                on_choice=self._take_choice,
                # What was wrong with another archive is of no interest now.
                on_arrival=lambda: DATASET_IMPORTS.dismiss(self._viewer.actor.id),
            )
        with sheet(t("2. Name and options")):
            self._form.build()
        with sheet(t("3. Check and import")):
            with ui.element("div").classes("row-gap"):
                self._import = button(
                    t("Import dataset"), as_handler(self._viewer, self._do(only_check=False)), kind="primary"
                )
                self._check = button(t("Only check"), as_handler(self._viewer, self._do(only_check=True)))
                self._sample = button(
                    t("Take the sample dataset instead"), as_handler(self._viewer, self._take_sample)
                )
            ui.label(
                t(
                    "Every image is read and every box checked. If anything is wrong, all of it is listed, and "
                    "nothing is stored."
                )
            ).classes("muted small")
            self._result = ShownTable()
            self._result.element.classes("import-result").props('aria-live="polite"')
        await self._uploads.refresh()
        self._look()
        ui.timer(_LOOK_S, self._look, immediate=False)

    def _take_choice(self) -> None:
        if self._uploads.chosen is not None:
            self._form.suggest_name(suggest_name(self._uploads.chosen))
        self._enable()

    def _do(self, *, only_check: bool) -> Callable[[], Awaitable[None]]:
        async def do() -> None:
            t, upload = self._viewer.texts, self._uploads.chosen
            if upload is None:
                raise Invalid(
                    "dataset.no_archive", t("There is no archive yet."), hint=t("Choose a zip first.")
                )
            self._watched = await self._viewer.ask(
                begin_import,
                self._services.uploads,
                self._services.datasets,
                str(upload.id),
                self._form.read_options(),
                only_check=only_check,
            )
            self._look()
            self._scroll("nearest")

        return do

    async def _take_sample(self) -> None:
        self._watched = await self._viewer.ask(begin_sample, self._services.datasets)
        self._look()

    def _look(self) -> None:
        """Shows how far the import is, which goes on without this page."""
        if self._has_ended:
            return
        found = DATASET_IMPORTS.find(self._viewer.actor.id)
        if found is not None and not found.is_over:
            self._watched = found
        # Another page of the user may have dismissed what this one waits for.
        shown = found or self._watched
        self._result.show("" if shown is None else _draw_import(shown, self._viewer))
        if self._watched is not None and self._watched.is_over:
            ended, self._watched = self._watched, None
            self._end(ended)
        self._enable()

    def _scroll(self, block: str) -> None:
        """To what came out: it is below the form, and may be out of sight."""
        ui.run_javascript(
            f"setTimeout(() => getHtmlElement({self._result.element.id})?.scrollIntoView({{ block: '{block}' }}), 100)"
        )

    def _end(self, found: ImportWork) -> None:
        if not isinstance(found.result, DatasetVersionView):
            self._scroll("start")
        match found.result:
            case SourceFindings():
                self._form.suggest_classes(found.result.classes)
            case DatasetVersionView():
                self._form.forget()
                self._has_ended = True
                # Whoever comes back begins anew.
                DATASET_IMPORTS.dismiss(self._viewer.actor.id)
                for notice in found.result.warnings:
                    if notice.code == "dataset.unchanged":
                        self._viewer.notify(notice.message, kind="info")
                ui.navigate.to(f"/datasets/{found.result.id}")
            case None:
                pass

    def _enable(self) -> None:
        found = DATASET_IMPORTS.find(self._viewer.actor.id)
        is_free = not self._has_ended and (found is None or found.is_over)
        self._import.set_enabled(is_free and self._uploads.chosen is not None)
        self._check.set_enabled(is_free and self._uploads.chosen is not None)
        self._sample.set_enabled(is_free)


def _draw_import(found: ImportWork, viewer: Viewer) -> str:
    t = viewer.texts
    if not found.is_over:
        return draw_work(found, t)
    if found.error is not None:
        return draw_refusal(found.error, viewer)
    match found.result:
        case SourceFindings(parts=parts, classes=classes, warnings=warnings):
            return (
                f'<div class="notice"><b>{escape(t("Nothing is wrong."))}</b> '
                f"{escape(t('This is what an import makes of it; nothing was stored yet.'))}</div>"
                f"{draw_parts(parts, classes, t)}{draw_notices(warnings, t)}"
            )
        case DatasetVersionView(id=id_, full_name=name):
            return f'<div class="notice">{escape(t("Imported:"))} {link(name, f"/datasets/{id_}")}</div>'
        case None:
            return ""
