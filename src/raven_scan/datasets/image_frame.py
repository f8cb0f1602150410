"""Which frame an image's annotations are in: as stored, or turned by its EXIF orientation."""

from dataclasses import dataclass
from enum import StrEnum

from raven_scan.pixels.header import ImageHeader
from raven_scan.pixels.orientation import SWAPS_SIDES


class FrameNotice(StrEnum):
    SQUARE_APPLIED = "dataset.square_orientation_applied"
    SAME_SIZE_IGNORED = "dataset.orientation_ignored"


@dataclass(frozen=True, slots=True)
class Frame:
    """The orientation to apply when the image is read (1 is none), and what the user should know of it."""

    exif_orientation: int
    notice: FrameNotice | None = None


def find_frame(header: ImageHeader, width: float, height: float) -> Frame | None:
    """Let the size that the annotations were made on decide; None where it is neither size of the image.

    A size tells nothing of a square image: its tag is applied, as today's annotation tools do. Flips and the half
    turn (2, 3, 4) keep the size, too; the annotations' size is then the stored one, and the tag is ignored.
    """
    stored = (header.width, header.height)
    tag = header.exif_orientation
    if (width, height) == stored:
        if tag == 1:
            return Frame(1)
        if header.width == header.height:
            return Frame(tag, FrameNotice.SQUARE_APPLIED)
        return Frame(1, None if tag in SWAPS_SIDES else FrameNotice.SAME_SIZE_IGNORED)
    if (height, width) == stored and tag in SWAPS_SIDES:
        return Frame(tag)
    return None
