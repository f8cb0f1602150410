"""The images of a dataset version with their boxes, as HTML; the large view of one is made in the browser."""

from collections.abc import Sequence
from html import escape
from uuid import UUID

from raven_scan.datasets.browsing import AnnotatedImage
from raven_scan.web.marks import embed
from raven_scan.web.texts import Texts

COLOURS = (
    "#22d3ee",
    "#fb923c",
    "#a3e635",
    "#f472b6",
    "#facc15",
    "#818cf8",
    "#34d399",
    "#f87171",
    "#c084fc",
    "#fde68a",
)
"""Of boxes, by their class; told apart on vegetation, sand and water. Names are in the large view."""

_THUMBNAIL_PX = 320
_MOST_BOXES = 400
"""Of one image, the largest: more hide what they are drawn on."""


def draw_gallery(
    version_id: UUID, classes: Sequence[str], images: Sequence[AnnotatedImage], page: str, t: Texts
) -> str:
    """Args:
    version_id: of the version.
    classes: of the version.
    images: that are shown.
    page: which of the pages it is, told apart from every other.
    t: the user's language.
    """
    texts = list_view_texts(t)
    drawn = "".join(_draw_image(version_id, image, t) for image in images)
    return (
        f'<div class="gallery" data-gallery="{escape(page)}" data-texts="{embed(texts)}" '
        f'data-classes="{embed(list(classes))}" data-colours="{embed(COLOURS)}">{drawn}</div>'
    )


def list_view_texts(t: Texts) -> dict[str, str]:
    """What the large view says."""
    return {
        "close": t("Close"),
        "before": t("The image before"),
        "after": t("The next image"),
        "larger": t("Larger"),
        "smaller": t("Smaller"),
        "whole": t("The whole image"),
        "boxes": t("Show boxes"),
    }


def _draw_image(version_id: UUID, image: AnnotatedImage, t: Texts) -> str:
    shown = image.boxes[:_MOST_BOXES]
    count = _count_boxes(image, t)
    name = image.file_name.rpartition("/")[2]
    source = f"/api/v1/datasets/{version_id}/images/{image.digest}"
    about = {
        "src": source,
        "name": image.file_name,
        "about": f"{t(image.part.value)} · {image.width_px} \N{MULTIPLICATION SIGN} {image.height_px} px · {count}",
        "width": image.width_px,
        "height": image.height_px,
        "boxes": [
            [each.label, _round(each.x), _round(each.y), _round(each.width), _round(each.height), each.crowd]
            for each in shown
        ],
        "more": t("The {count} largest boxes are drawn.", count=t.number(len(shown)))
        if len(shown) < len(image.boxes)
        else "",
    }
    boxes = "".join(
        f'<rect x="{_round(each.x)}" y="{_round(each.y)}" width="{_round(each.width)}" '
        f'height="{_round(each.height)}" stroke="{COLOURS[each.label % len(COLOURS)]}"/>'
        for each in shown
    )
    label = t("{name}, {boxes}", name=image.file_name, boxes=count)
    return (
        f'<button type="button" class="thumb" data-image="{embed(about)}" aria-label="{escape(label)}" '
        f'title="{escape(image.file_name)}"><span class="thumb-picture">'
        f'<img src="{source}?size={_THUMBNAIL_PX}" alt="" loading="lazy" decoding="async">'
        f'<svg viewBox="0 0 {image.width_px} {image.height_px}" aria-hidden="true">{boxes}</svg></span>'
        f'<span class="thumb-name">{escape(name)}</span>'
        f'<span class="thumb-about">{escape(t(image.part.value))} · {escape(count)}</span></button>'
    )


def _count_boxes(image: AnnotatedImage, t: Texts) -> str:
    count = len(image.boxes)
    if not count:
        return t("no box")
    return t("1 box") if count == 1 else t("{count} boxes", count=t.number(count))


def _round(value: float) -> float:
    return round(value, 1)
