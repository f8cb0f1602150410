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
    known, of_known = values[there], stretch[there]
    begins = _find_begins(of_known)
    kept = np.zeros(count, dtype=np.bool_)
    kept[[0, count - 1]] = True
    if len(there):
        lengths = np.diff(begins, append=len(there))
        for extreme in (np.minimum, np.maximum):
            is_extreme = known == np.repeat(extreme.reduceat(known, begins), lengths)
            # Of several that are equal, the first.
            candidates = np.flatnonzero(is_extreme)
            kept[there[candidates[_find_begins(of_known[candidates])]]] = True
    absent = np.flatnonzero(missing)
    kept[absent[_find_begins(stretch[absent])]] = True
    return np.flatnonzero(kept)


def _find_begins(stretch: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each stretch begins. Args: int64 (N,), rising. Returns: int64 (S,)."""
    return np.flatnonzero(np.diff(stretch, prepend=-1))
