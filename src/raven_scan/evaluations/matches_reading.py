"""What is reckoned from stored matches: comparisons and galleries. Only here numpy is imported, when it is needed."""

from pathlib import Path
from typing import TYPE_CHECKING

from raven_scan.evaluations.errors import make_unknown_class
from raven_scan.figures.difference import Difference, DifferentPartsError
from raven_scan.figures.image_results import ImageRanking, ImageResult
from raven_scan.kernel.errors import Conflict, Damaged

if TYPE_CHECKING:
    from raven_scan.figures.matches import Matches

_SEED = 0


def compare_matches(
    first: Path, second: Path, figure: str, *, class_name: str | None = None, names: tuple[str, str]
) -> Difference:
    """By how much the first is better than the second.

    Args:
        first: file of matches.
        second: another one, of the same images.
        figure: such as `map50`.
        class_name: of this class alone.
        names: of the two models, for messages.

    Raises:
        Conflict: `evaluations.different_parts`, they are of different images or boxes.
        Invalid: there is no such class.
        Damaged: a file cannot be read.
    """
    from raven_scan.figures.comparison import compare, list_part_classes  # noqa: PLC0415

    one, other = _read(first), _read(second)
    known = list_part_classes(one)
    if class_name is not None and class_name not in known:
        raise make_unknown_class(class_name, [name for name in one.classes if name in known])
    try:
        return compare(one, other, figure, class_name=class_name, seed=_SEED)
    except DifferentPartsError as error:
        raise Conflict(
            "evaluations.different_parts",
            f"{names[0]!r} and {names[1]!r} were not evaluated on the same: {error}",
            hint="Evaluate both again on the same part of the same dataset version.",
            parameters={"first": names[0], "other": names[1]},
        ) from error


def rank_worst_images(
    path: Path, ranking: ImageRanking, *, offset: int, limit: int
) -> tuple[list[ImageResult], int]:
    """Images with misses or false alarms, the worst first, and how many there are. Raises Damaged."""
    from raven_scan.figures.gallery import rank_images  # noqa: PLC0415

    return rank_images(_read(path), ranking, offset=offset, limit=limit)


def _read(path: Path) -> "Matches":
    from raven_scan.figures.matches import UnreadableMatchesError, read_matches  # noqa: PLC0415

    try:
        return read_matches(path)
    except UnreadableMatchesError as error:
        raise Damaged(
            "evaluations.matches_damaged",
            f"The matches of the evaluation cannot be read: {error}",
            hint="Restore them from a backup, or evaluate the model again.",
        ) from error
