"""Where a file is dropped, or chosen, and what has arrived; `static/uploads.js` sends it."""

import re
from collections.abc import Callable
from html import escape

from nicegui import events, ui

from raven_scan.uploads.types import UploadPurpose, UploadView
from raven_scan.web.marks import embed
from raven_scan.web.rows import ShownTable, draw_row_button, listen_to_rows
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer, as_handler

_NOT_IN_NAMES = re.compile(r"[/@\x00-\x1f]+")
_ENDINGS = re.compile(r"(\.raven)?\.(zip|pth|safetensors)$")
_TELL = "(event) => emit(event.detail)"


class UploadChoice:
    """The user's uploads for one purpose: the newest whole one is what is imported; others wait for their rest.

    Args:
        viewer: whose uploads they are.
        services: that keep them.
        purpose: of the uploads.
        accepted: as `_show_drop` has it.
        explanation: what the file should be.
        on_choice: is called each time that another one may be chosen.
        on_arrival: is called when one has arrived, before.
    """

    def __init__(
        self,
        viewer: Viewer,
        services: Services,
        purpose: UploadPurpose,
        accepted: str,
        explanation: str,
        *,
        on_choice: Callable[[], None],
        on_arrival: Callable[[], None],
    ) -> None:
        self._viewer = viewer
        self._uploads = services.uploads
        self._purpose = purpose
        self._on_choice = on_choice
        self._on_arrival = on_arrival
        self.chosen: UploadView | None = None
        drop = _show_drop(purpose, accepted, explanation, viewer.texts)
        drop.on("uploaded", as_handler(viewer, self._take), js_handler=_TELL)
        drop.on("dropped", as_handler(viewer, self.refresh), js_handler=_TELL)
        drop.on("refused", self._refuse, js_handler=_TELL)
        self._list = ShownTable()
        self._list.element.classes("uploads").props('aria-live="polite"')
        listen_to_rows(self._list.element, viewer, {"delete": self._delete})

    async def refresh(self) -> None:
        """Looks for what there is."""
        uploads = [
            each
            for each in await self._viewer.ask(self._uploads.list_uploads)
            if each.purpose is self._purpose
        ]
        self.chosen = next((each for each in uploads if each.sha256 is not None), None)
        self._list.show("".join(self._draw(each) for each in uploads))
        self._on_choice()

    async def _take(self) -> None:
        self._on_arrival()
        await self.refresh()

    def _refuse(self, event: events.GenericEventArguments) -> None:
        self._viewer.notify(str(dict(event.args or {}).get("text", "")), kind="warning")

    async def _delete(self, id_: str) -> None:
        await self._viewer.ask(self._uploads.delete, id_)
        ui.run_javascript("ravenUploads.dismiss()")
        await self.refresh()

    def _draw(self, upload: UploadView) -> str:
        t = self._viewer.texts
        size = t.size(upload.size_bytes or 0)
        if upload.sha256 is not None:
            about = t("{size}, uploaded {moment}", size=size, moment=t.moment(upload.created_at))
        else:
            about = t(
                "{sent} of {size} have arrived. Choose the same file again, and it goes on.",
                sent=t.size(upload.offset_bytes),
                size=size,
            )
        is_chosen = self.chosen is not None and upload.id == self.chosen.id
        mark = f'<span class="chip good">{escape(t("To be imported"))}</span>' if is_chosen else ""
        label = t("Delete {name}", name=upload.file_name)
        return (
            f'<div class="row-gap upload-row"><b>{escape(upload.file_name)}</b> '
            f'<span class="muted small">{escape(about)}</span> {mark}<span class="grow"></span>'
            f"{draw_row_button('delete', upload.id, t('Delete'), label=label)}</div>"
        )


def suggest_name(upload: UploadView) -> str:
    """What becomes of a file may be called as the file is."""
    return _NOT_IN_NAMES.sub(" ", _ENDINGS.sub("", upload.file_name)).strip()


def _show_drop(purpose: UploadPurpose, accepted: str, explanation: str, t: Texts) -> ui.html:
    """Shows it; it emits `uploaded` and `dropped`, and `refused` with a text.

    Args:
        purpose: of the upload.
        accepted: what the chooser of files offers, such as `.zip,application/zip`: what names end in begins with a dot.
        explanation: what the file should be.
        t: the user's language.
    """
    suffixes = [each for each in accepted.split(",") if each.startswith(".")]
    texts = {
        "sending": t("Uploading"),
        "paused": t("Paused"),
        "waiting": t("No connection. It goes on by itself as soon as there is one."),
        "verifying": t("Verifying what arrived"),
        "done": t("Uploaded"),
        "failed": t("It did not work."),
        "changed": t("The file cannot be read any more: it was changed, moved or deleted."),
        "left": t("{time} left", time="{time}"),
        "pause": t("Pause"),
        "goOn": t("Go on"),
        "cancel": t("Cancel"),
        "close": t("Close"),
        "one": t("One file at a time."),
        "folder": t("This is a folder. Pack it as a zip, and drop that."),
        "other": t("This is no file of the kind that is wanted here: {kind}", kind=", ".join(suffixes)),
        "busy": t("Another file is on its way. Wait for it, or cancel it."),
    }
    shown = ui.html(
        f'<div data-upload="{purpose}" data-suffixes="{escape(" ".join(suffixes))}" '
        f'data-texts="{embed(texts)}">'
        '<div class="drop"><input type="file" id="archive" class="visually-hidden" '
        f'accept="{escape(accepted)}"><div><label for="archive">{escape(t("Choose a file"))}</label> '
        f"{escape(t('or drop it here'))}</div>"
        f'<div class="small muted">{escape(explanation)}</div></div>'
        '<div class="upload-state" hidden><div class="row-gap"><b class="upload-name"></b>'
        '<span class="upload-said muted" aria-live="polite"></span><span class="grow"></span>'
        f'<button type="button" class="small-button">{escape(t("Pause"))}</button>'
        f'<button type="button" class="small-button">{escape(t("Cancel"))}</button></div>'
        f'<div class="bar" role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-label="{escape(t("Upload"))}">'
        '<div></div></div><div class="upload-about small muted"></div></div></div>',
        sanitize=False,
    )
    # It is there only once the browser has drawn it.
    ui.run_javascript(
        f"ravenWhenThere(() => getHtmlElement({shown.id})?.querySelector('[data-upload]'), ravenUploads)"
    )
    return shown
