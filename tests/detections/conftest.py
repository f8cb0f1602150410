"""A platform with a model that was evaluated, published as `litter`; its process is real, and shared."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from pydantic import SecretStr
from sqlalchemy import URL
from tests.conftest import make_database

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER, Actor, Claim
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.datasets.models import Dataset, DatasetVersion
from raven_scan.detections.types import ImageFile
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.settings import Settings
from raven_scan.trained_models.types import Figures, NewTrainedModel

ME = LOCAL_ADMINISTRATOR
TOKEN = "of the data folder"
CONFIDENCE = 0.0105
LARGEST_PIXELS = 1_000_000
MEMORY_BYTES = 10_000_000
MOST_IMAGES = 20
MOST_BYTES = 4_000_000
BATCH_SIZE = 4
"""Of the evaluation; sums of other batches differ in their last digits."""


def make_actor(*claims: Claim) -> Actor:
    return Actor(make_id(), "somebody", frozenset(claims))


@dataclass(frozen=True)
class Measured:
    """A model on the disk, and what its evaluation predicted on a part."""

    folder: Path
    classes: list[str]

    @property
    def images(self) -> list[ImageFile]:
        names = [each["file_name"] for each in self.annotations["images"]]
        return [ImageFile(self.folder / "part" / name, name) for name in names]

    @property
    def paths(self) -> list[Path]:
        return [image.path for image in self.images]

    @property
    def annotations(self) -> Any:
        return json.loads((self.folder / "part" / "annotations_coco.json").read_bytes())

    @property
    def predictions(self) -> list[dict[str, Any]]:
        return json.loads((self.folder / "predictions.json").read_bytes())


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder = tmp_path_factory.mktemp("measured")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "measured_model.py"), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return Measured(folder, json.loads((folder / "classes.json").read_bytes()))


@pytest.fixture(scope="session")
def platform(
    server_url: URL, template_database: str, tmp_path_factory: pytest.TempPathFactory, measured: Measured
) -> Generator[Platform]:
    with make_database(server_url, template_database) as url:
        settings = Settings(
            home=tmp_path_factory.mktemp("detections") / "home",
            database_url=SecretStr(url),
            largest_image_pixels=LARGEST_PIXELS,
            detection_memory_bytes=MEMORY_BYTES,
            largest_detection_images=MOST_IMAGES,
            largest_detection_bytes=MOST_BYTES,
            device="cpu",
        )
        with build_platform(settings) as platform:
            for name in ("detector", "unmeasured"):
                add_model(platform, measured, name)
            platform.publishing.publish(ME, "detector", name="litter", override="It is a test.")
            yield platform


def add_model(platform: Platform, measured: Measured, name: str) -> None:
    now = datetime.now(UTC)
    no_boxes = {
        "image_count": 0,
        "box_count": 0,
        "crowd_count": 0,
        "background_count": 0,
        "boxes_by_class": dict.fromkeys(measured.classes, 0),
    }
    dataset = Dataset(id=make_id(), name=f"of {name}", created_by="me", created_at=now)
    version = DatasetVersion(
        id=make_id(),
        dataset_id=dataset.id,
        number=1,
        digest="0" * 64,
        classes=measured.classes,
        parts=dict.fromkeys(("train", "valid", "test"), no_boxes),
        pixel_rules={},
        leak_allowed=False,
        leaked_image_count=0,
        image_bytes=0,
        images_digest="0" * 64,
        boxes_digest="0" * 64,
        options={},
        warnings=[],
        created_by="me",
        created_at=now,
    )
    with platform.database.transaction() as session:
        session.add(dataset)
        session.flush()
        session.add(version)
    models = platform.trained_models
    models.create_from_run(
        WORKER,
        NewTrainedModel(
            name=name,
            architecture="rtmdet-tiny",
            classes=measured.classes,
            starting_weights=None,
            weights_digest=platform.blobs.put_bytes((measured.folder / "weights.safetensors").read_bytes()),
            configuration_digest=platform.blobs.put_bytes(
                (measured.folder / "configuration.json").read_bytes()
            ),
            parameter_count=1,
            valid=Figures(),
            test=Figures(confidence=CONFIDENCE if name == "detector" else None),
            leak_allowed=False,
            base_model_id=models.get_model(ME, "rtmdet-tiny").id,
            dataset_version_id=version.id,
            dataset_version_name=f"of {name}@1",
            training_run_id=make_id(),
            training_run_name=name,
            parameters={},
            environment={},
        ),
    )


@pytest.fixture(scope="session")
def server(platform: Platform) -> Generator[str]:
    """The address of a server of the platform."""
    app = build_app(platform, token=SecretStr(TOKEN), allow_server_paths=False)
    configured = uvicorn.Config(app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(configured)
    listener = configured.bind_socket()
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()
