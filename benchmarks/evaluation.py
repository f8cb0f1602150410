"""How fast a part of the size of COCO's val2017 is evaluated, beside pycocotools, with the same figures.

    python benchmarks/evaluation.py            5,000 images, 36,000 boxes, 500,000 detections of 80 classes: minutes
    python benchmarks/evaluation.py --quick    a tenth of it
    python benchmarks/evaluation.py --json     as JSON

Boxes and detections are generated from a seed. Three evaluate them, one after the other, in this process and on one
thread, each from what it takes: pycocotools and faster-coco-eval from results as Python dicts that are made before the
clock starts, this platform from the columns that its trainer has. The platform's time is that of everything that its
evaluation tells: matches, figures, curves, confusion, errors by kind, calibration, the files, and the intervals of
1,000 resamples; what those take is told apart too. The exit code is 1 where a figure differs by more than 1e-6, or the
platform is less than five times as fast as pycocotools by processor time or by wall time.
"""

import argparse
import contextlib
import gc
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import faster_coco_eval
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from raven_scan.figures.matches import Matches, write_matches
from raven_scan.figures.matching import Detections, Truth, match_detections
from raven_scan.figures.reckoning import reckon_report
from raven_scan.figures.report import EvaluationReport, encode_report

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
            {
                "id": number,
                "image_id": image,
                "category_id": label,
                "bbox": box,
                "area": area,
                "iscrowd": int(crowd),
            }
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
            found.images.tolist(),
            found.labels.tolist(),
            found.boxes.tolist(),
            found.scores.tolist(),
            strict=True,
        )
    ]


def measure_with(
    api: tuple[Any, Any], document: dict[str, Any], results: list[dict[str, Any]]
) -> list[float]:
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


def evaluate(truth: Truth, found: Detections, folder: Path, *, seed: int) -> tuple[Matches, EvaluationReport]:
    """What the trainer's `evaluate` does when the model has predicted."""
    matches = match_detections([f"class {label}" for label in range(CLASS_COUNT)], truth, found)
    write_matches(matches, folder / "matches.safetensors")
    report = reckon_report(matches, seed=seed)
    (folder / "report.json").write_bytes(encode_report(report))
    return matches, report


def clock(work: Callable[[], Result]) -> tuple[Result, dict[str, float]]:
    gc.collect()
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, {
        "processor_s": round(time.process_time() - processor, 2),
        "wall_s": round(time.perf_counter() - wall, 2),
    }


def run(scale: float, seed: int) -> dict[str, Any]:
    images, boxes, detections = (int(count * scale) for count in (5_000, 36_000, 500_000))
    truth, found = generate(images, boxes, detections, seed)
    names = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
    with tempfile.TemporaryDirectory() as folder:
        (matches, report), own_time = clock(lambda: evaluate(truth, found, Path(folder), seed=seed))
    own = [report.figures[name].value for name in names]
    _, full_time = clock(lambda: reckon_report(matches, seed=seed))
    _, plain_time = clock(lambda: reckon_report(matches, resamples=0))
    others: dict[str, Any] = {}
    for name, api in (
        ("faster-coco-eval", (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster)),
        ("pycocotools", (COCO, COCOeval)),
    ):
        document, results = make_document(truth), make_results(found)
        figures, seconds = clock(lambda: measure_with(api, document, results))  # noqa: B023 - called at once
        others[name] = {
            **seconds,
            "figures": dict(zip(names, figures, strict=True)),
            "times_as_long": round(seconds["processor_s"] / own_time["processor_s"], 1),
            "times_as_long_by_wall": round(seconds["wall_s"] / own_time["wall_s"], 1),
            "largest_difference": max(abs(a - (b or 0.0)) for a, b in zip(figures, own, strict=True)),
        }
    interval = report.figures["map50"]
    return {
        "images": images,
        "boxes": boxes,
        "detections": detections,
        "classes": CLASS_COUNT,
        "seed": seed,
        "platform": {**own_time, "figures": dict(zip(names, own, strict=True))},
        "intervals": {
            "resamples": report.intervals.resamples,
            "processor_s": round(full_time["processor_s"] - plain_time["processor_s"], 2),
            "wall_s": round(full_time["wall_s"] - plain_time["wall_s"], 2),
            "map50": [interval.low, interval.value, interval.high],
        },
        **others,
    }


def show(result: dict[str, Any]) -> None:
    print("{images:,} images, {boxes:,} boxes, {detections:,} detections, {classes} classes".format(**result))
    print(
        f"{'':18}{'processor s':>12}{'wall s':>9}{'times as long':>15}{'by wall':>9}{'largest difference':>20}"
    )
    platform = result["platform"]
    print(f"{'platform':18}{platform['processor_s']:12.2f}{platform['wall_s']:9.2f}")
    for name in ("faster-coco-eval", "pycocotools"):
        other = result[name]
        print(
            f"{name:18}{other['processor_s']:12.2f}{other['wall_s']:9.2f}"
            f"{other['times_as_long']:15.1f}{other['times_as_long_by_wall']:9.1f}{other['largest_difference']:20.1e}"
        )
    intervals = result["intervals"]
    low, value, high = intervals["map50"]
    print(
        f"{'  of it, intervals':18}{intervals['processor_s']:12.2f}{intervals['wall_s']:9.2f}   "
        f"{intervals['resamples']} resamples; mAP50 {value:.4f} ({low:.4f} to {high:.4f})"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", dest="as_json")
    arguments = parser.parse_args()
    result = run(0.1 if arguments.quick else 1.0, arguments.seed)
    if arguments.as_json:
        print(json.dumps(result, indent=2))
    else:
        show(result)
    reference = result["pycocotools"]
    is_equal = all(
        result[name]["largest_difference"] <= FIGURES_EQUAL_TO for name in ("pycocotools", "faster-coco-eval")
    )
    fastness = min(reference["times_as_long"], reference["times_as_long_by_wall"])
    return 0 if is_equal and fastness >= FASTER_MIN else 1


if __name__ == "__main__":
    sys.exit(main())
