"""MMDetection's evaluator for the valid part during training: COCO's figures without temporary files."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric

from raven_scan.trainer.evaluation.coco_figures import measure_coco_figures
from raven_scan.trainer.evaluation.collected_detections import read_detections

# Our names of the figures, and those that MMDetection and its tools know them by.
MMDETECTION_NAMES = {
    "map": "bbox_mAP",
    "map50": "bbox_mAP_50",
    "map75": "bbox_mAP_75",
    "map_small": "bbox_mAP_s",
    "map_medium": "bbox_mAP_m",
    "map_large": "bbox_mAP_l",
}
PREFIX = "coco"
_BY_CLASS = "bbox_mAP_by_class"
MOST_CLASSES = 100
"""Of so many classes a validation tells figures; each is a curve that is kept, and told to all who look on."""


def read_annotations(path: Path) -> dict[str, Any]:
    """A COCO document. Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes())


def find_category_ids(truth: dict[str, Any], classes: Sequence[str]) -> list[int]:
    """The category id of each class, in the order of the label index.

    A class that the document does not have, so that there is no box of it, gets an id that nothing else has.
    """
    ids = {str(category["name"]): int(category["id"]) for category in truth["categories"]}
    unused = itertools.count(max(ids.values(), default=0) + 1)
    return [ids[name] if name in ids else next(unused) for name in classes]


def convert_to_coco_results(sample: dict[str, Any], category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """One image's detections as COCO results; what is not finite is left out.

    Args:
        sample: a DetDataSample as a dict, with `img_id` and `pred_instances`: bboxes float (N, 4): x1 y1 x2 y2 in
            pixels of the source image, scores float (N,), labels int (N,).
        category_ids: category id by label.
    """
    boxes, scores, labels = read_detections(sample)
    image_id = int(sample["img_id"])
    return [
        {"image_id": image_id, "category_id": category_ids[label], "bbox": box, "score": score}
        for box, score, label in zip(boxes.tolist(), scores.tolist(), labels.tolist(), strict=True)
    ]


@METRICS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class RavenCocoMetric(BaseMetric):
    """COCO's average precision under MMDetection's names: `coco/bbox_mAP`, `coco/bbox_mAP_50`, ….

    A figure for which there is no true box is NaN, never -1: averages and comparisons then cannot take it for one.
    Beside them the mAP of the most frequent classes, for `take_map_by_class`.

    Args:
        ann_file: the COCO document of the part that is measured.
        collect_device: how results of several ranks come together: `gpu` is through the process group, whatever the
            device; `cpu` would be through files.
    """

    default_prefix = PREFIX

    def __init__(self, ann_file: str, collect_device: str = "gpu", prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self._truth = read_annotations(Path(ann_file))

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        del data_batch
        category_ids = self._find_category_ids()
        # One entry an image: the base class counts them.
        self.results.extend(convert_to_coco_results(sample, category_ids) for sample in data_samples)

    def compute_metrics(self, results: list[list[dict[str, Any]]]) -> dict[str, Any]:
        predictions = [prediction for of_image in results for prediction in of_image]
        category_ids = self._find_category_ids()
        figures, by_category = measure_coco_figures(self._truth, predictions, category_ids)
        metrics: dict[str, Any] = {
            MMDETECTION_NAMES[name]: math.nan if value is None else value for name, value in figures.items()
        }
        metrics[_BY_CLASS] = {
            name: by_category[category_id]["map"]
            for name, category_id in find_frequent_classes(self._truth, self._classes, category_ids)
        }
        return metrics

    @property
    def _classes(self) -> Sequence[str]:
        if self.dataset_meta is None:
            raise RuntimeError("The evaluator was not given the dataset's class list.")
        return self.dataset_meta["classes"]

    def _find_category_ids(self) -> list[int]:
        return find_category_ids(self._truth, self._classes)


def find_frequent_classes(
    truth: dict[str, Any], classes: Sequence[str], category_ids: Sequence[int], most: int = MOST_CLASSES
) -> list[tuple[str, int]]:
    """Classes that have boxes, crowds left out, with their category ids: the most frequent first, `most` of them."""
    counts = Counter(
        int(annotation["category_id"])
        for annotation in truth.get("annotations", [])
        if not annotation.get("iscrowd")
    )
    there = [pair for pair in zip(classes, category_ids, strict=True) if counts[pair[1]]]
    return sorted(there, key=lambda pair: (-counts[pair[1]], pair[0]))[:most]


def take_map_by_class(metrics: dict[str, Any]) -> dict[str, float | None]:
    """Takes the mAP by class out of what a validation found: MMEngine's hooks would print all of it."""
    return metrics.pop(f"{PREFIX}/{_BY_CLASS}", {})


def convert_figures(metrics: dict[str, Any]) -> dict[str, float | None]:
    """From MMDetection's names to ours; what could not be had is None."""
    figures: dict[str, float | None] = {}
    for name, mmdetection_name in MMDETECTION_NAMES.items():
        value = metrics.get(f"{PREFIX}/{mmdetection_name}")
        figures[name] = float(value) if value is not None and math.isfinite(value) else None
    return figures
