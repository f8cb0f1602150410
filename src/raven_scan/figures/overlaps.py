"""Which boxes lie on which."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from raven_scan.figures.matches import Bools, Floats

Integers = npt.NDArray[np.int64]

PAIRS_AT_ONCE = 1_000_000


def pair_up(
    first: npt.NDArray[np.integer], second: npt.NDArray[np.integer]
) -> Iterator[tuple[Integers, Integers]]:
    """Every pair of the same group, some at a time: images with hundreds of boxes have very many.

    Args:
        first: integers (F,): the group of each.
        second: integers (S,), ascending: the group of each.

    Yields:
        int64 (P,): rows of `first`, ascending; int64 (P,): rows of `second`, ascending for each of `first`. All pairs
        of a row come together.
    """
    start = np.searchsorted(second, first, side="left")
    count = np.searchsorted(second, first, side="right") - start
    total = np.cumsum(count)
    begin = 0
    while begin < len(first):
        done = int(total[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(total, done + PAIRS_AT_ONCE, side="right")))
        part = slice(begin, end)
        rows = np.repeat(np.arange(begin, end), count[part])
        within = np.arange(done, done + len(rows)) - np.repeat(total[part] - count[part], count[part])
        yield rows, within + np.repeat(start[part], count[part])
        begin = end


def measure_overlaps(detected: Floats, truth: Floats, crowds: Bools) -> Floats:
    """Overlap of each detected box with the true box beside it.

    Args:
        detected: float64 (P, 4): x y w h in pixels.
        truth: float64 (P, 4): x y w h in pixels.
        crowds: bool (P,).

    Returns:
        float64 (P,): intersection over union; for a crowd, over the detected box's own area.
    """
    width = np.minimum(detected[:, 0] + detected[:, 2], truth[:, 0] + truth[:, 2])
    width -= np.maximum(detected[:, 0], truth[:, 0])
    height = np.minimum(detected[:, 1] + detected[:, 3], truth[:, 1] + truth[:, 3])
    height -= np.maximum(detected[:, 1], truth[:, 1])
    intersection = width.clip(min=0) * height.clip(min=0)
    area = detected[:, 2] * detected[:, 3]
    whole = np.where(crowds, area, area + truth[:, 2] * truth[:, 3] - intersection)
    return np.divide(intersection, whole, out=np.zeros_like(whole), where=intersection > 0)


def find_overlapping(
    detected: Floats,
    detected_groups: npt.NDArray[np.integer],
    truth: Floats,
    truth_groups: npt.NDArray[np.integer],
    crowds: Bools,
    overlap_min: float,
) -> tuple[Integers, Integers, Floats]:
    """Pairs of the same group that overlap by at least so much.

    Args:
        detected: float64 (D, 4): x y w h in pixels.
        detected_groups: integers (D,).
        truth: float64 (B, 4): x y w h in pixels.
        truth_groups: integers (B,), ascending.
        crowds: bool (B,).
        overlap_min: more than 0.

    Returns:
        int64 (P,): rows of `detected`, ascending; int64 (P,): rows of `truth`; float64 (P,): overlaps.
    """
    found: list[tuple[Integers, Integers, Floats]] = []
    for rows, boxes in pair_up(detected_groups, truth_groups):
        overlaps = measure_overlaps(detected[rows], truth[boxes], crowds[boxes])
        close = overlaps >= overlap_min
        found.append((rows[close], boxes[close], overlaps[close]))
    none = np.zeros(0, np.int64)
    return (
        np.concatenate([none, *(rows for rows, _, _ in found)]),
        np.concatenate([none, *(boxes for _, boxes, _ in found)]),
        np.concatenate([np.zeros(0), *(overlaps for _, _, overlaps in found)]),
    )
