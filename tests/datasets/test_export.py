"""Versions as archives: the same each time, and imported again the same version."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raven_scan.access.types import LOCAL_ADMINISTRATOR, Actor, Claim
from raven_scan.datasets.export import DatasetExports
from raven_scan.datasets.service import DatasetService
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Conflict, Forbidden, NotFound
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blobs import LocalBlobStore

ME = LOCAL_ADMINISTRATOR

Import = Callable[..., Any]


@pytest.fixture
def blobs(settings: Settings) -> LocalBlobStore:
    return LocalBlobStore(settings.blobs_folder)


@pytest.fixture
def exports(database: Database, service: DatasetService, blobs: LocalBlobStore) -> DatasetExports:
    return DatasetExports(database, service, blobs)


def export(exports: DatasetExports, ref: str) -> bytes:
    return b"".join(exports.open(ME, ref).chunks)


def test_an_export_is_imported_as_the_same_version(
    source: Any,
    import_source: Import,
    exports: DatasetExports,
    encode_image: Callable[..., bytes],
    tmp_path: Path,
):
    train = source["train"]
    train.add_box(1, [0.1 + 0.2, 1 / 3, 59.9, 12.3], category_id=2)  # it overruns, and is clipped
    train.add_box(2, [1, 2, 3, 4], iscrowd=1, area=5.5)
    train.add_image("nested/größe 垃圾.png", encode_image(77, "PNG"))
    turned = encode_image(78, exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0")
    image = train.add_image("turned.jpg", turned, width=40, height=60)
    train.add_box(image, [30, 50, 9, 9])
    for part in source.parts.values():
        part.coco["categories"].append({"id": 3, "name": "never seen"})
    version = import_source(source)
    archive = tmp_path / "waste.zip"
    archive.write_bytes(export(exports, "waste@1"))
    again = import_source(archive, "again")
    assert again.digest == version.digest
    assert again.parts == version.parts
    assert again.classes == ["bottle", "can", "never seen"]
    assert "dataset.box_clipped" not in {notice.code for notice in again.warnings}


def test_the_same_bytes_each_time(source: Any, import_source: Import, exports: DatasetExports):
    version = import_source(source)
    opened = exports.open(ME, str(version.id))
    assert (opened.file_name, opened.digest) == ("waste@1.zip", version.digest)
    content = b"".join(opened.chunks)
    assert content == export(exports, "waste")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[:2] == ["train/annotations_coco.json", "train/0.jpg"]
        assert archive.read("train/0.jpg") == source["train"].files["0.jpg"]
        coco = json.loads(archive.read("test/annotations_coco.json"))
    assert coco["raven"]["digest"] == version.digest
    assert [image["file_name"] for image in coco["images"]] == ["20.jpg", "21.jpg"]


def test_a_dataset_without_a_test_part(
    source: Any, import_source: Import, exports: DatasetExports, tmp_path: Path
):
    del source.parts["test"]
    version = import_source(source)
    archive = tmp_path / "waste.zip"
    archive.write_bytes(export(exports, "waste"))
    assert import_source(archive, "again").digest == version.digest


def test_lost_images_are_told_before(
    source: Any, import_source: Import, exports: DatasetExports, blobs: LocalBlobStore
):
    import_source(source)
    blobs.remove(hashlib.sha256(source["train"].files["0.jpg"]).hexdigest())
    with pytest.raises(Conflict) as caught:
        exports.open(ME, "waste")
    assert caught.value.code == "dataset.files_missing"


def test_who_may_export(source: Any, import_source: Import, exports: DatasetExports):
    import_source(source)
    with pytest.raises(Forbidden):
        exports.open(Actor(make_id(), "a", frozenset(Claim) - {Claim.DATASET_EXPORT}), "waste")
    with pytest.raises(NotFound):
        exports.open(Actor(make_id(), "b", frozenset(Claim) - {Claim.DATASET_VIEW}), "waste")
    exports.open(Actor(make_id(), "c", frozenset({Claim.DATASET_EXPORT, Claim.DATASET_VIEW})), "waste")
