"""Small datasets in COCO form, written to the disk as exports have them."""

import copy
import io
import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import URL, create_engine, text

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import DatasetVersionView, ImportOptions
from raven_scan.kernel.clock import SystemClock
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blobs import LocalBlobStore

WIDTH, HEIGHT = 60, 40


def encode(seed: int, form: str = "JPEG", size: tuple[int, int] = (WIDTH, HEIGHT), **options: Any) -> bytes:
    """An image that no other seed gives."""
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, form, **options)
    return file.getvalue()


@dataclass
class Part:
    """One annotations file to be, with its images."""

    coco: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    json_name: str = "annotations_coco.json"

    def add_image(self, name: str, content: bytes, width: int = WIDTH, height: int = HEIGHT) -> int:
        number = 1 + max((image["id"] for image in self.coco["images"]), default=0)
        self.coco["images"].append({"id": number, "file_name": name, "width": width, "height": height})
        self.files[name] = content
        return number

    def add_box(self, image_id: int, bbox: list[float] | None, **fields: Any) -> int:
        number = 1 + max((record["id"] for record in self.coco["annotations"]), default=0)
        record = {"id": number, "image_id": image_id, "category_id": 1, **fields}
        if bbox is not None:
            record["bbox"] = bbox
        self.coco["annotations"].append(record)
        return number

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / self.json_name).write_text(json.dumps(self.coco))


@dataclass
class Source:
    parts: dict[str, Part]

    def write(self, folder: Path) -> Path:
        for name, part in self.parts.items():
            part.write(folder / name)
        return folder

    def __getitem__(self, name: str) -> Part:
        return self.parts[name]

    def copy(self) -> "Source":
        return copy.deepcopy(self)


def make_part(seeds: range, names: tuple[str, ...] = ("bottle", "can")) -> Part:
    part = Part(
        {
            "images": [],
            "annotations": [],
            "categories": [{"id": position, "name": name} for position, name in enumerate(names, 1)],
        }
    )
    for seed in seeds:
        image = part.add_image(f"{seed}.jpg", encode(seed))
        part.add_box(image, [3 + seed % 5, 4, 20.5, 10], category_id=1 + seed % len(names))
    return part


def make_source() -> Source:
    """Train with 4 images, valid and test with 2; a box each, two classes."""
    return Source(
        {"train": make_part(range(4)), "valid": make_part(range(10, 12)), "test": make_part(range(20, 22))}
    )


@pytest.fixture
def encode_image() -> Callable[..., bytes]:
    return encode


@pytest.fixture
def source() -> Source:
    return make_source()


@pytest.fixture(scope="session")
def datasets_database(server_url: URL, template_database: str) -> Generator[Database]:
    """One database for all tests here: a copy for each would cost more than the tests."""
    name = f"datasets_{uuid4().hex}"
    server = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template_database}"))
        database = Database(server_url.set(database=name).render_as_string(hide_password=False))
        yield database
        database.close()
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def database(datasets_database: Database) -> Generator[Database]:
    yield datasets_database
    with datasets_database.transaction() as session:
        session.execute(text("DELETE FROM dataset_versions"))
        session.execute(text("DELETE FROM datasets"))


@pytest.fixture
def service(database: Database, settings: Settings) -> DatasetService:
    return DatasetService(database, LocalBlobStore(settings.blobs_folder), settings, SystemClock())


ImportSource = Callable[..., DatasetVersionView]


@pytest.fixture
def import_source(service: DatasetService, tmp_path: Path) -> ImportSource:
    """Write a source and import it: the options are those of ImportOptions."""
    count = iter(range(1_000_000))

    def run(source: Source | Path, name: str = "waste", **options: Any) -> DatasetVersionView:
        path = source if isinstance(source, Path) else source.write(tmp_path / f"source-{next(count)}")
        return service.import_version(LOCAL_ADMINISTRATOR, path, ImportOptions(name=name, **options))

    return run


@pytest.fixture
def find_problems(
    import_source: ImportSource, database: Database, settings: Settings
) -> Callable[..., list[tuple[str, str, str]]]:
    """Import what must be refused: code, file and record of each problem; nothing may be stored."""

    def run(source: Source | Path, **options: Any) -> list[tuple[str, str, str]]:
        with pytest.raises(Invalid) as refusal:
            import_source(source, **options)
        assert_nothing_stored(database, settings)
        assert refusal.value.code == "dataset.refused"
        parameters = json.loads(json.dumps(refusal.value.parameters))
        problems = parameters["problems"]
        assert parameters["problem_count"] == sum(parameters["counts"].values())
        assert all(problem["message"] for problem in problems)
        assert problems[0]["file"] in refusal.value.message
        assert problems[0]["record"] in refusal.value.message
        return [(p["code"].removeprefix("dataset."), p["file"], p["record"]) for p in problems]

    return run


@pytest.fixture(name="assert_nothing_stored")
def give_assert_nothing_stored() -> Callable[[Database, Settings], None]:
    return assert_nothing_stored


def assert_nothing_stored(database: Database, settings: Settings) -> None:
    with database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM datasets")).scalar() == 0
        assert session.execute(text("SELECT count(*) FROM dataset_versions")).scalar() == 0
    files = [path for path in settings.blobs_folder.rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix != ".lock"] == []
    assert not settings.work_folder.exists() or list(settings.work_folder.iterdir()) == []
