"""The images on which a model does worst."""

from raven_scan.figures.image_results import ImageRanking, ImageResult
from raven_scan.figures.matches import Matches


def rank_images(
    matches: Matches, kind: ImageRanking, *, confidence: float | None = None, offset: int = 0, limit: int = 50
) -> tuple[list[ImageResult], int]:
    """Images with misses or false alarms, the worst first.

    Args:
        confidence: detections of at least this count; None: the one with the best F1.
        offset, limit: which of them.

    Returns:
        These images, and how many there are in all.
    """
    raise NotImplementedError
