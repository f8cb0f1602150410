"""Figures of resampled images, for intervals: images are drawn with replacement, nothing is matched again.

A resample is a weight for each image: how often it was drawn. With detections sorted by score once, precision at each
hit is a quotient of two cumulative sums of weights.

Source: Efron, Bootstrap Methods: Another Look at the Jackknife, 1979; percentile intervals.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from raven_scan.figures.average_precision import (
    MAP50,
    MAP75,
    RECALLS,
    count_boxes,
    find_counted_boxes,
    sort_by_class,
)
from raven_scan.figures.matches import IOU_THRESHOLDS, Floats, Matches
from raven_scan.figures.overlaps import Integers

LEVEL = 0.95
RESAMPLES_AT_ONCE = 100
_NUMBERS_AT_ONCE = 10_000_000

Weights: TypeAlias = npt.NDArray[np.int32]

_ALL_THRESHOLDS = tuple(range(len(IOU_THRESHOLDS)))
NEEDS: Mapping[str, tuple[int, tuple[int, ...]]] = {
    "map": (0, _ALL_THRESHOLDS),
    "map50": (0, (MAP50,)),
    "map75": (0, (MAP75,)),
    "map_small": (1, _ALL_THRESHOLDS),
    "map_medium": (2, _ALL_THRESHOLDS),
    "map_large": (3, _ALL_THRESHOLDS),
}
"""Area range and thresholds that an average precision is reckoned from."""


def draw_weights(
    image_count: int, resamples: int, seed: int, *, at_once: int = RESAMPLES_AT_ONCE
) -> Iterator[Weights]:
    """How often each image was drawn: int32 (R, I), for some resamples at a time; the same for the same seed."""
    random = np.random.default_rng(seed)
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        drawn = (
            random.integers(0, image_count, (count, image_count)) + np.arange(count)[:, None] * image_count
        )
        weights = np.bincount(drawn.ravel(), minlength=count * image_count)
        yield weights.reshape(count, image_count).astype(np.int32)


def decide_resamples_at_once(*matches: Matches) -> int:
    """So many that what is held of a class takes some hundred megabytes at most."""
    largest = max(int(np.bincount(each.detection_label, minlength=1).max()) for each in matches)
    return max(1, min(RESAMPLES_AT_ONCE, _NUMBERS_AT_ONCE // max(1, largest)))


def find_interval(value: float, resampled: Floats, bounds: tuple[float, float]) -> tuple[float, float] | None:
    """Where a figure would lie on other images of the same kind and number.

    The middle of the resampled figures, moved so that their mean is the figure: average precision of resamples is
    higher by a little on the average, the more so the fewer boxes a class has.

    Args:
        value: the figure itself.
        resampled: float64 (R,): NaN where a resample lacks the figure.
        bounds: the least and the most that it can be.

    Returns:
        None where too many resamples lack the figure.
    """
    known = resampled[~np.isnan(resampled)]
    if len(known) < max(2, len(resampled) / 2):
        return None
    quantiles = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    # The value itself is never outside, whatever rounding does.
    low, high = (quantiles - known.mean() + value).clip(*bounds).tolist()
    return min(low, value), max(high, value)


def average_classes(by_class: Floats) -> Floats:
    """Mean over the classes that a resample has, float64 (R,), of figures (R, K); NaN where it has none."""
    known = ~np.isnan(by_class)
    count = known.sum(axis=1)
    total = np.where(known, by_class, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


@dataclass(frozen=True, slots=True, eq=False)
class _Events:
    """One class in one area range: the places on its list, best score first, at which something depends on IoU.

    Attributes:
        images: int32 (E,): rows of their images.
        hits: uint16 (E,): flags.
        counted: uint16 (E,): flags.
        plain_images: int32 (N,): images of the false alarms that are such at every threshold.
        plain_before: int64 (E,): how many of these come before each event.
    """

    images: npt.NDArray[np.int32]
    hits: npt.NDArray[np.uint16]
    counted: npt.NDArray[np.uint16]
    plain_images: npt.NDArray[np.int32]
    plain_before: Integers


class ResampledPrecision:
    """Average precision of resamples.

    Args:
        matches: of one model.
        figures: which of `NEEDS` are wanted.
    """

    def __init__(self, matches: Matches, figures: Sequence[str]) -> None:
        self._figures = figures
        self._class_count = len(matches.classes)
        areas = sorted({NEEDS[figure][0] for figure in figures})
        rows_by_class = sort_by_class(matches)
        self._events = {
            (area, label): _find_events(matches, area, rows)
            for area in areas
            for label, rows in enumerate(rows_by_class)
        }
        self._box_counts = {area: _count_boxes_by_image(matches, area) for area in areas}
        # A class without boxes has no figure, whatever is drawn.
        self._labels = {area: np.flatnonzero(count_boxes(matches, area)).tolist() for area in areas}
        self._thresholds = {
            area: sorted(
                {each for figure in figures if NEEDS[figure][0] == area for each in NEEDS[figure][1]}
            )
            for area in areas
        }

    def reckon(self, weights: Weights) -> dict[str, Floats]:
        """Each figure by resample and class, float64 (R, K); NaN where a resample has no box."""
        precision: dict[tuple[int, int], Floats] = {}
        for area, thresholds in self._thresholds.items():
            boxes = weights.astype(np.float64) @ self._box_counts[area]
            for threshold in thresholds:
                precision[area, threshold] = np.full((len(weights), self._class_count), np.nan)
            for label in self._labels[area]:
                reckoned = _reckon_class(self._events[area, label], weights, boxes[:, label], thresholds)
                for threshold, values in zip(thresholds, reckoned, strict=True):
                    precision[area, threshold][:, label] = values
        return {
            figure: np.mean([precision[NEEDS[figure][0], each] for each in NEEDS[figure][1]], axis=0)
            for figure in self._figures
        }


class ResampledPoint:
    """Precision, recall and F1 of resamples, each at a confidence that stays what it is.

    Args:
        matches: of one model.
        confidence: of all classes together; None where there is none.
        by_class: of each class.
    """

    def __init__(self, matches: Matches, confidence: float | None, by_class: Sequence[float | None]) -> None:
        least = np.asarray([np.inf if each is None else each for each in by_class])
        counted, hits = matches.get_counted(MAP50), matches.get_hits(MAP50)
        overall = counted & (matches.scores >= (np.inf if confidence is None else confidence))
        own = counted & (matches.scores >= least[matches.detection_label])
        size = len(matches.image_ids)
        image, label = matches.detection_image, matches.detection_label
        boxes = _count_boxes_by_image(matches, 0)
        self._counted = _count_by_image(image[own], label[own], size, len(least), image[overall])
        self._hits = _count_by_image(
            image[own & hits], label[own & hits], size, len(least), image[overall & hits]
        )
        self._boxes = np.hstack([boxes, boxes.sum(axis=1, keepdims=True)])

    def reckon(self, weights: Weights) -> dict[str, Floats]:
        """`precision`, `recall` and `f1` by resample, float64 (R, K + 1): by class, and all together last."""
        drawn = weights.astype(np.float64)
        counted, hits, boxes = drawn @ self._counted, drawn @ self._hits, drawn @ self._boxes
        return {
            "precision": _divide(hits, counted),
            "recall": _divide(hits, boxes),
            "f1": np.where(boxes > 0, _divide(2 * hits, counted + boxes), np.nan),
        }


def _find_events(matches: Matches, area: int, rows: Integers) -> _Events:
    every = np.uint16((1 << len(IOU_THRESHOLDS)) - 1)
    hits, ignored = matches.hits[rows, area], matches.ignored[rows, area]
    images = matches.detection_image[rows]
    is_event = (hits != 0) | ((ignored != 0) & (ignored != every))
    is_plain = (hits == 0) & (ignored == 0)
    places = np.flatnonzero(is_event)
    return _Events(
        images[places],
        hits[places],
        ~ignored[places] & every,
        images[is_plain],
        np.cumsum(is_plain)[places],
    )


def _reckon_class(
    events: _Events, weights: Weights, boxes: Floats, thresholds: Sequence[int]
) -> Iterator[Floats]:
    """Average precision by resample, float64 (R,), at each threshold."""
    plain = np.zeros((len(weights), len(events.plain_images) + 1), np.int32)
    np.cumsum(_take(weights, events.plain_images), axis=1, out=plain[:, 1:])
    before = _take(plain, events.plain_before)
    drawn = _take(weights, events.images)
    every = np.uint16((1 << len(IOU_THRESHOLDS)) - 1)
    always = bool((events.counted == every).all())
    all_counted = before + np.cumsum(drawn, axis=1, dtype=np.int32) if always else None
    has_boxes = boxes > 0
    per_box = (100.0 / np.maximum(boxes, 1.0)).astype(np.float32)[:, None]
    for threshold in thresholds:
        bit = np.uint16(1 << threshold)
        places = np.flatnonzero(events.hits & bit)
        counted = all_counted
        if counted is None:
            is_counted = (events.counted & bit) != 0
            counted = before + np.cumsum(drawn * is_counted, axis=1, dtype=np.int32)
        found = np.cumsum(_take(drawn, places), axis=1, dtype=np.int32)
        precision = found.astype(np.float32)
        # How many of the 101 recalls are reached by each hit; a hit adds those that the one before it had not.
        reached = precision * per_box
        reached += _ROUNDING
        np.floor(reached, out=reached)
        precision /= np.maximum(_take(counted, places), 1)
        backwards = precision[:, ::-1]
        np.maximum.accumulate(backwards, axis=1, out=backwards)
        total = np.einsum("ij,ij->i", precision[:, 1:], np.diff(reached, axis=1))
        first = precision[:, 0] * (reached[:, 0] + 1) if len(places) else 0.0
        yield np.where(has_boxes, (total + first) / len(RECALLS), np.nan)


_ROUNDING = np.float32(1e-4)
"""Recalls are quotients of small numbers: what is that near to the next hundredth is that hundredth."""


def _take(rows: npt.NDArray[np.int32], columns: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """These columns of all rows; quicker than indexing. The columns are there."""
    return np.take(rows, columns, axis=1, mode="clip")


def _count_boxes_by_image(matches: Matches, area: int) -> Floats:
    rows = np.flatnonzero(find_counted_boxes(matches, area))
    shape = (len(matches.image_ids), len(matches.classes))
    places = matches.truth_image[rows].astype(np.int64) * shape[1] + matches.truth_label[rows]
    return np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def _count_by_image(
    images: npt.NDArray[np.int32],
    labels: npt.NDArray[np.int32],
    image_count: int,
    class_count: int,
    overall: npt.NDArray[np.int32],
) -> Floats:
    places = images.astype(np.int64) * class_count + labels
    by_class = np.bincount(places, minlength=image_count * class_count).reshape(image_count, class_count)
    return np.column_stack([by_class, np.bincount(overall, minlength=image_count)]).astype(np.float64)


def _divide(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
