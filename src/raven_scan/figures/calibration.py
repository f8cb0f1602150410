"""Whether confidences mean what they say.

Source: Küppers et al., Multivariate Confidence Calibration for Object Detection, 2020: their detection expected
calibration error (D-ECE), over the confidence alone.
"""

from dataclasses import dataclass

import numpy as np

from raven_scan.figures.average_precision import MAP50
from raven_scan.figures.matches import Floats, Matches

BIN_COUNT = 10
CONFIDENCE_MIN = 0.05
"""Detections below are left out: models keep very different numbers of what they do not believe themselves."""


@dataclass(frozen=True, slots=True, eq=False)
class BinSums:
    """What each image (I) adds to each bin (N).

    Attributes:
        counts, scores, hits: float64 (I, N): detections, the sum of their confidences, how many are hits.
    """

    counts: Floats
    scores: Floats
    hits: Floats


def sum_bins(matches: Matches) -> BinSums:
    """By image, so that they can be resampled."""
    rows = np.flatnonzero(matches.get_counted(MAP50) & (matches.scores >= CONFIDENCE_MIN))
    scores = matches.scores[rows]
    bins = np.minimum((scores * BIN_COUNT).astype(np.int64), BIN_COUNT - 1)
    places = matches.detection_image[rows].astype(np.int64) * BIN_COUNT + bins
    shape = (len(matches.image_ids), BIN_COUNT)

    def add_up(values: Floats | None) -> Floats:
        return np.bincount(places, values, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)

    return BinSums(add_up(None), add_up(scores), add_up(matches.get_hits(MAP50)[rows].astype(np.float64)))


def measure_calibration_error(counts: Floats, scores: Floats, hits: Floats) -> Floats:
    """Expected calibration error of each row.

    Args:
        counts: float64 (R, N): detections by bin.
        scores: float64 (R, N): sums of their confidences.
        hits: float64 (R, N).

    Returns:
        float64 (R,): NaN where there are no detections.
    """
    total = counts.sum(axis=1)
    gaps = np.abs(scores - hits).sum(axis=1)
    return np.divide(gaps, total, out=np.full(len(total), np.nan), where=total > 0)
