"""A platform with models of chosen skill on a made-up test part: real evaluations, reckoned from real matches."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save
from sqlalchemy import URL, text
from tests.conftest import make_database

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER, Actor, Claim
from raven_scan.app.wiring import Platform, build_services
from raven_scan.datasets.content import IMAGES_SCHEMA, encode_table
from raven_scan.datasets.models import Dataset, DatasetVersion
from raven_scan.datasets.types import Part, PartCounts
from raven_scan.evaluations.types import EvaluationResult, EvaluationView, RunEvaluation
from raven_scan.figures.matches import write_matches
from raven_scan.figures.matching import Detections, Truth, match_detections
from raven_scan.figures.reckoning import reckon_report
from raven_scan.figures.report import encode_report
from raven_scan.kernel.database import Database
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.settings import Settings
from raven_scan.trained_models.types import Figures, NewTrainedModel, TrainedModelView

ME = LOCAL_ADMINISTRATOR
CLASSES = ["glass", "paper"]
_NO_IMAGES = PartCounts(
    image_count=0, box_count=0, crowd_count=0, background_count=0, boxes_by_class=dict.fromkeys(CLASSES, 0)
)


def make_actor(*claims: Claim, name: str = "somebody") -> Actor:
    return Actor(make_id(), name, frozenset(claims))


@dataclass(frozen=True)
class Place:
    """A dataset version of which nothing is there but the table of its images."""

    id: UUID
    name: str


@dataclass
class World:
    platform: Platform
    folder: Path

    def add_dataset(self, name: str, images: Mapping[str, Sequence[str]] | None = None) -> Place:
        """`images`: what makes up each image, by part; None: of their own in each part."""
        now = datetime.now(UTC)
        if images is None:
            images = {part: [f"{name} {part} {number}" for number in range(5)] for part in Part}
        dataset = Dataset(id=make_id(), name=name, created_by="me", created_at=now)
        version = DatasetVersion(
            id=make_id(),
            dataset_id=dataset.id,
            number=1,
            digest=sha256(name.encode()).hexdigest(),
            classes=CLASSES,
            parts={part: asdict(_NO_IMAGES) for part in Part},
            pixel_rules={},
            leak_allowed=False,
            leaked_image_count=0,
            image_bytes=0,
            images_digest=self.platform.blobs.put_bytes(encode_table(_list_images(images))),
            boxes_digest="0" * 64,
            options={},
            warnings=[],
            created_by="me",
            created_at=now,
        )
        with self.platform.database.transaction() as session:
            session.add(dataset)
            session.flush()
            session.add(version)
        return Place(version.id, f"{name}@1")

    def add_model(
        self,
        name: str,
        place: Place,
        *,
        run_id: UUID | None = None,
        run_name: str = "run",
        base_model: str = "yolox-nano",
    ) -> TrainedModelView:
        """What a run made, which is gone since, where no other is named."""
        models = self.platform.trained_models
        new = NewTrainedModel(
            name=name,
            architecture="yolox-nano",
            classes=CLASSES,
            starting_weights=None,
            weights_digest=self.platform.blobs.put_bytes(save({"w": np.ones((2, 3), np.float32)})),
            configuration_digest=self.platform.blobs.put_bytes(b'{"model": {}}'),
            parameter_count=6,
            valid=Figures(),
            test=Figures(),
            leak_allowed=False,
            base_model_id=models.get_model(ME, base_model).id,
            dataset_version_id=place.id,
            dataset_version_name=place.name,
            training_run_id=run_id or make_id(),
            training_run_name=run_name,
            parameters={},
            environment={},
        )
        return models.create_from_run(WORKER, new)

    def evaluate(
        self,
        model: TrainedModelView,
        place: Place,
        *,
        skill: float = 0.8,
        image_count: int = 60,
        classes: Sequence[str] = CLASSES,
    ) -> EvaluationView:
        """Of a model that finds so large a part of the boxes, one a picture, and nothing else."""
        result = self._measure(skill, image_count, classes)
        return self.platform.evaluations.record_of_run(
            WORKER,
            model,
            RunEvaluation(
                dataset_version_id=place.id,
                dataset_version_name=place.name,
                part="test",
                training_run_id=make_id(),
                worker="somewhere",
                device="cpu",
                started_at=datetime.now(UTC),
                result=result,
            ),
        )

    def add_evaluated(
        self, name: str, place: Place, *, skill: float = 0.8, base_model: str = "yolox-nano"
    ) -> TrainedModelView:
        model = self.add_model(name, place, base_model=base_model)
        self.evaluate(model, place, skill=skill)
        return model

    def _measure(self, skill: float, image_count: int, classes: Sequence[str]) -> EvaluationResult:
        ids = np.arange(1, image_count + 1)
        labels = (ids // 2) % len(classes)
        boxes = np.tile([10.0, 10.0, 40.0, 40.0], (image_count, 1))
        truth = Truth(
            image_ids=ids,
            file_names=tuple(f"{id_}.jpg" for id_ in ids),
            images=ids,
            labels=labels,
            boxes=boxes,
            areas=np.full(image_count, 1600.0),
            crowds=np.zeros(image_count, bool),
        )
        # Those who find more find what others find too.
        found = np.random.default_rng(0).permutation(image_count)[: round(skill * image_count)]
        detections = Detections(
            images=ids[found], labels=labels[found], scores=np.full(len(found), 0.9), boxes=boxes[found]
        )
        matches = match_detections(classes, truth, detections)
        report = reckon_report(matches, resamples=50)
        path = self.folder / "matches.safetensors"
        write_matches(matches, path)
        return EvaluationResult(
            report_digest=self.platform.blobs.put_bytes(encode_report(report)),
            matches_digest=self.platform.blobs.put_file(path),
            figures=report.figures,
            image_count=report.counts.images,
            box_count=report.counts.boxes,
            images_per_s=10.0,
        )


def _list_images(images: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    rows = [
        {
            "part": part,
            "file_name": f"{number}.jpg",
            "digest": sha256(content.encode()).hexdigest(),
            "width": 100,
            "height": 100,
            "exif_orientation": 1,
            "format": "JPEG",
            "band_count": 3,
            "bit_depth": 8,
            "size_bytes": 1,
        }
        for part, contents in images.items()
        for number, content in enumerate(contents)
    ]
    return pl.DataFrame(rows, schema=IMAGES_SCHEMA)


@pytest.fixture(scope="module")
def shared_platform(
    server_url: URL, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Platform]:
    """A database takes a second to make: the tests of a module share one, and empty it."""
    home = tmp_path_factory.mktemp("publishing") / "home"
    home.mkdir(mode=0o700)
    with make_database(server_url, template_database) as url:
        database = Database(url)
        yield build_services(Settings(home=home), database, None)
        database.close()


@pytest.fixture
def platform(shared_platform: Platform) -> Platform:
    """Nothing is published, and the policy is the default; the audit trail goes on."""
    empty(shared_platform)
    return shared_platform


def empty(platform: Platform) -> None:
    with platform.database.transaction() as session:
        for table in (
            "published_name_events",
            "published_versions",
            "published_names",
            "policy_versions",
            "model_evaluations",
            "dataset_versions",
            "datasets",
        ):
            session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names of tables
        session.execute(text("DELETE FROM trained_models WHERE origin <> 'builtin'"))


@pytest.fixture
def world(platform: Platform, tmp_path: Path) -> World:
    return World(platform, tmp_path)


@pytest.fixture
def place(world: World) -> Place:
    return world.add_dataset("litter")
