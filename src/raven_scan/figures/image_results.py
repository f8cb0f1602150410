"""How a model did on single images. Values only; nothing here needs numpy."""

from enum import StrEnum

import msgspec


class ImageRanking(StrEnum):
    """By what images are ranked, the worst first."""

    MISSES = "misses"
    FALSE_ALARMS = "false_alarms"


class TrueBox(msgspec.Struct, frozen=True, kw_only=True):
    """A true box. `box`: x y w h in pixels of the source image. `found`: by a detection that counts, at IoU 0.5."""

    class_name: str
    box: tuple[float, float, float, float]
    crowd: bool
    found: bool


class DetectedBox(msgspec.Struct, frozen=True, kw_only=True):
    """A detection. `box`: x y w h in pixels of the source image. `hit`: it found a true box, at IoU 0.5."""

    class_name: str
    box: tuple[float, float, float, float]
    confidence: float
    hit: bool


class ImageResult(msgspec.Struct, frozen=True, kw_only=True):
    """One image, at one confidence.

    Attributes:
        image_id, file_name: as in the part's COCO document.
        misses: true boxes that no detection found.
        false_alarms: detections that found nothing, those on crowds left out.
        worst_confidence: of the surest false alarm; None where there is none.
        true_boxes, detections: all of the image; detections of at least the confidence.
    """

    image_id: int
    file_name: str
    misses: int
    false_alarms: int
    worst_confidence: float | None
    true_boxes: list[TrueBox]
    detections: list[DetectedBox]
