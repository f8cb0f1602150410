"""The images on which a model does worst."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from raven_scan.figures.average_precision import MAP50
from raven_scan.figures.confidence import collect_scored_hits, find_best_point
from raven_scan.figures.image_results import DetectedBox, ImageRanking, ImageResult, TrueBox
from raven_scan.figures.matches import Bools, Floats, Matches
from raven_scan.figures.overlaps import Integers
from raven_scan.figures.reckoning import CONFIDENCE_WITHOUT_HITS


def rank_images(
    matches: Matches,
    kind: ImageRanking,
    *,
    confidence: float | None = None,
    offset: int = 0,
    limit: int = 50,
    shown_from: float | None = None,
) -> tuple[list[ImageResult], int]:
    """Images with misses or false alarms, the worst first.

    Those with most misses come first, among equals those with most boxes found; or those with most false alarms,
    among equals those with the surest one.

    Args:
        matches: of one model.
        kind: by what.
        confidence: detections of at least this count; None: the one with the best F1.
        offset: how many images to leave out.
        limit: how many images to return at most.
        shown_from: detections of at least this are told too, where that is less than `confidence`; they do not count.

    Returns:
        These images, and how many there are in all.
    """
    least = find_gallery_confidence(matches) if confidence is None else confidence
    sure = matches.scores >= least
    missed = _find_missed(matches, sure)
    alarms = sure & matches.get_counted(MAP50) & ~matches.get_hits(MAP50)
    size = len(matches.image_ids)
    misses = np.bincount(matches.truth_image[missed], minlength=size)
    false_alarms = np.bincount(matches.detection_image[alarms], minlength=size)
    surest = np.zeros(size)
    np.maximum.at(surest, matches.detection_image[alarms], matches.scores[alarms])
    if kind is ImageRanking.MISSES:
        boxes = np.bincount(matches.truth_image[~matches.crowds], minlength=size)
        count, keys = misses, (boxes, -misses)
    else:
        count, keys = false_alarms, (-surest, -false_alarms)
    order = np.lexsort(keys)
    order = order[: int((count > 0).sum())]
    rows = order[offset : offset + limit]
    shown = sure if shown_from is None else sure | (matches.scores >= shown_from)
    return [_describe(matches, int(row), shown, missed, alarms) for row in rows], len(order)


def describe_images(
    matches: Matches, image_ids: Sequence[int], *, confidence: float | None = None
) -> list[ImageResult]:
    """These images, in this order; ids that the part does not have are left out."""
    least = find_gallery_confidence(matches) if confidence is None else confidence
    sure = matches.scores >= least
    missed = _find_missed(matches, sure)
    alarms = sure & matches.get_counted(MAP50) & ~matches.get_hits(MAP50)
    row_by_id = {image_id: row for row, image_id in enumerate(matches.image_ids.tolist())}
    return [
        _describe(matches, row_by_id[image_id], sure, missed, alarms)
        for image_id in image_ids
        if image_id in row_by_id
    ]


def find_gallery_confidence(matches: Matches) -> float:
    """The confidence with the best F1, or 0.5 where nothing is found at any."""
    point = find_best_point(collect_scored_hits(matches)[0])
    return CONFIDENCE_WITHOUT_HITS if point is None else point.confidence


def _find_missed(matches: Matches, sure: Bools) -> Bools:
    finder = matches.found_by[:, MAP50]
    return ~((finder >= 0) & np.append(sure, values=False)[finder]) & ~matches.crowds


def _describe(matches: Matches, row: int, shown: Bools, missed: Bools, alarms: Bools) -> ImageResult:
    truth = _find_range(matches.truth_image, row)
    detected = _find_range(matches.detection_image, row)
    detected = detected[shown[detected]]
    own_alarms = detected[alarms[detected]]
    hits = matches.get_hits(MAP50)
    return ImageResult(
        image_id=int(matches.image_ids[row]),
        file_name=matches.file_names[row],
        misses=int(missed[truth].sum()),
        false_alarms=len(own_alarms),
        worst_confidence=float(matches.scores[own_alarms].max()) if len(own_alarms) else None,
        true_boxes=[
            TrueBox(
                class_name=matches.classes[matches.truth_label[each]],
                box=_make_box(matches.truth_boxes[each]),
                crowd=bool(matches.crowds[each]),
                found=not missed[each] and not matches.crowds[each],
            )
            for each in truth.tolist()
        ],
        detections=[
            DetectedBox(
                class_name=matches.classes[matches.detection_label[each]],
                box=_make_box(matches.detection_boxes[each]),
                confidence=float(matches.scores[each]),
                hit=bool(hits[each]),
            )
            for each in detected.tolist()
        ],
    )


def _find_range(images: npt.NDArray[np.int32], row: int) -> Integers:
    start, end = np.searchsorted(images, (row, row + 1))
    return np.arange(int(start), int(end))


def _make_box(box: Floats) -> tuple[float, float, float, float]:
    x, y, width, height = box.tolist()
    return x, y, width, height
