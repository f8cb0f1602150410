"""A platform with a trained model that it packs, and others that take it in: real databases, stores and weights."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy import URL
from tests.app.conftest import environment, raven  # noqa: F401  # pyright: ignore[reportUnusedImport]
from tests.conftest import make_database

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.architectures.catalogue import StartingWeights, get_architecture
from raven_scan.datasets.sample_scenes import make_sample_dataset
from raven_scan.datasets.types import ImportOptions
from raven_scan.evaluations.types import EvaluationResult, RunEvaluation
from raven_scan.figures.matching import Detections, Truth, match_detections
from raven_scan.figures.reckoning import reckon_report
from raven_scan.figures.report import encode_report
from raven_scan.jobs.child_process import run_child
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.settings import Settings
from raven_scan.trained_models.types import Figures, NewTrainedModel
from raven_scan.trainer.configuration import build_model_configuration
from raven_scan.trainer.configuration.pipelines import build_validation_pipeline
from raven_scan.wire.events import StartingWeightsBuilt
from raven_scan.wire.spec import BuildStartingWeightsSpec

ARCHITECTURE = "yolox-nano"
CLASSES = ["Sperrmüll", "waste", "свалка"]
MODEL = "detector"
ADMIN = LOCAL_ADMINISTRATOR


@contextmanager
def open_platform(server_url: URL, template_database: str, home: Path) -> Generator[Platform]:
    with make_database(server_url, template_database) as url:
        settings = Settings(home=home, database_url=SecretStr(url))
        with build_platform(settings) as platform:
            yield platform


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a detector that was built by a trainer, and has learned nothing."""
    folder = tmp_path_factory.mktemp("weights")
    run_child(
        "build-starting-weights",
        BuildStartingWeightsSpec(
            architecture=ARCHITECTURE,
            classes=CLASSES,
            seed=0,
            weights=folder / "weights.safetensors",
            events=folder / "events.jsonl",
        ),
        expected=StartingWeightsBuilt,
        noun="trained_model",
        folder=folder,
        log_path=folder / "log",
        timeout_s=300,
    )
    return folder / "weights.safetensors"


def make_configuration(architecture: str = ARCHITECTURE, class_count: int = len(CLASSES)) -> bytes:
    """As a training stores it: with folders of its machine."""
    configuration = {
        **build_model_configuration(get_architecture(architecture), class_count),
        "work_dir": "/secret/place",
        "test_dataloader": {
            "batch_size": 8,
            "num_workers": 1,
            "persistent_workers": True,
            "pin_memory": True,
            "drop_last": False,
            "prefetch_factor": 4,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "dataset": {
                "type": "RavenCocoDataset",
                "folder": "/secret/place/test",
                "metainfo": {"classes": CLASSES},
                "pipeline": build_validation_pipeline(64),
                "test_mode": True,
            },
        },
    }
    return msgspec.json.encode(configuration)


@pytest.fixture(scope="session")
def here(
    server_url: URL, template_database: str, tmp_path_factory: pytest.TempPathFactory, weights: Path
) -> Generator[Platform]:
    """With a trained model, its dataset and its evaluation."""
    folder = tmp_path_factory.mktemp("here")
    make_sample_dataset(folder / "dataset", image_count=20, image_size=128)
    with open_platform(server_url, template_database, folder / "home") as platform:
        platform.datasets.import_version(
            ADMIN, folder / "dataset", ImportOptions(name="dumps", bands=(2, 1, 0))
        )
        platform.dataset_stewardship.edit(
            ADMIN, "dumps", notes="Seen from a drone.\nLicence: CC BY 4.0, <b>M. Müller</b>"
        )
        add_model(platform, weights)
        yield platform


