"""COCO's figures: average precision over IoU thresholds 0.50 to 0.95, overall, by size and by class."""

import copy
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster

# As COCO's protocol has it: the 100 best detections of an image and class count.
DETECTIONS_MAX = 100
FIGURE_NAMES = ("map", "map50", "map75", "map_small", "map_medium", "map_large")

Figures: TypeAlias = dict[str, float | None]


def measure_coco_figures(
    truth: dict[str, Any], predictions: list[dict[str, Any]], category_ids: list[int]
) -> tuple[Figures, dict[int, Figures]]:
    """Average precision as COCO defines it.

    Args:
        truth: a COCO annotation document: images, categories, annotations; `area` and `iscrowd` may be absent.
        predictions: COCO results: image_id, category_id, bbox (x y w h in pixels), score.
        category_ids: the categories to measure.

    Returns:
        Figures over all categories, and those of each category, named as in `FIGURE_NAMES`. A figure for which
        there is no true box (of that size, of that category) is None.

    Source: Lin et al., Microsoft COCO, 2014; pycocotools' COCOeval, whose figures these equal.
    """
    indexed_truth = COCO(_prepare_truth(truth))
    results = indexed_truth.loadRes([_prepare_prediction(each) for each in predictions])
    evaluation = COCOeval_faster(indexed_truth, results, "bbox")
    evaluation.params.catIds = sorted(category_ids)
    evaluation.params.imgIds = sorted(image["id"] for image in truth["images"])
    evaluation.params.maxDets = [DETECTIONS_MAX]
    if not evaluation.params.imgIds or not category_ids:
        return _no_figures(), {category_id: _no_figures() for category_id in category_ids}
    evaluation.evaluate()
    evaluation.accumulate()
    # (T, R, K, A, 1): IoU threshold, recall, category, area range, detections; -1 where there is no true box.
    precision = np.asarray(evaluation.eval["precision"])
    thresholds = np.asarray(evaluation.params.iouThrs)
    by_category = {
        category_id: _summarize(precision[:, :, [row]], thresholds)
        for row, category_id in enumerate(evaluation.params.catIds)
    }
    return _summarize(precision, thresholds), by_category


def _summarize(precision: npt.NDArray[np.float64], thresholds: npt.NDArray[np.float64]) -> Figures:
    at_50 = np.isclose(thresholds, 0.5)
    at_75 = np.isclose(thresholds, 0.75)
    return {
        "map": _mean(precision[:, :, :, 0]),
        "map50": _mean(precision[at_50][:, :, :, 0]),
        "map75": _mean(precision[at_75][:, :, :, 0]),
        "map_small": _mean(precision[:, :, :, 1]),
        "map_medium": _mean(precision[:, :, :, 2]),
        "map_large": _mean(precision[:, :, :, 3]),
    }


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _no_figures() -> Figures:
    return dict.fromkeys(FIGURE_NAMES)


def _prepare_truth(truth: dict[str, Any]) -> dict[str, Any]:
    annotations = [
        {
            # From 1: the evaluation marks what has no match with 0.
            "id": number,
            "image_id": annotation["image_id"],
            "category_id": annotation["category_id"],
            "bbox": annotation["bbox"],
            "area": annotation.get("area", annotation["bbox"][2] * annotation["bbox"][3]),
            "iscrowd": int(annotation.get("iscrowd", 0)),
        }
        for number, annotation in enumerate(truth.get("annotations", []), start=1)
    ]
    return {
        "images": copy.deepcopy(truth["images"]),
        "categories": copy.deepcopy(truth["categories"]),
        "annotations": annotations,
    }


def _prepare_prediction(prediction: dict[str, Any]) -> dict[str, Any]:
    # A copy: the evaluation adds its own keys.
    return {key: prediction[key] for key in ("image_id", "category_id", "bbox", "score")}
