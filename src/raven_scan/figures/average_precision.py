"""Average precision from matches.

Source: COCO's evaluation protocol, precision interpolated at 101 recalls; pycocotools' COCOeval, whose figures these
equal.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from raven_scan.figures.matches import AREA_RANGES, IOU_THRESHOLDS, Bools, Floats, Matches
from raven_scan.figures.overlaps import Integers

RECALLS: Floats = np.linspace(0.0, 1.0, 101)

Precision: TypeAlias = npt.NDArray[np.float64]


def sort_by_class(matches: Matches) -> list[Integers]:
    """Rows of each class's detections, best score first; of equal scores in the order of images."""
    order = np.lexsort((-matches.scores, matches.detection_label))
    ends = np.cumsum(np.bincount(matches.detection_label, minlength=len(matches.classes)))
    return np.split(order, ends[:-1]) if len(ends) else []


def count_boxes(matches: Matches, area: int = 0) -> npt.NDArray[np.int64]:
    """True boxes by class, int64 (K,), that count in this area range."""
    return np.bincount(matches.truth_label[find_counted_boxes(matches, area)], minlength=len(matches.classes))


def find_counted_boxes(matches: Matches, area: int = 0) -> Bools:
    """Which true boxes count in this area range, bool (B,)."""
    low, high = list(AREA_RANGES.values())[area]
    return ~matches.crowds & (matches.truth_areas >= low) & (matches.truth_areas <= high)


def interpolate_precision(hits: Bools, counted: Bools, box_count: int) -> Precision:
    """Precision at 101 recalls, float64 (101,).

    Args:
        hits: bool (D,), best score first: found a box.
        counted: bool (D,): is a hit or a false alarm.
        box_count: true boxes, more than 0.
    """
    places = np.flatnonzero(hits)
    found = np.arange(1, len(places) + 1)
    precision = found / np.cumsum(counted)[places]
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    first = np.searchsorted(found / box_count, RECALLS, side="left")
    return np.append(envelope, 0.0)[first]


def measure_precision(matches: Matches) -> Precision:
    """Precision by area range, threshold, class and recall, float64 (A, T, K, 101); NaN where there are no boxes."""
    thresholds = range(len(IOU_THRESHOLDS))
    return np.stack([measure_precision_in(matches, area, thresholds) for area in range(len(AREA_RANGES))])


def measure_precision_in(matches: Matches, area: int, thresholds: Sequence[int]) -> Precision:
    """The same in one area range at these (T) of the thresholds, float64 (T, K, 101)."""
    precision = np.full((len(thresholds), len(matches.classes), len(RECALLS)), np.nan)
    box_counts = count_boxes(matches, area)
    for label, rows in enumerate(sort_by_class(matches)):
        if box_counts[label] == 0:
            continue
        flags, ignored = matches.hits[rows, area], matches.ignored[rows, area]
        for place, threshold in enumerate(thresholds):
            bit = np.uint16(1 << threshold)
            precision[place, label] = interpolate_precision(
                flags & bit != 0, ignored & bit == 0, int(box_counts[label])
            )
    return precision


def average(values: Floats) -> float | None:
    """Mean of what is a number; None where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def summarise_precision(precision: Precision) -> dict[str, float | None]:
    """map, map50, map75, map_small, … from an array like that of `measure_precision`, of any classes."""
    return {
        "map": average(precision[0]),
        "map50": average(precision[0, MAP50]),
        "map75": average(precision[0, MAP75]),
        "map_small": average(precision[1]),
        "map_medium": average(precision[2]),
        "map_large": average(precision[3]),
    }


MAP50 = IOU_THRESHOLDS.index(0.5)
MAP75 = int(np.argmin(np.abs(np.asarray(IOU_THRESHOLDS) - 0.75)))
