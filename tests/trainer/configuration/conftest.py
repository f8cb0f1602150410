"""Small data sets drawn by a seeded generator, and specifications of runs on them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from raven_scan.wire.spec import PartSpec, TrainSpec

MakePart = Callable[..., PartSpec]
MakeTrainSpec = Callable[..., TrainSpec]


@pytest.fixture(autouse=True)
def _mmdetections_registry() -> None:
    """What MMEngine's runner does from a configuration's `default_scope`."""
    init_default_scope("mmdet")
    torch.set_num_threads(1)


@pytest.fixture
def make_part(tmp_path: Path) -> MakePart:
    """Writes a part: bright rectangles on noise, every fifth image without any."""

    def write(
        name: str, *, image_count: int = 4, classes: tuple[str, ...] = ("waste",), side: int = 96
    ) -> PartSpec:
        folder = tmp_path / "dataset" / name
        folder.mkdir(parents=True)
        generator = np.random.default_rng([len(name), image_count])
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number in range(image_count):
            width, height = side, side - 16 * (number % 2)
            pixels = generator.integers(0, 80, (height, width, 3), dtype=np.uint8)
            images.append(
                {"id": 100 + number, "file_name": f"{number}.png", "width": width, "height": height}
            )
            for label in range(len(classes) if number % 5 != 4 else 0):
                x, y, w, h = (int(v) for v in generator.integers((4, 4, 20, 20), (40, 40, 40, 36)))
                pixels[y : y + h, x : x + w] = 255 - 100 * label // len(classes)
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": 100 + number,
                        "category_id": 7 + 3 * label,
                        "bbox": [x, y, w, h],
                        "area": w * h,
                        "iscrowd": 0,
                    }
                )
            cv2.imwrite(str(folder / f"{number}.png"), pixels)
        categories = [{"id": 7 + 3 * label, "name": name} for label, name in enumerate(classes)]
        document = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "annotations_coco.json").write_text(json.dumps(document))
        return PartSpec(folder=folder, image_count=image_count)

    return write


@pytest.fixture
def make_train_spec(tmp_path: Path, make_part: MakePart) -> MakeTrainSpec:
    """A specification on a fresh small data set; `parameters` are given as keywords."""

    def make(
        architecture: str = "yolox-nano",
        *,
        classes: tuple[str, ...] = ("waste",),
        train_image_count: int = 8,
        weights: Path | None = None,
        weights_classes: list[str] | None = None,
        work_folder: str = "work",
        **parameters: Any,
    ) -> TrainSpec:
        defaults = {"epochs": 1, "batch_size": 2, "image_size": 96, "loader_processes": 0}
        return TrainSpec(
            run_id="run",
            attempt=1,
            architecture=architecture,
            classes=list(classes),
            parameters=defaults | parameters,
            train=make_part("train", image_count=train_image_count, classes=classes),
            valid=make_part("valid", image_count=2, classes=classes),
            test=make_part("test", image_count=2, classes=classes),
            weights=weights,
            weights_classes=weights_classes,
            resume_from=[],
            work_folder=tmp_path / work_folder,
            events=tmp_path / work_folder / "events.jsonl",
            devices=["cpu"],
            threads=1,
        )

    return make
