"""A real dataset, from import to layout."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.settings import Settings
from raven_scan.pixels.reading import read_image
from raven_scan.pixels.rules import PixelRules


@pytest.fixture
def aquatrash(shared_folder: Path) -> Path:
    return shared_folder / "data" / "aquatrash"


def test_import_and_layout(
    service: DatasetService, aquatrash: Path, tmp_path: Path, settings: Settings
) -> None:
    stages: list[tuple[str, int, int]] = []
    options = ImportOptions(name="aquatrash", single_class="waste")
    version = service.import_version(
        LOCAL_ADMINISTRATOR,
        aquatrash,
        options,
        lambda stage, done, total: stages.append((stage, done, total)),
    )
    assert version.full_name == "aquatrash@1"
    assert version.classes == ["waste"]
    assert {name: part.image_count for name, part in version.parts.items()} == {
        "train": 258,
        "valid": 55,
        "test": 56,
    }
    assert {name: part.box_count for name, part in version.parts.items()} == {
        "train": 324,
        "valid": 76,
        "test": 69,
    }
    assert version.warnings == []
    assert ("checking images", 369, 369) in stages
    assert service.find_readiness_problems(LOCAL_ADMINISTRATOR, version.id) == []

    blobs = {path.stat().st_ino for path in settings.blobs_folder.glob("??/??/*")}
    layout = service.lay_out(WORKER, version.id, tmp_path / "data")
    assert (layout.train.image_count, layout.valid.image_count, layout.test.image_count) == (258, 55, 56)
    for name in ("train", "valid", "test"):
        laid_out = json.loads((tmp_path / "data" / name / "annotations_coco.json").read_text())
        source = json.loads((aquatrash / name / "annotations_coco.json").read_text())
        assert laid_out["categories"] == [{"id": 1, "name": "waste"}]
        assert _list_boxes(laid_out) == _list_boxes(source)
        for image in laid_out["images"]:
            link = tmp_path / "data" / name / image["file_name"]
            assert link.stat().st_ino in blobs
            assert link.read_bytes() == (aquatrash / name / image["file_name"]).read_bytes()
        image = laid_out["images"][0]
        pixels = read_image(
            tmp_path / "data" / name / image["file_name"],
            PixelRules.from_json(laid_out["raven"]["pixel_rules"]),
            exif_orientation=image["exif_orientation"],
        )
        assert pixels.shape == (image["height"], image["width"], 3)
    before = {path: path.lstat().st_mtime_ns for path in (tmp_path / "data").rglob("*")}
    assert service.lay_out(WORKER, version.id, tmp_path / "data") == layout
    assert before == {path: path.lstat().st_mtime_ns for path in (tmp_path / "data").rglob("*")}


def _list_boxes(coco: dict[str, Any]) -> list[Any]:
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    return sorted(
        (names[a["image_id"]], np.round(a["bbox"], 6).tolist(), round(a["area"], 6), a["iscrowd"])
        for a in coco["annotations"]
    )


def test_a_zip_of_it_is_the_same_version(
    service: DatasetService, aquatrash: Path, tmp_path: Path, settings: Settings
) -> None:
    first = service.import_version(LOCAL_ADMINISTRATOR, aquatrash, ImportOptions(name="a"))
    assert first.classes == ["glass", "metal", "paper", "plastic"]
    shutil.make_archive(str(tmp_path / "packed"), "zip", aquatrash.parent, "aquatrash")
    again = service.import_version(LOCAL_ADMINISTRATOR, tmp_path / "packed.zip", ImportOptions(name="a"))
    assert again.id == first.id
    assert [notice.code for notice in again.warnings] == ["dataset.unchanged"]
    merged = ImportOptions(name="a", class_map={"glass": "hard", "metal": "hard"})
    second = service.import_version(LOCAL_ADMINISTRATOR, aquatrash, merged)
    assert second.full_name == "a@2"
    assert second.classes == ["hard", "paper", "plastic"]
    assert second.digest != first.digest
    assert list(settings.work_folder.iterdir()) == []
    assert list((settings.blobs_folder / "incoming").iterdir()) == []
