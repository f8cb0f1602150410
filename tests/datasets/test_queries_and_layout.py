"""Finding datasets and versions again, and laying them out."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.datasets.service import DatasetService
from raven_scan.kernel.errors import NotFound
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blobs import LocalBlobStore

Import = Callable[..., Any]


def add_version(source: Any, import_source: Import) -> Any:
    source["train"].add_box(1, [1, 1, 5, 5])
    return import_source(source)


def test_references(source: Any, import_source: Import, service: DatasetService) -> None:
    first = import_source(source)
    second = add_version(source, import_source)
    for ref, version in (
        ("waste", second),
        ("waste@1", first),
        ("waste@2", second),
        (str(first.dataset_id), second),
        (f"{first.dataset_id}@1", first),
        (str(first.id), first),
        (str(second.id), second),
    ):
        assert service.get_version(LOCAL_ADMINISTRATOR, ref).id == version.id, ref
    assert [v.number for v in service.get_dataset(LOCAL_ADMINISTRATOR, "waste").versions] == [2, 1]
    assert [v.number for v in service.get_dataset(LOCAL_ADMINISTRATOR, "waste@1").versions] == [1]
    assert [v.number for v in service.get_dataset(LOCAL_ADMINISTRATOR, str(first.id)).versions] == [1]
    for ref in (
        "",
        "wast",
        "waste@",
        "waste@0",
        "waste@3",
        "waste@1@1",
        "waste@-1",
        "waste@²",
        "@1",
        str(uuid4()),
        "waste@9999999999999",
    ):
        with pytest.raises(NotFound):
            service.get_version(LOCAL_ADMINISTRATOR, ref)
        with pytest.raises(NotFound):
            service.get_dataset(LOCAL_ADMINISTRATOR, ref)


def test_what_is_read_is_what_was_answered(
    source: Any, import_source: Import, service: DatasetService
) -> None:
    source["train"].add_box(1, [55, 1, 6, 5])
    version = import_source(source, class_map={"can": "tin"})
    assert service.get_version(LOCAL_ADMINISTRATOR, "waste") == version
    assert list(service.get_version(LOCAL_ADMINISTRATOR, "waste").parts) == ["train", "valid", "test"]


def test_pages(source: Any, import_source: Import, service: DatasetService) -> None:
    for number in range(5):
        import_source(source, f"d{number}")
    add_version(source, lambda source: import_source(source, "d1"))
    names: list[str] = []
    cursor = None
    while True:
        page = service.list_datasets(LOCAL_ADMINISTRATOR, PageRequest.parse(2, cursor))
        names += [dataset.name for dataset in page.items]
        assert all(len(dataset.versions) == 1 for dataset in page.items)
        if page.next is None:
            break
        cursor = page.next
    assert names == ["d4", "d3", "d2", "d1", "d0"]
    everything = service.list_datasets(LOCAL_ADMINISTRATOR, PageRequest()).items
    assert [dataset.versions[0].number for dataset in everything] == [1, 1, 1, 2, 1]


def test_layout_ids_and_order(
    source: Any, import_source: Import, service: DatasetService, tmp_path: Path
) -> None:
    source["train"].coco["images"].reverse()
    version = import_source(source)
    layout = service.lay_out(WORKER, version.id, tmp_path / "data")
    assert layout.train.folder == tmp_path / "data" / "train"
    coco = json.loads((layout.train.folder / "annotations_coco.json").read_text())
    assert [image["id"] for image in coco["images"]] == [1, 2, 3, 4]
    assert [image["file_name"] for image in coco["images"]] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert [a["image_id"] for a in coco["annotations"]] == [1, 2, 3, 4]
    assert coco["raven"] == {
        "dataset_version": str(version.id),
        "digest": version.digest,
        "pixel_rules": {"bands": None, "percentiles": None},
    }
    assert UUID(coco["raven"]["dataset_version"]) == version.id


def test_layout_is_mended(
    source: Any, import_source: Import, service: DatasetService, tmp_path: Path
) -> None:
    """One that was cut off, or is of another version, becomes whole."""
    version = import_source(source)
    folder = tmp_path / "data"
    service.lay_out(WORKER, version.id, folder)
    (folder / "layout.json").unlink()
    (folder / "train" / "0.jpg").unlink()
    (folder / "train" / "1.jpg").unlink()
    (folder / "train" / "1.jpg").write_bytes(b"x")
    (folder / "train" / "2.jpg").unlink()
    (folder / "train" / "2.jpg").symlink_to(tmp_path / "nothing")
    (folder / "valid" / "annotations_coco.json").write_bytes(b"{")
    service.lay_out(WORKER, version.id, folder)
    assert (folder / "train" / "0.jpg").read_bytes() == source["train"].files["0.jpg"]
    assert (folder / "train" / "1.jpg").read_bytes() == source["train"].files["1.jpg"]
    assert json.loads((folder / "valid" / "annotations_coco.json").read_text())["images"]
    second = add_version(source, import_source)
    service.lay_out(WORKER, second.id, folder)
    assert len(json.loads((folder / "train" / "annotations_coco.json").read_text())["annotations"]) == 5


def test_a_lost_blob_is_found_and_mended_by_importing_again(
    source: Any, import_source: Import, service: DatasetService, tmp_path: Path, settings: Settings
) -> None:
    version = import_source(source)
    service.lay_out(WORKER, version.id, tmp_path / "data")
    lost = hashlib.sha256(source["train"].files["0.jpg"]).hexdigest()
    LocalBlobStore(settings.blobs_folder).remove(lost)
    (finding,) = service.find_readiness_problems(LOCAL_ADMINISTRATOR, version.id)
    assert (finding.code, finding.severity) == ("dataset.files_missing", "error")
    with pytest.raises(NotFound):
        service.lay_out(WORKER, version.id, tmp_path / "other")
    assert import_source(source).id == version.id
    assert service.find_readiness_problems(LOCAL_ADMINISTRATOR, version.id) == []


def test_equal_images_are_stored_once(source: Any, import_source: Import, settings: Settings) -> None:
    import_source(source, "a")
    files = set(settings.blobs_folder.glob("??/??/*"))
    assert len(files) == 8 + 2
    assert all(path.stat().st_mode & 0o777 == 0o400 for path in files)
    import_source(source, "b")
    assert set(settings.blobs_folder.glob("??/??/*")) == files
