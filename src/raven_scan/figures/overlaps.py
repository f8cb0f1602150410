"""Which boxes lie on which."""

import numpy as np
import numpy.typing as npt

from raven_scan.figures.matches import Bools, Floats

Integers = npt.NDArray[np.int64]


def pair_up(first: npt.NDArray[np.integer], second: npt.NDArray[np.integer]) -> tuple[Integers, Integers]:
    """Every pair of the same group.

    Args:
        first: integers (F,): the group of each.
        second: integers (S,), ascending: the group of each.

    Returns:
        int64 (P,): rows of `first`, ascending; int64 (P,): rows of `second`, ascending for each of `first`.
    """
    start = np.searchsorted(second, first, side="left")
    count = np.searchsorted(second, first, side="right") - start
    first_rows = np.repeat(np.arange(len(first)), count)
    within = np.arange(len(first_rows)) - np.repeat(np.cumsum(count) - count, count)
    return first_rows, within + np.repeat(start, count)


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
