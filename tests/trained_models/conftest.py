"""Trained models over a real database, a real blob store, and real child processes."""

from collections.abc import Callable
from uuid import UUID

import numpy as np
import pytest
from safetensors.numpy import save

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.architectures.catalogue import StartingWeights
from raven_scan.datasets.models import Dataset, DatasetVersion
from raven_scan.kernel.clock import SystemClock
from raven_scan.kernel.database import Database
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blobs import LocalBlobStore
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.stewardship import ModelStewardship
from raven_scan.trained_models.types import Figures, NewTrainedModel

NewModelMaker = Callable[..., NewTrainedModel]


@pytest.fixture
def blobs(settings: Settings) -> LocalBlobStore:
    return LocalBlobStore(settings.blobs_folder)


@pytest.fixture
def service(database: Database, blobs: LocalBlobStore, settings: Settings) -> TrainedModelService:
    service = TrainedModelService(database, blobs, settings, SystemClock(), retry_pauses_s=(0.01, 0.01))
    service.ensure_builtins()
    return service


@pytest.fixture
def stewardship(database: Database, service: TrainedModelService, blobs: LocalBlobStore) -> ModelStewardship:
    return ModelStewardship(database, service, blobs, SystemClock())


@pytest.fixture
def dataset_version_id(database: Database) -> UUID:
    """A row for lineages to point at; nothing here looks into it."""
    now = SystemClock().now()
    dataset = Dataset(id=make_id(), name="aquatrash", created_by="me", created_at=now)
    version = DatasetVersion(
        id=make_id(),
        dataset_id=dataset.id,
        number=1,
        digest="0" * 64,
        classes=["waste"],
        parts={},
        pixel_rules={},
        leak_allowed=True,
        leaked_image_count=0,
        image_bytes=0,
        images_digest="0" * 64,
        boxes_digest="0" * 64,
        options={},
        warnings=[],
        created_by="me",
        created_at=now,
    )
    with database.transaction() as session:
        session.add(dataset)
        session.flush()
        session.add(version)
    return version.id


@pytest.fixture
def make_new_model(
    service: TrainedModelService, blobs: LocalBlobStore, dataset_version_id: UUID
) -> NewModelMaker:
    base_model_id = service.get_model(LOCAL_ADMINISTRATOR, "yolox-nano").id

    def make(name: str = "first", **changes: object) -> NewTrainedModel:
        weights = save({"head.weight": np.ones((2, 3), np.float32)})
        values: dict[str, object] = {
            "name": name,
            "architecture": "yolox-nano",
            "classes": ["waste", "Sperrmüll", "垃圾"],
            "starting_weights": StartingWeights.COCO,
            "weights_digest": blobs.put_bytes(weights),
            "configuration_digest": blobs.put_bytes(b'{"model": {}}'),
            "parameter_count": 6,
            "valid": Figures.collect({"map": 0.25, "map50": 0.5, "unknown": 1.0}),
            "test": Figures.collect(
                {"map": 0.24, "map50": 0.4, "map_small": None, "map_large": float("nan"), "f1": 0.6},
                by_class={"waste": {"map": 0.3, "map50": float("inf")}},
                image_count=12,
                box_count=34,
            ),
            "leak_allowed": True,
            "base_model_id": base_model_id,
            "dataset_version_id": dataset_version_id,
            "dataset_version_name": "aquatrash@1",
            "training_run_id": make_id(),
            "training_run_name": "first run",
            "parameters": {"epochs": 5},
            "environment": {"torch": "2.14"},
        }
        return NewTrainedModel(**{**values, **changes})  # pyright: ignore[reportArgumentType]

    return make
