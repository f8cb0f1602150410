"""Errors by kind, and what each costs.

Source: Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors, 2020.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raven_scan.figures.average_precision import MAP50, count_boxes, interpolate_precision
from raven_scan.figures.matches import IOU_THRESHOLDS, Bools, Floats, Matches
from raven_scan.figures.overlaps import Integers, measure_overlaps, pair_up
from raven_scan.figures.report import ERROR_KINDS, ErrorKind, ErrorKinds, Figure

IOU_BACKGROUND = 0.1
_CLASSIFICATION, _LOCALISATION, _BOTH, _DOUBLE, _BACKGROUND = range(5)
_NONE = -1


@dataclass(frozen=True, slots=True, eq=False)
class _Errors:
    """What is wrong with each detection (D).

    Attributes:
        kinds: int8 (D,): its kind, or _NONE of a hit and of what does not count.
        causes: int64 (D,): the true box that it nearly found (classification, localisation), else -1.
    """

    kinds: npt.NDArray[np.int8]
    causes: Integers


@dataclass(frozen=True, slots=True, eq=False)
class _Nearest:
    """The true box that each of some false alarms (F) overlaps most: of its own class, and of another.

    Attributes:
        own, other: float64 (F,): overlaps; 0 where there is none.
        own_box, other_box: int64 (F,): rows; -1 where there is none.
    """

    own: Floats
    own_box: Integers
    other: Floats
    other_box: Integers


def count_errors(matches: Matches, confidence: float | None, map50: float | None) -> ErrorKinds:
    """Errors of all detections by kind, and by how much mAP50 would be higher without each kind.

    Args:
        matches: of one model.
        confidence: from which they are counted a second time; None: nothing is.
        map50: as it is.
    """
    errors = _classify(matches)
    found = matches.found_by[:, MAP50] >= 0
    missed = _find_missed(matches, found, errors.causes[errors.causes >= 0])
    least = np.inf if confidence is None else confidence
    sure = matches.scores >= least
    finder = matches.found_by[:, MAP50]
    sure_missed = _find_missed(
        matches, found & np.append(sure, values=False)[finder], errors.causes[(errors.causes >= 0) & sure]
    )
    kinds: dict[str, ErrorKind] = {}
    for kind, name in enumerate(ERROR_KINDS):
        is_missed = name == "missed"
        own = errors.kinds == kind
        kinds[name] = ErrorKind(
            count=int(missed.sum() if is_missed else own.sum()),
            count_at_confidence=int(sure_missed.sum() if is_missed else (own & sure).sum()),
            map50_gain=_make_gain(
                _reckon_without_missed(matches, missed)
                if is_missed
                else _reckon_without(matches, errors, kind),
                map50,
            ),
        )
    return ErrorKinds(
        iou=IOU_THRESHOLDS[MAP50], iou_background=IOU_BACKGROUND, confidence=confidence, kinds=kinds
    )


def _classify(matches: Matches) -> _Errors:
    rows = np.flatnonzero(matches.get_counted(MAP50) & ~matches.get_hits(MAP50))
    near = _find_nearest(matches, rows)
    iou = IOU_THRESHOLDS[MAP50]
    # In the order in which TIDE asks.
    conditions = [
        (near.own >= IOU_BACKGROUND) & (near.own < iou),
        near.other >= iou,
        near.own >= iou,
        near.other < IOU_BACKGROUND,
    ]
    found = np.select(conditions, [_LOCALISATION, _CLASSIFICATION, _DOUBLE, _BACKGROUND], default=_BOTH)
    kinds = np.full(len(matches.scores), _NONE, np.int8)
    kinds[rows] = found
    causes = np.full(len(matches.scores), -1, np.int64)
    causes[rows] = np.select(
        [found == _LOCALISATION, found == _CLASSIFICATION], [near.own_box, near.other_box], default=-1
    )
    return _Errors(kinds, causes)


def _find_nearest(matches: Matches, rows: Integers) -> _Nearest:
    boxes = np.flatnonzero(~matches.crowds)
    near = _Nearest(np.zeros(len(rows)), np.full(len(rows), -1), np.zeros(len(rows)), np.full(len(rows), -1))
    images = matches.detection_image[rows]
    for own_rows, own_boxes in pair_up(images, matches.truth_image[boxes]):
        truth = boxes[own_boxes]
        overlaps = measure_overlaps(
            matches.detection_boxes[rows[own_rows]],
            matches.truth_boxes[truth],
            np.zeros(len(own_rows), np.bool_),
        )
        is_same = matches.detection_label[rows[own_rows]] == matches.truth_label[truth]
        near_pairs = overlaps > 0
        for wanted, best, best_box in ((True, near.own, near.own_box), (False, near.other, near.other_box)):
            chosen = near_pairs & (is_same == wanted)
            _keep_best(own_rows[chosen], truth[chosen], overlaps[chosen], best, best_box)
    return near


def _keep_best(rows: Integers, boxes: Integers, overlaps: Floats, best: Floats, best_box: Integers) -> None:
    order = np.lexsort((-overlaps, rows))
    rows, boxes, overlaps = rows[order], boxes[order], overlaps[order]
    first = np.append(True, rows[1:] != rows[:-1])[: len(rows)]
    best[rows[first]] = overlaps[first]
    best_box[rows[first]] = boxes[first]


def _find_missed(matches: Matches, found: Bools, causes: Integers) -> Bools:
    """True boxes, bool (B,), that nothing found and nothing nearly found."""
    missed = ~found & ~matches.crowds
    missed[causes] = False
    return missed


def _reckon_without(matches: Matches, errors: _Errors, kind: int) -> Floats:
    """Average precision at IoU 0.5 by class, float64 (K,), with the errors of one kind put right."""
    own = errors.kinds == kind
    hits, counted = matches.get_hits(MAP50), matches.get_counted(MAP50)
    labels = matches.detection_label
    counted[own] = False
    if kind in {_CLASSIFICATION, _LOCALISATION}:
        # Of each box that nothing found, the surest near miss of either kind becomes its hit; the rest is dropped.
        rows = np.flatnonzero(errors.causes >= 0)
        rows = rows[matches.found_by[errors.causes[rows], MAP50] < 0]
        rows = rows[np.lexsort((-matches.scores[rows], errors.causes[rows]))]
        first = np.append(True, np.diff(errors.causes[rows]) != 0)[: len(rows)]
        corrected = rows[first]
        corrected = corrected[own[corrected]]
        hits[corrected] = counted[corrected] = True
        labels = labels.copy()
        labels[corrected] = matches.truth_label[errors.causes[corrected]]
    return _reckon_average_precision(matches.scores, labels, hits, counted, count_boxes(matches))


def _reckon_without_missed(matches: Matches, missed: Bools) -> Floats:
    boxes = count_boxes(matches)
    left = boxes - np.bincount(matches.truth_label[missed], minlength=len(boxes))
    by_class = _reckon_average_precision(
        matches.scores, matches.detection_label, matches.get_hits(MAP50), matches.get_counted(MAP50), left
    )
    # A class of which every box is missed has nothing found: it stays at 0, and does not drop out of the mean.
    return np.where((boxes > 0) & np.isnan(by_class), 0.0, by_class)


def _reckon_average_precision(
    scores: Floats,
    labels: npt.NDArray[np.int32],
    hits: Bools,
    counted: Bools,
    box_counts: npt.NDArray[np.int64],
) -> Floats:
    order = np.lexsort((-scores, labels))
    ends = np.cumsum(np.bincount(labels, minlength=len(box_counts)))
    average = np.full(len(box_counts), np.nan)
    for label, end in enumerate(ends.tolist()):
        rows = order[ends[label - 1] if label else 0 : end]
        if box_counts[label] > 0:
            average[label] = interpolate_precision(hits[rows], counted[rows], int(box_counts[label])).mean()
    return average


def _make_gain(by_class: Floats, map50: float | None) -> Figure:
    if map50 is None:
        return Figure(value=None, reason="There is no box, so there is no mAP50.")
    return Figure(value=max(0.0, float(np.nanmean(by_class)) - map50))
