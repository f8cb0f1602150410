"""Importing a dataset: an archive is uploaded, checked as a whole, and stored only if nothing is wrong."""

import re
from html import escape

from nicegui import events, ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.errors import Invalid
from raven_scan.uploads.types import UploadPurpose, UploadView
from raven_scan.web.dataset_import_options import ImportForm
from raven_scan.web.dataset_importing import (
    ImportKind,
    ImportUnderWay,
    begin_import,
    begin_sample,
    dismiss_import,
    find_import,
)
from raven_scan.web.dataset_problems import draw_notices, draw_parts, draw_refusal
from raven_scan.web.dataset_upload import show_upload
from raven_scan.web.frame import button, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import draw_bar, link
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer, as_handler

_LOOK_S = 0.4
_NOT_IN_NAMES = re.compile(r"[/@\x00-\x1f]+")
_TELL = "(event) => emit(event.detail)"


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
        self._upload: UploadView | None = None
        self._watched: ImportUnderWay | None = None
        self._has_ended = False
        self._shown = ""

    async def build(self) -> None:
        t = self._viewer.texts
        with sheet(t("1. The archive")):
            part = show_upload(
                UploadPurpose.DATASET,
                ".zip,application/zip",
                t(
                    "A zip in COCO form: the folders train, valid and test, each with its images and "
                    "annotations_coco.json; or all images with one annotations file, which are split here."
                ),
                t,
            )
            part.on("uploaded", self._take, js_handler=_TELL)
            part.on("dropped", as_handler(self._viewer, self._look_for_uploads), js_handler=_TELL)
            part.on("refused", self._refuse, js_handler=_TELL)
            self._uploads = ui.element("div").classes("uploads").props('aria-live="polite"')
        with sheet(t("2. Name and options")):
            self._form.build()
        with sheet(t("3. Check and import")):
            with ui.element("div").classes("row-gap"):
                self._import = button(
                    t("Import dataset"), as_handler(self._viewer, self._do(ImportKind.IMPORT)), kind="primary"
                )
                self._check = button(t("Only check"), as_handler(self._viewer, self._do(ImportKind.CHECK)))
                self._sample = button(
                    t("Take the sample dataset instead"), as_handler(self._viewer, self._take_sample)
                )
            ui.label(
                t(
                    "Every image is read and every box checked. If anything is wrong, all of it is listed, and "
                    "nothing is stored."
                )
            ).classes("muted small")
            self._result = ui.html("", sanitize=False).classes("import-result").props('aria-live="polite"')
        await self._look_for_uploads()
        self._look()
        ui.timer(_LOOK_S, self._look, immediate=False)

    async def _take(self, event: events.GenericEventArguments) -> None:
        told = dict(event.args or {})
        # What was wrong with another archive is of no interest now.
        dismiss_import(self._viewer.actor.id)
        self._form.suggest_name(
            _NOT_IN_NAMES.sub(" ", str(told.get("name", "")).removesuffix(".zip")).strip()
        )
        await as_handler(self._viewer, self._look_for_uploads)()

    def _refuse(self, event: events.GenericEventArguments) -> None:
        self._viewer.notify(str(dict(event.args or {}).get("text", "")), kind="warning")

    async def _look_for_uploads(self) -> None:
        """The newest whole one is what is imported; others wait for their rest."""
        t = self._viewer.texts
        uploads = [
            each
            for each in await self._viewer.ask(self._services.uploads.list_uploads)
            if each.purpose is UploadPurpose.DATASET
        ]
        whole = [each for each in uploads if each.sha256 is not None]
        self._upload = whole[0] if whole else None
        if self._upload is not None:
            self._form.suggest_name(
                _NOT_IN_NAMES.sub(" ", self._upload.file_name.removesuffix(".zip")).strip()
            )
        self._uploads.clear()
        with self._uploads:
            for each in uploads:
                self._show_upload(each, t)
        self._enable()

    def _show_upload(self, upload: UploadView, t: Texts) -> None:
        is_chosen = self._upload is not None and upload.id == self._upload.id
        size_bytes = upload.size_bytes or 0
        if upload.sha256 is not None:
            about = t(
                "{size}, uploaded {moment}", size=t.size(size_bytes), moment=t.moment(upload.created_at)
            )
        else:
            about = t(
                "{sent} of {size} have arrived. Choose the same file again, and it goes on.",
                sent=t.size(upload.offset_bytes),
                size=t.size(size_bytes),
            )
        mark = f'<span class="chip good">{escape(t("To be imported"))}</span>' if is_chosen else ""
        with ui.element("div").classes("row-gap upload-row"):
            ui.html(
                f'<b>{escape(upload.file_name)}</b> <span class="muted small">{escape(about)}</span> {mark}',
                sanitize=False,
            )
            ui.element("div").classes("grow")

            async def delete() -> None:
                await self._viewer.ask(self._services.uploads.delete, str(upload.id))
                ui.run_javascript("ravenUploads.dismiss()")
                await self._look_for_uploads()

            ui.button(icon="delete_outline", on_click=as_handler(self._viewer, delete), color=None).props(
                f'flat round dense aria-label="{escape(t("Delete {name}", name=upload.file_name))}"'
            )

    def _do(self, kind: ImportKind):  # noqa: ANN202 - a handler
        async def do() -> None:
            t = self._viewer.texts
            if self._upload is None:
                raise Invalid(
                    "dataset.no_archive", t("There is no archive yet."), hint=t("Choose a zip first.")
                )
            options: ImportOptions = self._form.read_options()
            self._watched = await self._viewer.ask(
                begin_import,
                self._services.uploads,
                self._services.datasets,
                str(self._upload.id),
                options,
                kind,
            )
            self._look()

        return do

    async def _take_sample(self) -> None:
        self._watched = await self._viewer.ask(begin_sample, self._services.datasets)
        self._look()

    def _look(self) -> None:
        """Shows how far the import is, which goes on without this page."""
        if self._has_ended:
            return
        found = find_import(self._viewer.actor.id)
        shown = "" if found is None else _draw_import(found, self._viewer.texts)
        if shown != self._shown:
            self._shown = shown
            self._result.set_content(shown)
        if found is not None and not found.is_over:
            self._watched = found
        elif found is not None and found is self._watched:
            self._watched = None
            self._end(found)
        self._enable()

    def _end(self, found: ImportUnderWay) -> None:
        if found.findings is not None:
            self._form.suggest_classes(found.findings.classes)
        if found.version is not None:
            self._form.forget()
            self._has_ended = True
            self._upload = None
            # Whoever comes back begins anew.
            dismiss_import(self._viewer.actor.id)
            for notice in found.version.warnings:
                if notice.code == "dataset.unchanged":
                    self._viewer.notify(notice.message, kind="info")
            ui.navigate.to(f"/datasets/{found.version.id}")

    def _enable(self) -> None:
        found = find_import(self._viewer.actor.id)
        is_free = found is None or found.is_over
        self._import.set_enabled(is_free and self._upload is not None)
        self._check.set_enabled(is_free and self._upload is not None)
        self._sample.set_enabled(is_free)


