"""Matching detections with true boxes, as COCO's protocol has it, without a loop over images.

Source: Lin et al., Microsoft COCO, 2014; pycocotools' COCOeval, whose matches these are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raven_scan.figures.class_lists import ClassLists
from raven_scan.figures.matches import (
    AREA_RANGES,
    DETECTIONS_MAX,
    IOU_THRESHOLDS,
    Bools,
    Flags,
    Floats,
    Matches,
    Rows,
)
from raven_scan.figures.overlaps import Integers, find_overlapping


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """Images (I) of a part and what is on them, in any order.

    Attributes:
        image_ids: int64 (I,), each once.
        file_names: I names.
        images: int64 (B,): the image id of each true box.
        labels: int64 (B,): index in the class list.
        boxes: float64 (B, 4): x y w h in pixels of the source image.
        areas: float64 (B,): square pixels.
        crowds: bool (B,).
    """

    image_ids: npt.NDArray[np.int64]
    file_names: tuple[str, ...]
    images: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    boxes: Floats
    areas: Floats
    crowds: Bools


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """What a model detected, in any order; finite numbers alone.

    Attributes:
        images: int64 (D,): image ids.
        labels: int64 (D,): index in the class list.
        scores: float64 (D,).
        boxes: float64 (D, 4): x y w h in pixels of the source image.
    """

    images: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    scores: Floats
    boxes: Floats


def match_detections(classes: Sequence[str] | ClassLists, truth: Truth, detections: Detections) -> Matches:
    """Match each image's and class's detections, the best score first.

    A detection takes, of the true boxes that are free, the one that it overlaps most. Where there is none, it may
    fall on a box that does not count: a crowd, or one of another area range; then it does not count either.
    Detections of classes that the part was not annotated with are left out: they are neither right nor wrong.

    Args:
        classes: names in the order of the label index; alone where the model and the part have the same.
        truth: of the part.
        detections: of the model.

    Raises:
        ValueError: a detection or a true box is on no image of the part, or an image is there twice.
    """
    lists = classes if isinstance(classes, ClassLists) else ClassLists(tuple(classes))
    classes = lists.classes
    detections = _leave_out(detections, [classes.index(name) for name in lists.foreign])
    by_id: Integers = np.argsort(truth.image_ids)
    image_ids = truth.image_ids[by_id]
    if (image_ids[1:] == image_ids[:-1]).any():
        raise ValueError("two images have one id")
    truth_image = _find_rows(image_ids, truth.images)
    truth_order = np.lexsort((truth.labels, truth_image))
    truth_image, truth_label = truth_image[truth_order], truth.labels[truth_order]
    truth_boxes, areas = truth.boxes[truth_order], truth.areas[truth_order]
    crowds = truth.crowds[truth_order]
    image = _find_rows(image_ids, detections.images)
    order, groups = _rank(image * len(classes) + detections.labels, detections.scores)
    boxes = detections.boxes[order]
    truth_groups = truth_image * len(classes) + truth_label
    pairs = Pairs(*find_overlapping(boxes, groups, truth_boxes, truth_groups, crowds, IOU_THRESHOLDS[0]))
    hits = np.zeros((len(order), len(AREA_RANGES)), np.uint16)
    ignored = np.zeros_like(hits)
    found_by = np.full((len(crowds), len(IOU_THRESHOLDS)), -1, np.int32)
    own_areas = boxes[:, 2] * boxes[:, 3]
    for column, (low, high) in enumerate(AREA_RANGES.values()):
        uncounted = crowds | (areas < low) | (areas > high)
        matched_rows, matched = match_pairs(pairs, groups, crowds, uncounted, IOU_THRESHOLDS)
        falls = matched >= 0
        on_uncounted = falls & np.append(uncounted, values=False)[matched]
        hits[matched_rows, column] = _pack(falls & ~on_uncounted)
        outside = np.where((own_areas < low) | (own_areas > high), _ALL_FLAGS, np.uint16(0))
        ignored[:, column] = outside
        ignored[matched_rows, column] = (outside[matched_rows] & ~_pack(falls)) | _pack(on_uncounted)
        if column == 0:
            row, threshold = np.nonzero(falls & ~on_uncounted)
            found_by[matched[row, threshold], threshold] = matched_rows[row]
    return Matches(
        classes=classes,
        unknown_classes=lists.unknown,
        foreign_classes=lists.foreign,
        image_ids=image_ids,
        file_names=tuple(truth.file_names[int(row)] for row in by_id),
        detection_image=image[order].astype(np.int32),
        detection_label=detections.labels[order].astype(np.int32),
        scores=detections.scores[order],
        detection_boxes=boxes,
        hits=hits,
        ignored=ignored,
        truth_image=truth_image.astype(np.int32),
        truth_label=truth_label.astype(np.int32),
        truth_boxes=truth_boxes,
        truth_areas=areas,
        crowds=crowds,
        found_by=found_by,
    )


def _leave_out(detections: Detections, labels: Sequence[int]) -> Detections:
    if not labels:
        return detections
    kept = ~np.isin(detections.labels, labels)
    return Detections(
        images=detections.images[kept],
        labels=detections.labels[kept],
        scores=detections.scores[kept],
        boxes=detections.boxes[kept],
    )


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Detections and true boxes that overlap.

    Attributes:
        detections: int64 (P,): rows, ascending.
        truth: int64 (P,): rows.
        overlaps: float64 (P,).
    """

    detections: Integers
    truth: Integers
    overlaps: Floats


