"""How fast a part of the size of COCO's val2017 is evaluated, beside pycocotools, with the same figures.

    python benchmarks/evaluation.py            5,000 images, 36,000 boxes, 500,000 detections of 80 classes: minutes
    python benchmarks/evaluation.py --quick    a tenth of it
    python benchmarks/evaluation.py --json     as JSON

Boxes and detections are generated from a seed. Three evaluate them, each alone, one after the other, in this process
and on one thread, from what each takes: pycocotools and faster-coco-eval from results as Python dicts that are made
before the clock starts, this platform from the columns that its trainer has. The platform's time is that of everything
that an evaluation tells: the official figures by faster-coco-eval, its own matches and figures, curves, confusion,
errors by kind, calibration, and the files; the intervals' time is told apart. The exit code is 1 where a figure
differs by more than 1e-6, or the platform is less than five times as fast as pycocotools.
"""

import argparse
import contextlib
import copy
import gc
import io
import json
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from raven_scan.figures.matching import Detections, Truth

CLASS_COUNT = 80
FIGURES_EQUAL_TO = 1e-6
FASTER_MIN = 5.0
_SIDES_PX = (640, 480)

Result = TypeVar("Result")


def generate(images: int, boxes: int, detections: int, seed: int) -> tuple[Truth, Detections]:
    """A part, and what a middling detector would find on it.

    Classes are as uneven as COCO's, an image has few of them, one box of a hundred is a crowd. Most boxes are found,
    by several detections of unequal quality; of the rest, half are other boxes of the image's classes.
    """
    random = np.random.default_rng(seed)
    weights = 1 / np.arange(1, CLASS_COUNT + 1)
    weights /= weights.sum()
    palette = random.choice(CLASS_COUNT, (images, 4), p=weights)
    box_image = np.sort(random.integers(0, images, boxes))
    box_label = palette[box_image, random.integers(0, 4, boxes)]
    side = np.exp(random.normal(4.0, 0.9, boxes)).clip(6, 400)
    size = (side[:, None] * np.exp(random.normal(0, 0.3, (boxes, 2)))).clip(4, 460)
    box = np.hstack([random.uniform(0, 1, (boxes, 2)) * (np.asarray(_SIDES_PX) - size).clip(1), size])
    truth = Truth(
        image_ids=np.arange(1, images + 1),
        file_names=tuple(f"{number:012}.jpg" for number in range(1, images + 1)),
        images=box_image + 1,
        labels=box_label,
        boxes=box,
        # As masks have it: less than the box.
        areas=box[:, 2] * box[:, 3] * random.uniform(0.4, 1.0, boxes),
        crowds=random.random(boxes) < 0.01,
    )
    near_count = min(int(boxes * 2.2), detections)
    near = np.sort(random.integers(0, boxes, near_count))
    jitter = random.normal(0, 1, (near_count, 4)) * random.choice([0.03, 0.08, 0.25], (near_count, 1))
    near_boxes = box[near] + jitter * np.tile(box[near, 2:], 2)
    near_boxes[:, 2:] = near_boxes[:, 2:].clip(2)
    quality = 1 - np.abs(jitter).mean(axis=1) * 4
    near_labels = np.where(
        random.random(near_count) < 0.9, box_label[near], random.choice(CLASS_COUNT, near_count, p=weights)
    )
    near_scores = (0.55 * quality + random.normal(0.1, 0.18, near_count)).clip(0.01, 0.999)
    far_count = detections - near_count
    far_image = random.integers(0, images, far_count)
    far_side = np.exp(random.normal(4.0, 0.9, far_count)).clip(6, 400)
    far_boxes = np.hstack([random.uniform(0, 400, (far_count, 2)), far_side[:, None] * [[1.0, 0.9]]])
    far_labels = np.where(
        random.random(far_count) < 0.5,
        palette[far_image, random.integers(0, 4, far_count)],
        random.choice(CLASS_COUNT, far_count, p=weights),
    )
    found = Detections(
        images=np.concatenate([box_image[near], far_image]) + 1,
        labels=np.concatenate([near_labels, far_labels]),
        # As a model has them.
        scores=np.concatenate([near_scores, random.beta(0.6, 9, far_count)])
        .astype(np.float32)
        .astype(np.float64),
        boxes=np.vstack([near_boxes, far_boxes]).astype(np.float32).astype(np.float64),
    )
    return truth, found


def make_document(truth: Truth) -> dict[str, Any]:
    return {
        "images": [
            {"id": key, "width": _SIDES_PX[0], "height": _SIDES_PX[1], "file_name": name}
            for key, name in zip(truth.image_ids.tolist(), truth.file_names, strict=True)
        ],
        "annotations": [
            {"id": number, "image_id": image, "category_id": label, "bbox": box, "area": area, "iscrowd": int(crowd)}
            for number, (image, label, box, area, crowd) in enumerate(
                zip(
                    truth.images.tolist(),
                    truth.labels.tolist(),
                    truth.boxes.tolist(),
                    truth.areas.tolist(),
                    truth.crowds.tolist(),
                    strict=True,
                ),
                start=1,
            )
        ],
        "categories": [{"id": label, "name": f"class {label}"} for label in range(CLASS_COUNT)],
    }


def make_results(found: Detections) -> list[dict[str, Any]]:
    return [
        {"image_id": image, "category_id": label, "bbox": box, "score": score}
        for image, label, box, score in zip(
            found.images.tolist(), found.labels.tolist(), found.boxes.tolist(), found.scores.tolist(), strict=True
        )
    ]


def measure_with(api: tuple[Any, Any], document: dict[str, Any], results: list[dict[str, Any]]) -> list[float]:
    """map, map50, map75, map_small, map_medium, map_large."""
    coco_type, evaluation_type = api
    with contextlib.redirect_stdout(io.StringIO()):
        coco = coco_type()
        coco.dataset = document
        coco.createIndex()
        evaluation = evaluation_type(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats[:6]]
