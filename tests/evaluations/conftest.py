"""A platform with a tiny dataset, models that were never trained, and evaluations of them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from safetensors.numpy import save
from tests.training_runs.conftest import write_coco

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.wiring import Platform, build_services
from raven_scan.datasets.types import DatasetVersionView, ImportOptions
from raven_scan.evaluations.measuring import store_result
from raven_scan.evaluations.types import EvaluationView, RunEvaluation
from raven_scan.kernel.database import Database
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.trained_models.types import Figures, NewTrainedModel, TrainedModelView
from raven_scan.wire.events import Evaluated

from .pretended_detector import write_evaluation

ADMIN = LOCAL_ADMINISTRATOR

MakeModel = Callable[..., TrainedModelView]
Evaluate = Callable[..., EvaluationView]


@pytest.fixture
def platform(database: Database, settings: Settings) -> Platform:
    return build_services(settings, database, None)


@pytest.fixture
def coco_folder(tmp_path: Path) -> Path:
    return write_coco(tmp_path / "coco")


@pytest.fixture
def dataset(platform: Platform, coco_folder: Path) -> DatasetVersionView:
    """`squares@1`: eight images a part with a box of `waste` each."""
    return platform.datasets.import_version(
        ADMIN, coco_folder, ImportOptions(name="squares"), ignore_progress
    )


def make_new_model(
    platform: Platform, name: str, classes: list[str], *, version_id: UUID | None = None
) -> NewTrainedModel:
    return NewTrainedModel(
        name=name,
        architecture="yolox-nano",
        classes=classes,
        starting_weights=None,
        weights_digest=platform.blobs.put_bytes(save({"head.weight": np.ones((2, 3), np.float32)})),
        configuration_digest=platform.blobs.put_bytes(b'{"model": {}}'),
        parameter_count=6,
        valid=Figures(),
        test=Figures(),
        leak_allowed=False,
        base_model_id=platform.trained_models.get_model(ADMIN, "yolox-nano").id,
        dataset_version_id=version_id or make_id(),
        dataset_version_name="squares@1",
        dataset_version_digest="0" * 64,
        training_run_id=make_id(),
        training_run_name=name,
        parameters={},
        environment={},
    )


@pytest.fixture
def make_model(platform: Platform) -> MakeModel:
    """A model of these classes, whose weights fit nothing."""

    def make(
        name: str = "first", classes: list[str] | None = None, *, version_id: UUID | None = None
    ) -> TrainedModelView:
        new = make_new_model(platform, name, classes or ["waste"], version_id=version_id)
        return platform.trained_models.create_from_run(WORKER, new)

    return make


@pytest.fixture
def evaluate(platform: Platform, tmp_path: Path) -> Evaluate:
    """Records an evaluation of a detector of this skill, as the end of a training run does."""

    def record(
        model: TrainedModelView, version: DatasetVersionView, *, part: str = "test", skill: float = 0.75
    ) -> EvaluationView:
        folder = tmp_path / f"laid-out-{version.id}"
        layout = platform.datasets.lay_out(ADMIN, version.id, folder)
        report, matches = tmp_path / "report.json", tmp_path / "matches.safetensors"
        write_evaluation(
            getattr(layout, part).folder, model.classes, report=report, matches=matches, skill=skill
        )
        told = Evaluated(time=0.0, figures={}, by_class={}, image_count=8, box_count=8, images_per_s=100.0)
        result = store_result(platform.blobs, told, report=report, matches=matches)
        evaluation = RunEvaluation(
            dataset_version_id=version.id,
            dataset_version_name=version.full_name,
            part=part,
            training_run_id=make_id(),
            worker="elsewhere",
            device="cpu",
            started_at=datetime.now(UTC),
            result=result,
        )
        return platform.evaluations.record_of_run(WORKER, model, evaluation)

    return record