def match_pairs(
    pairs: Pairs,
    groups: npt.NDArray[np.integer],
    crowds: Bools,
    uncounted: Bools,
    thresholds: Sequence[float],
) -> tuple[Integers, Rows]:
    """Match greedily inside each group, at several thresholds (T) at once.

    Every step takes one detection of each group, the surest of those that are left: they cannot compete.

    Args:
        pairs: what may be matched; of a detection the pairs of one group alone.
        groups: integers (D,), ascending: the group of each detection; inside a group the surest first.
        crowds: bool (B,): may be taken by any number of detections.
        uncounted: bool (B,): taken only where no other is free.
        thresholds: overlaps from which a pair is one, each in (0, 1).

    Returns:
        int64 (M,): rows of the detections that have a pair; int32 (M, T): the true box of each, or -1.
    """
    rows, compact = np.unique(pairs.detections, return_inverse=True)
    own_groups = groups[rows]
    begins = np.flatnonzero(np.append(True, own_groups[1:] != own_groups[:-1])[: len(rows)])
    step_of = np.arange(len(rows)) - np.repeat(begins, np.diff(np.append(begins, len(rows))))
    # Of equal overlaps, pycocotools takes the last.
    order = np.lexsort((-pairs.truth, -pairs.overlaps, uncounted[pairs.truth], compact, step_of[compact]))
    compact, truth, overlaps = compact[order], pairs.truth[order], pairs.overlaps[order]
    is_close = overlaps[:, None] >= np.asarray(thresholds)
    is_free = np.ones((len(crowds), len(thresholds)), np.bool_)
    matched = np.full((len(rows), len(thresholds)), -1, np.int32)
    ends = np.cumsum(np.bincount(step_of[compact])) if len(compact) else np.zeros(0, np.int64)
    for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=False):
        here = compact[start:end]
        firsts = np.flatnonzero(np.append(True, here[1:] != here[:-1]))
        # How far from the end: the first that can be taken has the most.
        left = np.arange(end - start, 0, -1, dtype=np.int32)[:, None]
        can_take = is_close[start:end] & is_free[truth[start:end]]
        best = np.maximum.reduceat(np.where(can_take, left, 0), firsts, axis=0)
        row, threshold = np.nonzero(best)
        taken = truth[end - best[row, threshold]]
        matched[here[firsts][row], threshold] = taken
        single = ~crowds[taken]
        is_free[taken[single], threshold[single]] = False
    return rows, matched


_ALL_FLAGS = np.uint16((1 << len(IOU_THRESHOLDS)) - 1)
_FLAGS = (np.uint16(1) << np.arange(len(IOU_THRESHOLDS), dtype=np.uint16)).astype(np.uint16)


def _pack(flags: Bools) -> Flags:
    return np.where(flags, _FLAGS, np.uint16(0)).sum(axis=1, dtype=np.uint16)


def _find_rows(image_ids: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> Integers:
    rows = np.searchsorted(image_ids, wanted)
    if len(wanted) and (not len(image_ids) or (image_ids[rows.clip(max=len(image_ids) - 1)] != wanted).any()):
        raise ValueError("a box is on no image of the part")
    return rows


def _rank(groups: Integers, scores: Floats) -> tuple[Integers, Integers]:
    """The rows that count, by group and best score first, and their groups."""
    order = np.lexsort((-scores, groups))
    sorted_groups = groups[order]
    begins = np.searchsorted(sorted_groups, sorted_groups, side="left")
    kept = np.arange(len(order)) - begins < DETECTIONS_MAX
    return order[kept], sorted_groups[kept]
