"""Trying a model on images that are dropped: the browser sends them to the API, and draws what it answers."""

from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.detections.types import DEFAULT_CONFIDENCE
from raven_scan.publishing.types import VersionState
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.web.frame import sheet, show_empty
from raven_scan.web.marks import embed
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer

_LEAST_CONFIDENCE = 0.05
_COLOURS = ("#3ddc97", "#ff9f43", "#54a0ff", "#e77cff", "#f6e05e", "#ff6b6b", "#48dbfb", "#d8b48a")
"""Of classes, in turn: bright, since they are drawn on photographs."""


async def show_trial(viewer: Viewer, services: Services, model: TrainedModelView, _: PageArguments) -> None:
    t = viewer.texts
    ref = await _find_name(viewer, services, model)
    with sheet(t("Try it on your images")):
        if ref is None:
            show_empty("photo_library", t("It is not published: only reviewers may try it."))
            return
        told = model.test.confidence if model.test is not None else None
        confidence = max(DEFAULT_CONFIDENCE if told is None else told, _LEAST_CONFIDENCE)
        ui.html(
            f'<raven-trial data-model="{escape(ref)}" data-confidence="{confidence}" '
            f'data-least="{_LEAST_CONFIDENCE}" data-colours="{embed(_COLOURS)}" '
            f'data-texts="{embed(_list_texts(t))}"></raven-trial>',
            sanitize=False,
        )


async def _find_name(viewer: Viewer, services: Services, model: TrainedModelView) -> str | None:
    """What the API is asked for: reviewers may name any model, others what is published."""
    if viewer.may(Claim.TRAINED_MODEL_REVIEW):
        return str(model.id)
    versions = await viewer.ask(services.publishing.list_versions_of_model, model.id)
    kept = [each for each in versions if each.state is not VersionState.WITHDRAWN]
    return kept[0].full_name if kept else None


def _list_texts(t: Texts) -> dict[str, str]:
    return {
        "drop": t("Drop images here, or choose them"),
        "kept": t("They are sent to this server, and not kept."),
        "sending": t("Sending…"),
        "working": t("The model is being made ready…"),
        "counted": t("{done} of {total} images"),
        "failed": t("It failed, and nobody said why. Try it again."),
        "unread": t("This image could not be read."),
        "confidence": t("Confidence from"),
        "download": t("Download as {name}"),
        "found": t("{count} found"),
        "summary": t("{count} found on {images} images"),
    }
