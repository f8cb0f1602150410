"""Intervals of all figures of a report."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raven_scan.figures.calibration import measure_calibration_error, sum_bins
from raven_scan.figures.matches import Floats, Matches
from raven_scan.figures.report import Intervals
from raven_scan.figures.resampling import (
    LEVEL,
    NEEDS,
    ResampledPoint,
    ResampledPrecision,
    average_classes,
    decide_resamples_at_once,
    draw_weights,
    find_interval,
)

IMAGES_MIN = 20
"""Images with boxes below which resamples say too little of other images."""
_IMAGES_LEAST = 2


@dataclass(frozen=True, slots=True)
class Resampled:
    """Figures of resamples.

    Attributes:
        overall: figure by resample, float64 (R,).
        by_class: figure by resample and class, float64 (R, K).
    """

    intervals: Intervals
    overall: dict[str, Floats]
    by_class: dict[str, Floats]

    def find_interval(
        self, figure: str, value: float, label: int | None = None
    ) -> tuple[float, float] | None:
        """Bounds of a figure in 0-1; None where it has none."""
        values = self.overall.get(figure) if label is None else self.by_class.get(figure)
        if values is None:
            return None
        return find_interval(value, values if label is None else values[:, label], (0.0, 1.0))


def resample(
    matches: Matches,
    confidence: float | None,
    confidence_by_class: Sequence[float | None],
    *,
    seed: int,
    resamples: int,
    ends_at: float,
) -> Resampled:
    """All figures but the confidence, which is chosen and not measured, of resampled images.

    Args:
        matches: of one model.
        confidence: where precision, recall and F1 are measured, in every resample.
        confidence_by_class: the same for those of a class.
        seed: of the resamples.
        resamples: how many.
        ends_at: on the monotonic clock; no further resamples are drawn then.
    """
    with_boxes = len(np.unique(matches.truth_image[~matches.crowds]))
    if resamples == 0 or with_boxes < _IMAGES_LEAST:
        note = "Fewer than two images have a true box." if resamples else None
        return Resampled(Intervals(level=LEVEL, resamples=0, seed=seed, note=note), {}, {})
    precision = ResampledPrecision(matches, list(NEEDS))
    point = ResampledPoint(matches, confidence, confidence_by_class)
    bins = sum_bins(matches)
    overall: dict[str, list[Floats]] = {}
    by_class: dict[str, list[Floats]] = {}
    done = 0
    at_once = decide_resamples_at_once(matches)
    for weights in draw_weights(len(matches.image_ids), resamples, seed, at_once=at_once):
        for figure, values in precision.reckon(weights).items():
            by_class.setdefault(figure, []).append(values)
            overall.setdefault(figure, []).append(average_classes(values))
        for figure, values in point.reckon(weights).items():
            by_class.setdefault(figure, []).append(values[:, :-1])
            overall.setdefault(figure, []).append(values[:, -1])
        drawn = weights.astype(np.float64)
        error = measure_calibration_error(drawn @ bins.counts, drawn @ bins.scores, drawn @ bins.hits)
        overall.setdefault("calibration_error", []).append(error)
        done += len(weights)
        if time.monotonic() >= ends_at:
            break
    note = None
    if with_boxes < IMAGES_MIN:
        note = f"Only {with_boxes} images have a true box: on so few, intervals are narrower than they should be."
    if done < resamples:
        note = (
            f"{done} of {resamples} resamples were drawn: the part is too large for more in the time given."
        )
    return Resampled(
        Intervals(level=LEVEL, resamples=done, seed=seed, note=note),
        {figure: np.concatenate(values) for figure, values in overall.items()},
        {figure: np.concatenate(values) for figure, values in by_class.items()},
    )
