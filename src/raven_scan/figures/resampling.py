"""Figures of resampled images, for intervals: images are drawn with replacement, nothing is matched again.

A resample is a weight for each image: how often it was drawn. With detections sorted by score once, precision at each
hit is a quotient of two cumulative sums of weights. Those of hundreds of resamples are beside each other in memory, and
what does not depend on the overlap is added up once for all ten of them, by products with sparse matrices.

Source: Efron, Bootstrap Methods: Another Look at the Jackknife, 1979; percentile intervals.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from raven_scan.figures.average_precision import (
    MAP50,
    MAP75,
    RECALLS,
    count_boxes,
    find_counted_boxes,
    sort_by_class,
)
from raven_scan.figures.matches import IOU_THRESHOLDS, Bools, Floats, Matches
from raven_scan.figures.overlaps import Integers

LEVEL = 0.95
RESAMPLES_AT_ONCE = 500
_NUMBERS_AT_ONCE = 4_000_000
_FEW_BESIDE = 100
"""Rows of fewer numbers are added up by numpy, whose way down a column is slow; longer ones row by row."""

Weights: TypeAlias = npt.NDArray[np.int32]
_Rows: TypeAlias = npt.NDArray[np.float32]

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
    longest = 1
    for each in matches:
        is_event = _find_events(each.hits, each.ignored).any(axis=1)
        of_class = np.bincount(each.detection_label[is_event], minlength=1)
        longest = max(longest, len(each.image_ids), int(of_class.max()))
    return max(1, min(RESAMPLES_AT_ONCE, _NUMBERS_AT_ONCE // longest))


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
        ignored: uint16 (E,): flags.
        plain: sparse float32 (E, I): false alarms at every threshold, by image, between an event and the one before.
        plain_before: int64 (E,): how many of these come before each event.
    """

    images: npt.NDArray[np.int32]
    hits: npt.NDArray[np.uint16]
    ignored: npt.NDArray[np.uint16]
    plain: Any
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
            (area, label): _list_events(matches, area, rows)
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
        by_image = np.ascontiguousarray(weights.T, np.float32)
        for area, thresholds in self._thresholds.items():
            boxes = weights.astype(np.float64) @ self._box_counts[area]
            for threshold in thresholds:
                precision[area, threshold] = np.full((len(weights), self._class_count), np.nan)
            for label in self._labels[area]:
                reckoned = _reckon_class(self._events[area, label], by_image, boxes[:, label], thresholds)
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


def _find_events(hits: npt.NDArray[np.uint16], ignored: npt.NDArray[np.uint16]) -> Bools:
    """Where it depends on the overlap what a detection is."""
    return (hits != 0) | ((ignored != 0) & (ignored != _EVERY))


def _list_events(matches: Matches, area: int, rows: Integers) -> _Events:
    hits, ignored = matches.hits[rows, area], matches.ignored[rows, area]
    images = matches.detection_image[rows]
    is_plain = (hits == 0) & (ignored == 0)
    places = np.flatnonzero(_find_events(hits, ignored))
    plain_before = np.cumsum(is_plain)[places]
    # What comes after the last event changes nothing.
    last = int(plain_before[-1]) if len(places) else 0
    return _Events(
        images[places],
        hits[places],
        ignored[places],
        _count_images(images[is_plain][:last], np.append(0, plain_before), len(matches.image_ids)),
        plain_before,
    )


def _count_images(images: npt.NDArray[np.int32], bounds: Integers, image_count: int) -> Any:
    """A sparse matrix, float32 (G, I), of groups that follow each other in `images`."""
    return sparse.csr_array(
        (np.ones(len(images), np.float32), images, bounds), shape=(len(bounds) - 1, image_count)
    )


def _reckon_class(
    events: _Events, weights: _Rows, boxes: Floats, thresholds: Sequence[int]
) -> Iterator[Floats]:
    """Average precision by resample, float64 (R,), at each threshold.

    Hits without a false alarm between them are one step of the curve: precision is highest at the last of them.
    """
    drawn = weights[events.images]
    counted_if_all = events.plain @ weights
    counted_if_all += drawn
    _add_up(counted_if_all)
    has_boxes = boxes > 0
    per_box = (100.0 / np.maximum(boxes, 1.0)).astype(np.float32)
    for threshold in thresholds:
        bit = np.uint16(1 << threshold)
        is_hit, is_ignored = events.hits & bit != 0, events.ignored & bit != 0
        hits, ignored = np.flatnonzero(is_hit), np.flatnonzero(is_ignored)
        if not len(hits):
            yield np.where(has_boxes, 0.0, np.nan)
            continue
        alarms_before = (events.plain_before + np.cumsum(~is_hit & ~is_ignored))[hits]
        bounds = np.flatnonzero(np.diff(alarms_before, prepend=-1, append=-1))
        ends = hits[bounds[1:] - 1]
        found = _count_images(events.images[hits], bounds, len(weights)) @ weights
        _add_up(found)
        counted = counted_if_all[ends]
        if len(ignored):
            uncounted = np.vstack([np.zeros_like(drawn[:1]), drawn[ignored]])
            _add_up(uncounted)
            counted -= uncounted[np.searchsorted(ignored, ends)]
        precision = np.divide(found, np.maximum(counted, 1, out=counted), out=counted)
        for after, own in pairwise(precision[::-1]):
            np.maximum(own, after, out=own)
        # How many of the 101 recalls are reached by each step; a step adds those that the one before it had not.
        reached = found
        reached *= per_box
        reached += _ROUNDING
        np.floor(reached, out=reached)
        total = precision[0] * (reached[0] + 1)
        total += np.einsum("ij,ij->j", precision[1:], np.diff(reached, axis=0))
        yield np.where(has_boxes, total / np.float32(len(RECALLS)), np.nan)


def _add_up(rows: _Rows) -> None:
    """Each row becomes the sum of itself and all before it."""
    if rows.shape[1] < _FEW_BESIDE:
        np.cumsum(rows, axis=0, out=rows)
        return
    for before, own in pairwise(rows):
        np.add(own, before, out=own)


_EVERY = np.uint16((1 << len(IOU_THRESHOLDS)) - 1)
_ROUNDING = np.float32(1e-4)
"""Recalls are quotients of small numbers: what is that near to the next hundredth is that hundredth."""


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
