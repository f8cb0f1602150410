"""A platform on a real database with a tiny dataset."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform, build_services
from raven_scan.architectures.parameters import Augmentation, TrainingParameters
from raven_scan.datasets.types import DatasetVersionView, ImportOptions
from raven_scan.kernel.database import Database
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.types import TrainingRunView

TINY = TrainingParameters(
    epochs=2, batch_size=4, image_size=64, warmup_epochs=0, augmentation=Augmentation.OFF, loader_processes=0
)
"""Seconds of training."""


_SERVERS = ("postgres", "weed")
"""Names of servers that the whole session's tests share, children of this process too."""


def list_children() -> list[psutil.Process]:
    """Trainers of this process that live, with their descendants; those of other tests wait for those tests."""
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if is_trainer_alive(child) and not _waits_for_other_tests(child)
    ]


def _waits_for_other_tests(process: psutil.Process) -> bool:
    try:
        return any(word == "predict" or word.endswith("/ready_trainer.py") for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def is_trainer_alive(process: psutil.Process) -> bool:
    """Looked at without waiting for it: whoever started it does."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.name() not in _SERVERS
    except psutil.NoSuchProcess:
        return False


def write_coco(folder: Path, *, images_a_part: int = 8, image_size: int = 64) -> Path:
    """A dataset of bright squares on noise, as COCO with a split."""
    random = np.random.default_rng(0)
    for part in ("train", "valid", "test"):
        (folder / part).mkdir(parents=True)
        images, annotations = [], []
        for index in range(images_a_part):
            pixels = random.integers(0, 80, (image_size, image_size, 3), dtype=np.uint8)
            side = int(random.integers(16, 32))
            x, y = (int(value) for value in random.integers(0, image_size - side, 2))
            pixels[y : y + side, x : x + side] = (230, 40, 200)
            name = f"{part}_{index}.jpg"
            Image.fromarray(pixels).save(folder / part / name, quality=95)
            images.append({"id": index, "file_name": name, "width": image_size, "height": image_size})
            annotations.append({"id": index, "image_id": index, "category_id": 1, "bbox": [x, y, side, side]})
        document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "waste"}]}
        (folder / part / "annotations_coco.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def platform(database: Database, settings: Settings) -> Platform:
    return build_services(settings, database, None)


@pytest.fixture
def coco_folder(tmp_path: Path) -> Path:
    return write_coco(tmp_path / "coco")


@pytest.fixture
def dataset(platform: Platform, coco_folder: Path) -> DatasetVersionView:
    return platform.datasets.import_version(
        LOCAL_ADMINISTRATOR, coco_folder, ImportOptions(name="squares"), ignore_progress
    )


@pytest.fixture
def create_run(platform: Platform, dataset: DatasetVersionView) -> Callable[..., TrainingRunView]:
    def create(
        name: str = "first",
        parameters: TrainingParameters = TINY,
        base_model: str = "yolox-nano",
        **more: Any,
    ) -> TrainingRunView:
        return platform.training_runs.create(
            LOCAL_ADMINISTRATOR,
            name=name,
            dataset=dataset.full_name,
            base_model=base_model,
            parameters=parameters,
            **more,
        )

    return create


@pytest.fixture
def schedule_run(
    platform: Platform, create_run: Callable[..., TrainingRunView]
) -> Callable[..., TrainingRunView]:
    def schedule(**options: object) -> TrainingRunView:
        run = create_run(**options)
        return platform.training_runs.schedule(LOCAL_ADMINISTRATOR, str(run.id))[0]

    return schedule


@pytest.fixture
def misbehaving_trainer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Gives the module of a child that behaves as told: `crash`, `garbage`, …"""

    def choose(behaviour: str) -> str:
        monkeypatch.setenv(
            "PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        )
        return f"trainer_that_misbehaves.{behaviour}"

    return choose
