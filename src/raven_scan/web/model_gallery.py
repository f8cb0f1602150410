"""The images on which a model does worst, with true and predicted boxes, and a confidence to look at them by."""

from html import escape
from typing import Any

from nicegui import events, ui

from raven_scan.access.types import Claim
from raven_scan.evaluations.types import EvaluationView, GalleryImage, GalleryKind
from raven_scan.kernel.paging import PageRequest
from raven_scan.web.dataset_gallery import list_view_texts
from raven_scan.web.frame import sheet
from raven_scan.web.marks import embed
from raven_scan.web.page_turning import PageTurning
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer, as_handler

_IMAGES = 12
_LEAST_CONFIDENCE = 0.05
_DEFAULT_CONFIDENCE = 0.5


class Gallery:
    """A page of images; which boxes count is decided in the browser.

    Args:
        viewer: who looks.
        services: that know the images.
        evaluation: that was a Success.
    """

    def __init__(self, viewer: Viewer, services: Services, evaluation: EvaluationView) -> None:
        self._viewer = viewer
        self._review = services.evaluation_review
        self._evaluation = evaluation
        self._kind = GalleryKind.MISSED

    async def build(self) -> None:
        t = self._viewer.texts
        with sheet(t("Where it goes wrong")):
            with ui.element("div").classes("row-gap"):
                ui.toggle(
                    {
                        GalleryKind.MISSED: t("Worst misses"),
                        GalleryKind.FALSE_ALARMS: t("Worst false alarms"),
                    },
                    value=self._kind,
                    on_change=self._choose,
                ).props("unelevated no-caps toggle-color=chosen toggle-text-color=chosen").classes("toggle")
            if not self._viewer.may(Claim.DATASET_VIEW):
                said = t("You may not see the dataset's images: boxes are shown without them.")
                ui.label(said).classes("muted small")
            self._shown = ui.html("", sanitize=False)
            self._pages = PageTurning(self._viewer, self._look)
            await self._look()

    async def _choose(self, event: events.ValueChangeEventArguments[Any]) -> None:
        self._kind = GalleryKind(event.value)
        self._pages.begin_anew()
        await as_handler(self._viewer, self._look)()

    async def _look(self) -> None:
        asked = self._kind, self._pages.cursor
        page = await self._viewer.ask(
            self._review.list_worst_images,
            self._evaluation.id,
            self._kind,
            PageRequest.parse(_IMAGES, self._pages.cursor),
            shown_from=_LEAST_CONFIDENCE,
        )
        if asked != (self._kind, self._pages.cursor):
            return  # something else was asked for meanwhile, whose answer is shown
        self._pages.show(page.next)
        self._shown.set_content(self._draw(page.items))

    def _draw(self, images: list[GalleryImage]) -> str:
        t = self._viewer.texts
        if not images:
            said = (
                t("Nothing was missed at the best confidence.")
                if self._kind is GalleryKind.MISSED
                else t("There is no false alarm at the best confidence.")
            )
            return f'<div class="empty">{escape(said)}</div>'
        figures = self._evaluation.figures or {}
        best = figures["confidence"].value if "confidence" in figures else None
        described = [_describe(image, str(self._evaluation.dataset_version.id)) for image in images]
        page = f"{self._kind} {self._pages.cursor or ''}"
        return (
            f'<raven-findings data-gallery="{escape(page)}" data-images="{embed(described)}" '
            f'data-texts="{embed(list_texts(t))}" '
            f'data-best="{_DEFAULT_CONFIDENCE if best is None else best}" data-least="{_LEAST_CONFIDENCE}">'
            "</raven-findings>"
        )


def list_texts(t: Texts) -> dict[str, str]:
    """What `model_pictures.js` says in galleries."""
    return {
        "least": t("Confidence from"),
        "confidence": t("Confidence"),
        "found": t("true, found"),
        "missed": t("true, missed"),
        "hit": t("detected, right"),
        "alarm": t("detected, false alarm"),
        "crowd": t("crowd, does not count"),
        "summary": t("missed: {missed} · false alarms: {alarms}"),
        "enlarge": t("Enlarge {name}"),
        **list_view_texts(t),
        "class": t("Class"),
        "kind": t("Box"),
    }


def _describe(image: GalleryImage, version_id: str) -> dict[str, Any]:
    result = image.result
    boxes = [*(each.box for each in result.true_boxes), *(each.box for each in result.detections)]
    # Of an image that may not be seen, as much as its boxes need.
    width = image.width or max((x + w for x, _, w, _ in boxes), default=1)
    height = image.height or max((y + h for _, y, _, h in boxes), default=1)
    source = None if image.digest is None else f"/api/v1/datasets/{version_id}/images/{image.digest}"
    return {
        "name": result.file_name,
        "source": source,
        "width": width,
        "height": height,
        "truth": [
            {"name": each.class_name, "box": each.box, "crowd": each.crowd} for each in result.true_boxes
        ],
        "detections": [
            {"name": each.class_name, "box": each.box, "score": each.confidence, "hit": each.hit}
            for each in result.detections
        ],
    }
