"""Where an archive is dropped, or chosen; `static/uploads.js` sends it."""

import json
from html import escape

from nicegui import ui

from raven_scan.uploads.types import UploadPurpose
from raven_scan.web.texts import Texts


def show_upload(purpose: UploadPurpose, accepted: str, explanation: str, t: Texts) -> ui.html:
    """Shows it; it emits `uploaded` with the upload's id and the file's name, `dropped`, and `refused` with a text.

    Args:
        purpose: of the upload.
        accepted: what the chooser of files offers, first what names end in, such as `.zip,application/zip`.
        explanation: what the file should be.
        t: the user's language.
    """
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
        "other": t(
            "This is no file of the kind that is wanted here: {kind}", kind=accepted.partition(",")[0]
        ),
        "busy": t("Another file is on its way. Wait for it, or cancel it."),
    }
    shown = ui.html(
        f'<div data-upload="{purpose}" data-suffix="{escape(accepted.partition(",")[0])}" '
        f'data-texts="{escape(json.dumps(texts))}">'
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
