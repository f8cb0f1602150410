"""What is reckoned from stored matches: galleries. Only here numpy is imported, when it is needed."""

from pathlib import Path
from typing import TYPE_CHECKING

from raven_scan.evaluations.errors import make_matches_damaged
from raven_scan.figures.image_results import ImageRanking, ImageResult

if TYPE_CHECKING:
    from raven_scan.figures.matches import Matches


def rank_worst_images(
    path: Path, ranking: ImageRanking, *, offset: int, limit: int, shown_from: float | None = None
) -> tuple[list[ImageResult], int]:
    """Images with misses or false alarms, the worst first, and how many there are. Raises Damaged."""
    from raven_scan.figures.gallery import rank_images  # noqa: PLC0415

    return rank_images(_read(path), ranking, offset=offset, limit=limit, shown_from=shown_from)


def _read(path: Path) -> "Matches":
    from raven_scan.figures.matches import UnreadableMatchesError, read_matches  # noqa: PLC0415

    try:
        return read_matches(path)
    except UnreadableMatchesError as error:
        raise make_matches_damaged(str(error)) from error
