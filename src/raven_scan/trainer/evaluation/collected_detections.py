"""What a model detects on a part, gathered image by image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from raven_scan.figures.matching import Detections


class DetectionCollector:
    """Gathers what a model's `test_step` returns; what is not finite is left out."""

    def __init__(self) -> None:
        self._images: list[int] = []
        self._boxes: list[npt.NDArray[np.float64]] = []
        self._scores: list[npt.NDArray[np.float64]] = []
        self._labels: list[npt.NDArray[np.int64]] = []

    def add(self, sample: dict[str, Any]) -> None:
        """Take one image's detections: a DetDataSample as a dict, as `coco_metric.convert_to_coco_results` has it."""
        boxes, scores, labels = read_detections(sample)
        self._images.append(int(sample["img_id"]))
        self._boxes.append(boxes)
        self._scores.append(scores)
        self._labels.append(labels)

    def collect(self) -> Detections:
        counts = [len(each) for each in self._scores]
        return Detections(
            images=np.repeat(np.asarray(self._images, np.int64), counts),
            labels=np.concatenate([*self._labels, np.zeros(0, np.int64)]),
            scores=np.concatenate([*self._scores, np.zeros(0)]),
            boxes=np.concatenate([*self._boxes, np.zeros((0, 4))]),
        )


def read_detections(
    sample: dict[str, Any],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Boxes (N, 4): x y w h in pixels of the source image; scores (N,); labels (N,)."""
    instances = sample["pred_instances"]
    boxes = instances["bboxes"].detach().float().cpu().numpy().astype(np.float64).reshape(-1, 4)
    scores = instances["scores"].detach().float().cpu().numpy().astype(np.float64)
    labels = instances["labels"].detach().cpu().numpy().astype(np.int64)
    usable = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    boxes[:, 2:] -= boxes[:, :2]
    return boxes[usable], scores[usable], labels[usable]


def convert_to_results(detections: Detections, category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """As COCO results: image_id, category_id, bbox (x y w h in pixels), score."""
    categories = np.asarray(category_ids, np.int64)[detections.labels]
    return [
        {"image_id": image_id, "category_id": category_id, "bbox": box, "score": score}
        for image_id, category_id, box, score in zip(
            detections.images.tolist(),
            categories.tolist(),
            detections.boxes.tolist(),
            detections.scores.tolist(),
            strict=True,
        )
    ]
