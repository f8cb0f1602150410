"""Fewer points for a chart, of which none that stands out is missing."""

import numpy as np
from numpy.typing import NDArray


def choose_points(steps: NDArray[np.int32], values: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Which points of a series to keep: the first and the last, and of each stretch of steps the smallest, the largest,
    and the first that has no value.

    Args:
        steps: int32 (N,), rising.
        values: float64 (N,); NaN where there is no value.
        most: so many are kept at most; at least 8.

    Returns:
        int64 (K,), rising: rows to keep, K <= max(most, 2).
    """
    count = len(steps)
    if count <= most:
        return np.arange(count)
    missing = np.isnan(values)
    stretches = max(1, (most - 2) // (3 if missing.any() else 2))
    span = int(steps[-1]) - int(steps[0]) + 1
    stretch = (steps.astype(np.int64) - int(steps[0])) * stretches // span
    there = np.flatnonzero(~missing)
    # Sorted by stretch, and by value within each: the first and the last of each are its extremes.
    ranked = there[np.lexsort((values[there], stretch[there]))]
    begins = np.flatnonzero(np.diff(stretch[ranked], prepend=-1))
    smallest, largest = (
        ranked[begins],
        ranked[np.append(begins[1:], len(ranked)) - 1 if len(ranked) else begins],
    )
    absent = np.flatnonzero(missing)
    first_absent = absent[np.flatnonzero(np.diff(stretch[absent], prepend=-1))]
    return np.unique(np.concatenate([[0, count - 1], smallest, largest, first_absent])).astype(np.int64)