def add_model(platform: Platform, weights: Path, name: str = MODEL) -> None:
    version = platform.datasets.get_version(ADMIN, "dumps@1")
    new = NewTrainedModel(
        name=name,
        architecture=ARCHITECTURE,
        classes=CLASSES,
        starting_weights=StartingWeights.RANDOM,
        weights_digest=platform.blobs.put_file(weights),
        configuration_digest=platform.blobs.put_bytes(make_configuration()),
        parameter_count=1,
        valid=Figures.collect({"map": 0.25, "map50": 0.5}),
        test=Figures.collect(
            {"map": 0.24, "map50": 0.4, "confidence": 0.42},
            by_class={"waste": {"map": 0.3}},
            image_count=4,
            box_count=6,
        ),
        leak_allowed=True,
        base_model_id=platform.trained_models.get_model(ADMIN, ARCHITECTURE).id,
        dataset_version_id=version.id,
        dataset_version_name=version.full_name,
        dataset_version_digest=version.digest,
        training_run_id=make_id(),
        training_run_name="first run",
        parameters={"epochs": 5, "image_size": 64},
        environment={"torch": "2.14"},
    )
    with platform.database.transaction():
        model = platform.trained_models.create_from_run(WORKER, new)
        platform.evaluations.record_of_run(
            WORKER,
            model,
            RunEvaluation(
                dataset_version_id=version.id,
                dataset_version_name=version.full_name,
                part="test",
                training_run_id=new.training_run_id,
                worker="worker",
                device="cpu",
                started_at=model.created_at,
                result=make_result(platform),
            ),
        )


def make_result(platform: Platform) -> EvaluationResult:
    """Of a few boxes, one of which is missed and one taken for another."""
    boxes = np.array([[10, 10, 40, 40], [60, 60, 30, 30], [5, 5, 20, 20], [50, 10, 40, 30]], np.float64)
    truth = Truth(
        image_ids=np.array([1, 2, 3]),
        file_names=("a", "b", "c"),
        images=np.array([1, 1, 2, 3]),
        labels=np.array([0, 1, 1, 2]),
        boxes=boxes,
        areas=boxes[:, 2] * boxes[:, 3],
        crowds=np.zeros(4, np.bool_),
    )
    detections = Detections(
        images=np.array([1, 1, 2]),
        labels=np.array([0, 1, 0]),
        scores=np.array([0.9, 0.8, 0.7]),
        boxes=boxes[:3],
    )
    report = reckon_report(match_detections(CLASSES, truth, detections), resamples=20)
    return EvaluationResult(
        report_digest=platform.blobs.put_bytes(encode_report(report)),
        matches_digest=platform.blobs.put_bytes(b"none that is read here"),
        figures=report.figures,
        image_count=3,
        box_count=4,
        images_per_s=1.0,
    )


@pytest.fixture(scope="session")
def package(here: Platform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model, as it was packed."""
    made = here.package_exports.make(ADMIN, MODEL)
    path = tmp_path_factory.mktemp("package") / "detector.zip"
    path.write_bytes(here.package_exports.open(ADMIN, MODEL, made.digest).path.read_bytes())
    return path


@pytest.fixture
def there(server_url: URL, template_database: str, tmp_path: Path) -> Generator[Platform]:
    """Another platform, empty, which trusts the first one only where a test says so."""
    with open_platform(server_url, template_database, tmp_path / "there") as platform:
        yield platform


def trust(platform: Platform, other: Platform) -> None:
    """Has the platform trust the other one's key."""
    platform.package_keys.trust(ADMIN, other.package_keys.get_own(ADMIN).public_key, name="field office")


def list_names(platform: Platform) -> set[str]:
    """Of all models that are not builtin, and all blobs: what an import may add to."""
    with platform.database.reading() as session:
        models = session.connection().exec_driver_sql(
            "SELECT name FROM trained_models WHERE origin <> 'builtin'"
        )
        names = {str(row[0]) for row in models}
    work = {path.name for path in platform.settings.work_folder.iterdir()}
    return names | work | {blob.digest for blob in platform.blobs.list_blobs()}
