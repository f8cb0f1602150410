"""Generated parts: true boxes and detections, as columns and as COCO documents."""

import contextlib
import io
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from raven_scan.figures.class_lists import ClassLists, merge_class_lists
from raven_scan.figures.matches import Matches
from raven_scan.figures.matching import Detections, Truth, match_detections

CLASSES = ("déchets", "плёнка", "it's")


@dataclass(frozen=True)
class Scene:
    """`truth` and `found` rows: image id, label, x, y, w, h, and crowd or score."""

    image_ids: list[int]
    truth: list[tuple[int, int, float, float, float, float, int]]
    found: list[tuple[int, int, float, float, float, float, float]]
    classes: tuple[str, ...] = CLASSES

    def only(self, labels: list[int]) -> "Scene":
        """With detections of these labels alone."""
        return replace(self, found=[row for row in self.found if row[1] in labels])

    def match(self) -> Matches:
        return self._match(self.classes, list(range(len(self.classes))))

    def match_knowing(self, known: tuple[str, ...], *, extra_detections_of: str | None = None) -> Matches:
        """As a model of these classes detects; with detections of one of them on every image."""
        lists = merge_class_lists(known, self.classes)
        labels = [lists.classes.index(name) for name in self.classes]
        extra = [] if extra_detections_of is None else [lists.classes.index(extra_detections_of)]
        shown = self.only([label for label, name in enumerate(self.classes) if name in known])
        return shown._match(lists, labels, extra)

    def _match(
        self, classes: tuple[str, ...] | ClassLists, labels: list[int], extra: list[int] | None = None
    ) -> Matches:
        truth = np.asarray(self.truth, np.float64).reshape(-1, 7)
        found = np.asarray(self.found, np.float64).reshape(-1, 7)
        places = np.asarray(labels, np.float64)
        truth[:, 1] = places[truth[:, 1].astype(np.int64)]
        found[:, 1] = places[found[:, 1].astype(np.int64)]
        added = [
            (image, label, 5.0, 5.0, 90.0, 80.0, 0.9) for label in extra or [] for image in self.image_ids
        ]
        found = np.vstack([found, np.asarray(added, np.float64).reshape(-1, 7)])
        return match_detections(
            classes,
            Truth(
                image_ids=np.asarray(self.image_ids, np.int64),
                file_names=tuple(f"{each}.jpg" for each in self.image_ids),
                images=truth[:, 0].astype(np.int64),
                labels=truth[:, 1].astype(np.int64),
                boxes=truth[:, 2:6],
                areas=truth[:, 4] * truth[:, 5],
                crowds=truth[:, 6] != 0,
            ),
            Detections(
                images=found[:, 0].astype(np.int64),
                labels=found[:, 1].astype(np.int64),
                scores=found[:, 6],
                boxes=found[:, 2:6],
            ),
        )

    def make_document(self) -> dict[str, Any]:
        return {
            "images": [
                {"id": key, "width": 640, "height": 640, "file_name": f"{key}.jpg"} for key in self.image_ids
            ],
            "annotations": [
                {
                    # pycocotools takes 0 for no match.
                    "id": number,
                    "image_id": image,
                    "category_id": label,
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": crowd,
                }
                for number, (image, label, x, y, width, height, crowd) in enumerate(self.truth, start=1)
            ],
            "categories": [{"id": label, "name": name} for label, name in enumerate(self.classes)],
        }

    def make_results(self) -> list[dict[str, Any]]:
        return [
            {"image_id": image, "category_id": label, "bbox": [x, y, width, height], "score": score}
            for image, label, x, y, width, height, score in self.found
        ]


def draw_scene(
    seed: int,
    *,
    images: int = 12,
    truth_max: int = 6,
    found_max: int = 9,
    crowds: bool = True,
    ties: bool = True,
    noise: float = 0.15,
    skill: float = 0.7,
) -> Scene:
    """Boxes of all sizes, and detections that are partly near them; with ties, scores repeat."""
    random = np.random.default_rng(seed)
    truth: list[Any] = []
    found: list[Any] = []
    image_ids = [int(each) for each in random.permutation(np.arange(5, 5 + images))]
    for image_id in image_ids:
        here: list[Any] = []
        for _ in range(int(random.integers(0, truth_max + 1))):
            side = float(random.choice([10, 25, 60, 90, 150, 220]))
            width, height = (side * random.uniform(0.5, 1.5, 2)).tolist()
            x, y = random.uniform(0, 400, 2).tolist()
            label = int(random.integers(len(CLASSES)))
            here.append((image_id, label, x, y, width, height, int(crowds and random.random() < 0.1)))
        truth += here
        for _ in range(int(random.integers(0, found_max + 1))):
            score = float(random.random())
            label = int(random.integers(len(CLASSES)))
            box: list[float] = random.uniform(1, 300, 4).tolist()
            if here and random.random() < skill:
                near = here[int(random.integers(len(here)))]
                box = (np.asarray(near[2:6]) + random.normal(0, noise, 4) * np.tile(near[4:6], 2)).tolist()
                box[2:] = np.maximum(box[2:], 2.0).tolist()
                label = near[1] if random.random() < 0.85 else label
            found.append((image_id, label, *box, round(score, 1) if ties else score))
    return Scene(image_ids, truth, found)


def run_pycocotools(scene: Scene, labels: list[int] | None = None) -> COCOeval:
    document: Any = scene.make_document()
    results: Any = scene.make_results()
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = json.loads(json.dumps(document))
        coco.createIndex()
        # It cannot load an empty list of results.
        found: Any = coco.loadRes(results) if results else COCO()
        if not results:
            found.dataset = {**document, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(coco, found, "bbox")
        evaluation.params.catIds = list(range(len(scene.classes))) if labels is None else labels
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def read_stats(evaluation: COCOeval) -> dict[str, float | None]:
    names = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
    return {
        name: None if value == -1 else float(value)
        for name, value in zip(names, evaluation.stats[:6], strict=True)
    }


def overlap(one: Any, other: Any, *, of_own_area: bool = False) -> float:
    """Of two boxes x y w h, counted plainly."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(0.0, width) * max(0.0, height)
    return common / (one[2] * one[3] + (0.0 if of_own_area else other[2] * other[3] - common))


class Scenes:
    """What the tests of this folder share."""

    Scene = Scene
    CLASSES = CLASSES
    draw = staticmethod(draw_scene)
    run_pycocotools = staticmethod(run_pycocotools)
    read_stats = staticmethod(read_stats)
    overlap = staticmethod(overlap)


@pytest.fixture(scope="session")
def scenes() -> type[Scenes]:
    return Scenes