def _draw_import(found: ImportUnderWay, t: Texts) -> str:
    if not found.is_over:
        words = {
            "unpacking": t("Unpacking"),
            "reading annotations": t("Reading annotations"),
            "checking images": t("Checking images"),
            "storing": t("Storing"),
            "images": t("Drawing images"),
        }
        stage = words.get(found.stage, found.stage) or t("Beginning")
        count = (
            t("{done} of {total}", done=t.number(found.done), total=t.number(found.total))
            if found.total
            else ""
        )
        share = found.done / found.total if found.total else 0.0
        return (
            f'<div class="row-gap"><span class="chip busy">{escape(found.name)}</span>{escape(stage)} '
            f'<span class="muted">{escape(count)}</span></div>{draw_bar(share, stage)}'
        )
    if found.error is not None:
        return draw_refusal(found.error, t)
    if found.findings is not None:
        findings = found.findings
        return (
            f'<div class="notice"><b>{escape(t("Nothing is wrong."))}</b> '
            f"{escape(t('This is what an import makes of it; nothing was stored yet.'))}</div>"
            f"{draw_parts(findings.parts, findings.classes, t)}{draw_notices(findings.warnings, t)}"
        )
    if found.version is not None:
        path = f"/datasets/{found.version.id}"
        return f'<div class="notice">{escape(t("Imported:"))} {link(found.version.full_name, path)}</div>'
    return ""
