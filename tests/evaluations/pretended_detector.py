"""A detector that needs no framework: it knows the truth, and tells it as well as it was told to.

What it tells is matched and reckoned by the platform's own figures.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raven_scan.figures.class_lists import merge_class_lists
from raven_scan.figures.matches import Matches, write_matches
from raven_scan.figures.matching import Detections, Truth, match_detections
from raven_scan.figures.reckoning import reckon_report
from raven_scan.figures.report import EvaluationReport, Speed, encode_report

RESAMPLES = 50
"""Of intervals that nobody looks at closely."""


def match_part(folder: Path, classes: Sequence[str], *, skill: float, seed: int = 0) -> Matches:
    """Detections on a part that is laid out as COCO, matched.

    Args:
        folder: of the part.
        classes: that the detector knows.
        skill: the share of the boxes that it finds; of the others it tells a false alarm elsewhere.
        seed: of which it finds.
    """
    document = json.loads((folder / "annotations_coco.json").read_bytes())
    lists = merge_class_lists(classes, [each["name"] for each in document["categories"]])
    labels = {each["id"]: lists.classes.index(each["name"]) for each in document["categories"]}
    boxes = document["annotations"]
    count = len(boxes)
    random = np.random.default_rng(seed)
    found = random.permutation(count) < round(skill * count)
    places = np.array([each["bbox"] for each in boxes], np.float64).reshape(-1, 4)
    detected = places.copy()
    detected[~found] = (0.0, 0.0, 3.0, 3.0)
    images = np.array([each["image_id"] for each in boxes], np.int64)
    label = np.array([labels[each["category_id"]] for each in boxes], np.int64)
    truth = Truth(
        image_ids=np.array([each["id"] for each in document["images"]], np.int64),
        file_names=tuple(each["file_name"] for each in document["images"]),
        images=images,
        labels=label,
        boxes=places,
        areas=places[:, 2] * places[:, 3],
        crowds=np.zeros(count, np.bool_),
    )
    scores = np.where(found, 0.9, 0.3) + random.uniform(0, 0.05, count)
    known = label < len(classes)
    detections = Detections(
        images=images[known], labels=label[known], scores=scores[known], boxes=detected[known]
    )
    return match_detections(lists, truth, detections)


def write_evaluation(
    folder: Path, classes: Sequence[str], *, report: Path, matches: Path, skill: float = 0.75, seed: int = 0
) -> EvaluationReport:
    """Writes what the trainer's `evaluate` writes; arguments as `match_part`'s."""
    matched = match_part(folder, classes, skill=skill, seed=seed)
    write_matches(matched, matches)
    speed = Speed(images_per_s=100.0, batch_size=1, device="cpu")
    reckoned = reckon_report(matched, resamples=RESAMPLES, speed=speed)
    report.write_bytes(encode_report(reckoned))
    return reckoned
