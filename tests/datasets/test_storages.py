"""A dataset is imported, laid out and read the same way wherever its blobs are kept."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.clock import SystemClock
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import NotFound, Unavailable
from raven_scan.kernel.settings import Settings
from raven_scan.pixels.reading import read_image
from raven_scan.pixels.rules import PixelRules
from raven_scan.storage.collector import collect_blobs
from raven_scan.storage.opening import open_blob_store


@dataclass
class Machine:
    """A home of its own on the common database."""

    settings: Settings
    service: DatasetService


class LaterClock(SystemClock):
    def now(self) -> datetime:
        return super().now() + timedelta(days=2)


@pytest.fixture(params=["local", "s3", "folder"])
def make_machine(
    request: pytest.FixtureRequest, settings: Settings, database: Database, tmp_path: Path
) -> Callable[[str], Machine]:
    common = settings
    if request.param == "s3":
        common = request.getfixturevalue("s3_settings")
    if request.param == "folder":
        (tmp_path / "share").mkdir()
        common = settings.model_copy(update={"storage_url": (tmp_path / "share").as_uri()})

    def make(name: str) -> Machine:
        if request.param == "local":
            name = "the only one"
        home = tmp_path / name
        home.mkdir(exist_ok=True)
        own = common.model_copy(update={"home": home})
        return Machine(own, DatasetService(database, open_blob_store(own), own, SystemClock()))

    return make


def import_version(machine: Machine, source: Path) -> Any:
    return machine.service.import_version(LOCAL_ADMINISTRATOR, source, ImportOptions(name="waste"))


def test_from_source_to_pixels(make_machine: Callable[[str], Machine], source: Any, tmp_path: Path):
    folder = source.write(tmp_path / "source")
    version = import_version(make_machine("first"), folder)
    machine = make_machine("second")
    laid = machine.settings.home / "work" / "run"
    layout = machine.service.lay_out(LOCAL_ADMINISTRATOR, version.id, laid)
    for part, spec in (("train", layout.train), ("valid", layout.valid), ("test", layout.test)):
        coco = json.loads((spec.folder / "annotations_coco.json").read_text())
        assert len(coco["images"]) == spec.image_count == len(source[part].files)
        for image in coco["images"]:
            path = spec.folder / image["file_name"]
            assert path.read_bytes() == (folder / part / image["file_name"]).read_bytes()
            assert read_image(path, PixelRules()).shape == (image["height"], image["width"], 3)


def test_a_layout_copies_no_image(make_machine: Callable[[str], Machine], source: Any, tmp_path: Path):
    version = import_version(make_machine("first"), source.write(tmp_path / "source"))
    machine = make_machine("second")
    home = machine.settings.home
    layout = machine.service.lay_out(LOCAL_ADMINISTRATOR, version.id, home / "work" / "run")
    again = machine.service.lay_out(LOCAL_ADMINISTRATOR, version.id, home / "work" / "other run")
    kept = {path.stat().st_ino for name in ("blobs", "cache") for path in (home / name).glob("??/??/*")}
    for folder in (layout.train.folder, again.train.folder):
        images = list(folder.glob("*.jpg"))
        assert len(images) == 4
        assert {path.stat().st_ino for path in images} <= kept


def test_an_import_of_what_is_there_changes_nothing(
    make_machine: Callable[[str], Machine], source: Any, tmp_path: Path
):
    folder = source.write(tmp_path / "source")
    first = import_version(make_machine("first"), folder)
    again = import_version(make_machine("second"), folder)
    assert again.id == first.id
    assert again.warnings[0].code == "dataset.unchanged"


def test_a_lost_image_is_found_before_training(
    make_machine: Callable[[str], Machine], source: Any, tmp_path: Path
):
    folder = source.write(tmp_path / "source")
    first = make_machine("first")
    version = import_version(first, folder)
    assert first.service.find_readiness_problems(LOCAL_ADMINISTRATOR, version.id) == []
    lost = hashlib.sha256((folder / "train" / "0.jpg").read_bytes()).hexdigest()
    open_blob_store(first.settings).remove(lost)
    second = make_machine("second")
    problems = second.service.find_readiness_problems(LOCAL_ADMINISTRATOR, version.id)
    assert [problem.code for problem in problems] == ["dataset.files_missing"]
    with pytest.raises(NotFound) as refusal:
        second.service.lay_out(LOCAL_ADMINISTRATOR, version.id, tmp_path / "laid")
    assert refusal.value.parameters == {"digest": lost}


def test_what_versions_name_is_not_collected(
    make_machine: Callable[[str], Machine], source: Any, tmp_path: Path
):
    machine = make_machine("first")
    version = import_version(machine, source.write(tmp_path / "source"))
    store = open_blob_store(machine.settings)
    unnamed = store.put_bytes(os.urandom(100))
    named = machine.service.list_blob_digests(LOCAL_ADMINISTRATOR)
    assert collect_blobs(store, named, LaterClock()).blob_count == 1
    assert not store.has(unnamed)
    assert make_machine("second").service.find_readiness_problems(LOCAL_ADMINISTRATOR, version.id) == []


def test_an_import_whose_storage_is_away_leaves_no_version(
    settings: Settings, database: Database, source: Any, tmp_path: Path
):
    away = settings.model_copy(update={"storage_url": (tmp_path / "not mounted").as_uri()})
    machine = Machine(away, DatasetService(database, open_blob_store(away), away, SystemClock()))
    with pytest.raises(Unavailable):
        import_version(machine, source.write(tmp_path / "source"))
    with database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM dataset_versions")).scalar() == 0
    assert [
        path for path in (away.home / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"
    ] == []
