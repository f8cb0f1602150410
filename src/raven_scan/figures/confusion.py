"""Which class is taken for which."""

import numpy as np

from raven_scan.figures.average_precision import MAP50
from raven_scan.figures.matches import IOU_THRESHOLDS, Matches
from raven_scan.figures.matching import Pairs, match_pairs
from raven_scan.figures.overlaps import find_overlapping
from raven_scan.figures.report import BACKGROUND, Confusion


def count_confusions(matches: Matches, confidence: float) -> Confusion:
    """Count detections of at least this confidence by their class and that of the box they are on.

    Hits are those of COCO's matching. What is left of detections and boxes is matched across classes, the surest
    first; what is left then is background.
    """
    size = len(matches.classes)
    counted = matches.get_counted(MAP50) & (matches.scores >= confidence)
    hits = matches.get_hits(MAP50) & counted
    finder = matches.found_by[:, MAP50]
    found = (finder >= 0) & np.append(hits, values=False)[finder]
    left = np.flatnonzero(counted & ~hits)
    left = left[np.lexsort((-matches.scores[left], matches.detection_image[left]))]
    missed = np.flatnonzero(~found & ~matches.crowds)
    images = matches.detection_image[left]
    none = np.zeros(len(missed), np.bool_)
    iou = IOU_THRESHOLDS[MAP50]
    pairs = find_overlapping(
        matches.detection_boxes[left],
        images,
        matches.truth_boxes[missed],
        matches.truth_image[missed],
        none,
        iou,
    )
    confused_rows, confused = match_pairs(Pairs(*pairs), images, none, none, [iou])
    is_confused = confused[:, 0] >= 0
    detections = left[confused_rows[is_confused]]
    taken = missed[confused[is_confused, 0]]
    nothing = np.full(1, size)
    pairs = (
        (matches.detection_label[hits], matches.detection_label[hits]),
        (matches.truth_label[taken], matches.detection_label[detections]),
        (nothing, matches.detection_label[np.setdiff1d(left, detections)]),
        (matches.truth_label[np.setdiff1d(missed, taken)], nothing),
    )
    places = np.concatenate([true * (size + 1) + detected for true, detected in pairs])
    matrix = np.bincount(places, minlength=(size + 1) ** 2).reshape(size + 1, size + 1)
    return Confusion(
        labels=[*matches.classes, BACKGROUND],
        matrix=matrix.tolist(),
        confidence=confidence,
        iou=iou,
    )
