"""Precision and recall at the confidence that maximises F1: the point at which a model is best used."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from raven_scan.trainer.evaluation.coco_figures import Figures

IOU_MIN = 0.5
FIGURE_NAMES = ("precision", "recall", "f1", "confidence")

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ScoredMatches:
    """Detections of one class that count, and how many true boxes there are.

    Attributes:
        scores: float64 (D,), in [0, 1]; detections that fell on a crowd are left out.
        hits: bool (D,): whether the detection found a true box.
        box_count: true boxes, crowds left out.
    """

    scores: Floats
    hits: Bools
    box_count: int


def measure_best_confidence(
    truth: dict[str, Any], predictions: list[dict[str, Any]], category_ids: list[int]
) -> tuple[Figures, dict[int, Figures]]:
    """Precision, recall and F1 where F1 is highest.

    Detections are paired with true boxes image by image and class by class: the best score first takes the free true
    box that it overlaps most, at an IoU of at least 0.5. A detection that found none and lies on a crowd (at least
    half of its own area) does not count. The overall figures have one confidence for all classes and add up hits,
    misses and false alarms over classes (micro average); a class's own figures are at its own best confidence.

    Args:
        truth: a COCO annotation document.
        predictions: COCO results: image_id, category_id, bbox (x y w h in pixels), score.
        category_ids: the categories to measure.

    Returns:
        Overall figures and those of each category, named as in `FIGURE_NAMES`. Without true boxes all are None;
        with true boxes but no hit, F1, precision and recall are 0 and there is no confidence.

    Source: COCO's evaluation protocol (Lin et al., 2014), greedy matching by score; van Rijsbergen, Information
    Retrieval, 1979, for F1.
    """
    matches = _match_by_category(truth, predictions, category_ids)
    overall = ScoredMatches(
        np.concatenate([each.scores for each in matches.values()] or [np.zeros(0)]),
        np.concatenate([each.hits for each in matches.values()] or [np.zeros(0, dtype=np.bool_)]),
        sum(each.box_count for each in matches.values()),
    )
    return find_best_point(overall), {key: find_best_point(each) for key, each in matches.items()}


def find_best_point(matches: ScoredMatches) -> Figures:
    """The confidence with the highest F1; among equals the highest, which raises the fewest false alarms."""
    if matches.box_count == 0:
        return dict.fromkeys(FIGURE_NAMES)
    order = np.argsort(-matches.scores, kind="stable")
    scores = matches.scores[order]
    hits = np.cumsum(matches.hits[order])
    # Detections of equal score come and go together: only the last of them is a point.
    points = np.flatnonzero(
        np.append(scores[1:] != scores[:-1], np.ones(min(1, scores.size), dtype=np.bool_))
    )
    if points.size == 0 or hits[-1] == 0:
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0, "confidence": None}
    precision = hits[points] / (points + 1)
    recall = hits[points] / matches.box_count
    f1 = 2 * hits[points] / (points + 1 + matches.box_count)
    best = int(np.argmax(f1))
    return {
        "precision": float(precision[best]),
        "recall": float(recall[best]),
        "f1": float(f1[best]),
        "confidence": float(scores[points[best]]),
    }


def match_boxes(predicted: Floats, truth: Floats, crowds: Bools, iou_min: float) -> tuple[Bools, Bools]:
    """Pair each predicted box with at most one true box, in the order given.

    Args:
        predicted: float64 (P, 4): x y w h in pixels, best score first.
        truth: float64 (T, 4): x y w h in pixels; T may be 0.
        crowds: bool (T,): which true boxes are crowds.
        iou_min: smallest overlap accepted, in (0, 1].

    Returns:
        bool (P,): found a true box; bool (P,): does not count, since it lies on a crowd.
    """
    hits = np.zeros(len(predicted), dtype=np.bool_)
    boxes = truth[~crowds]
    if len(predicted) and len(boxes):
        overlaps = _overlap(predicted, boxes, of_union=True)
        free = np.ones(len(boxes), dtype=np.bool_)
        for row in np.flatnonzero(overlaps.max(axis=1) >= iou_min):
            candidates = np.where(free, overlaps[row], -1.0)
            column = int(candidates.argmax())
            if candidates[column] >= iou_min:
                free[column] = False
                hits[row] = True
    ignored = np.zeros(len(predicted), dtype=np.bool_)
    if len(predicted) and crowds.any():
        ignored = (_overlap(predicted, truth[crowds], of_union=False).max(axis=1) >= iou_min) & ~hits
    return hits, ignored


def _overlap(predicted: Floats, truth: Floats, *, of_union: bool) -> Floats:
    """(P, T): intersection over union, or over the predicted box's own area."""
    low = np.maximum(predicted[:, None, :2], truth[None, :, :2])
    high = np.minimum(
        predicted[:, None, :2] + predicted[:, None, 2:], truth[None, :, :2] + truth[None, :, 2:]
    )
    intersection = np.clip(high - low, 0, None).prod(axis=2)
    area = predicted[:, 2:].prod(axis=1)[:, None]
    whole = (
        area + truth[:, 2:].prod(axis=1)[None] - intersection
        if of_union
        else area + np.zeros_like(intersection)
    )
    return np.divide(intersection, whole, out=np.zeros_like(intersection), where=whole > 0)


def _match_by_category(
    truth: dict[str, Any], predictions: list[dict[str, Any]], category_ids: list[int]
) -> dict[int, ScoredMatches]:
    wanted = set(category_ids)
    annotations_of: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for annotation in truth.get("annotations", []):
        if annotation["category_id"] in wanted:
            annotations_of[annotation["category_id"], annotation["image_id"]].append(annotation)
    predictions_of: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for prediction in predictions:
        if prediction["category_id"] in wanted:
            predictions_of[prediction["category_id"], prediction["image_id"]].append(prediction)
    scores: dict[int, list[Floats]] = {category_id: [] for category_id in category_ids}
    hits: dict[int, list[Bools]] = {category_id: [] for category_id in category_ids}
    for (category_id, image_id), found in predictions_of.items():
        image_scores = np.asarray([each["score"] for each in found], dtype=np.float64)
        order = np.argsort(-image_scores, kind="stable")
        boxes = np.asarray([each["bbox"] for each in found], dtype=np.float64)[order]
        annotations = annotations_of.get((category_id, image_id), [])
        true_boxes = np.asarray([each["bbox"] for each in annotations], dtype=np.float64).reshape(-1, 4)
        crowds = np.asarray([bool(each.get("iscrowd", 0)) for each in annotations], dtype=np.bool_)
        image_hits, ignored = match_boxes(boxes, true_boxes, crowds, IOU_MIN)
        scores[category_id].append(image_scores[order][~ignored])
        hits[category_id].append(image_hits[~ignored])
    box_count: dict[int, int] = defaultdict(int)
    for (category_id, _), annotations in annotations_of.items():
        box_count[category_id] += sum(1 for each in annotations if not each.get("iscrowd", 0))
    return {
        category_id: ScoredMatches(
            np.concatenate([*scores[category_id], np.zeros(0)]),
            np.concatenate([*hits[category_id], np.zeros(0, dtype=np.bool_)]),
            box_count[category_id],
        )
        for category_id in category_ids
    }
