"""What real exports look like, and what becomes of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import DatasetVersionView


def read_layout(
    service: DatasetService, version: DatasetVersionView, folder: Path, part: str
) -> dict[str, Any]:
    service.lay_out(LOCAL_ADMINISTRATOR, version.id, folder)
    return json.loads((folder / part / "annotations_coco.json").read_text())


def find_boxes(coco: dict[str, Any], file_name: str) -> list[Any]:
    image = next(image["id"] for image in coco["images"] if image["file_name"] == file_name)
    return [a["bbox"] for a in coco["annotations"] if a["image_id"] == image]


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        ([-2, -2, 10, 10], [0, 0, 8, 8]),
        ([40, 20, 22, 22], [40, 20, 20, 20]),
        ([0, 0, 60, 40], [0, 0, 60, 40]),
        ([59.5, 39.5, 2, 2], [59.5, 39.5, 0.5, 0.5]),
    ],
)
def test_an_overrun_by_rounding_is_clipped(
    source: Any,
    import_source: Any,
    service: DatasetService,
    tmp_path: Path,
    box: list[float],
    kept: list[float],
) -> None:
    number = source["train"].add_box(1, box, area=1000)
    version = import_source(source)
    coco = read_layout(service, version, tmp_path / "data", "train")
    assert kept in find_boxes(coco, "0.jpg")
    assert next(a["area"] for a in coco["annotations"] if a["bbox"] == kept) == min(
        1000, kept[2] * kept[3] if box != kept else 1000
    )
    clipped = [notice for notice in version.warnings if notice.code == "dataset.box_clipped"]
    if box == kept:
        assert clipped == []
    else:
        assert clipped[0].count == 1
        assert clipped[0].examples == (f"train/annotations_coco.json: annotation {number}",)


def test_one_percent_of_a_large_image(import_source: Any, source: Any, encode_image: Any) -> None:
    image = source["train"].add_image("large.png", encode_image(77, "PNG", size=(1000, 10)), 1000, 10)
    source["train"].add_box(image, [900, 1, 110, 5])
    assert import_source(source).warnings[0].code == "dataset.box_clipped"


def test_missing_area_and_crowd_are_derived(
    source: Any, import_source: Any, service: DatasetService, tmp_path: Path
) -> None:
    source["train"].add_box(1, [1, 2, 10, 20.5], area=None, iscrowd=None)
    source["train"].add_box(1, [2, 2, 10, 20.5], area=99, iscrowd=True)
    coco = read_layout(service, import_source(source), tmp_path / "data", "train")
    found = {tuple(a["bbox"]): (a["area"], a["iscrowd"]) for a in coco["annotations"]}
    assert found[1, 2, 10, 20.5] == (205, 0)
    assert found[2, 2, 10, 20.5] == (99, 1)


def test_crowds_are_flagged_and_not_counted(source: Any, import_source: Any) -> None:
    source["train"].add_box(1, [1, 2, 10, 20], iscrowd=1)
    image = source["train"].add_image("only-crowd.jpg", source["train"].files["0.jpg"] + b"tail")
    source["train"].add_box(image, [1, 2, 10, 20], iscrowd=1)
    train = import_source(source).parts["train"]
    assert (train.box_count, train.crowd_count, train.background_count) == (4, 2, 0)


def test_background_images_are_kept(source: Any, import_source: Any) -> None:
    source["train"].coco["annotations"] = source["train"].coco["annotations"][:1]
    train = import_source(source).parts["train"]
    assert (train.image_count, train.box_count, train.background_count) == (4, 1, 3)


def test_polygons_and_masks_give_their_box(
    source: Any, import_source: Any, service: DatasetService, tmp_path: Path
) -> None:
    mask = np.zeros((40, 60), np.uint8, order="F")
    mask[5:9, 11:30] = 1
    mask[20, 40] = 1
    compressed: Any = coco_mask.encode(mask)
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat, [1 - flat[-1]]])))
    counts = np.diff(np.concatenate([[0], changes])).tolist()
    segmentations = [
        [[5, 6, 25, 6, 25, 16.5], [30, 1, 31, 1, 31, 2]],
        {"counts": compressed["counts"].decode(), "size": [40, 60]},
        {"counts": counts, "size": [40, 60]},
    ]
    whole = np.ones((40, 60), np.uint8, order="F")
    everywhere: Any = coco_mask.encode(whole)
    segmentations.append({"counts": everywhere["counts"].decode(), "size": [40, 60]})
    source["train"].coco["annotations"] = []
    for image, segmentation in enumerate(segmentations, 1):
        source["train"].add_box(image, None, segmentation=segmentation, iscrowd=0)
    coco = read_layout(service, import_source(source), tmp_path / "data", "train")
    expected = coco_mask.toBbox(compressed).tolist()
    assert [find_boxes(coco, f"{n}.jpg") for n in range(4)] == [
        [[5, 1, 26, 15.5]],
        [expected],
        [expected],
        [[0, 0, 60, 40]],
    ]


def test_a_root_without_boxes_is_no_class(source: Any, import_source: Any) -> None:
    for part in source.parts.values():
        part.coco["categories"].insert(0, {"id": 0, "name": "trash", "supercategory": "none"})
        for category in part.coco["categories"][1:]:
            category["supercategory"] = "trash"
    source["train"].coco["categories"].append({"id": 9, "name": "tyre", "supercategory": "tyre"})
    version = import_source(source)
    assert version.classes == ["bottle", "can", "tyre"]
    notices = {notice.code: notice.examples for notice in version.warnings}
    assert notices == {"dataset.supercategory_dropped": ("trash",), "dataset.class_without_boxes": ("tyre",)}


def test_a_root_with_boxes_is_a_class(source: Any, import_source: Any) -> None:
    source["train"].coco["categories"].append({"id": 0, "name": "trash"})
    source["train"].coco["categories"][0]["supercategory"] = "trash"
    source["train"].add_box(1, [1, 1, 5, 5], category_id=0)
    assert import_source(source).classes == ["bottle", "can", "trash"]


def test_classes_are_the_union_by_name(
    source: Any, import_source: Any, service: DatasetService, tmp_path: Path
) -> None:
    source["valid"].coco["categories"] = [{"id": 1, "name": "zinc"}, {"id": 2, "name": "bottle"}]
    version = import_source(source)
    assert version.classes == ["bottle", "can", "zinc"]
    coco = read_layout(service, version, tmp_path / "data", "valid")
    assert [category["name"] for category in coco["categories"]] == version.classes
    labels = {a["image_id"]: a["category_id"] for a in coco["annotations"]}
    assert labels == {1: 3, 2: 1}, "10.jpg has category 1 (zinc), 11.jpg has 2 (bottle)"


def test_any_unicode_is_a_class_name(source: Any, import_source: Any) -> None:
    names = ["Mülldeponie", "垃圾 场", 'a"b\\c', "مخلفات", "🗑️", "'); DROP TABLE datasets;--", "e\u0301"]
    source["train"].coco["categories"] = [{"id": n, "name": name} for n, name in enumerate(names, 1)]
    version = import_source(source)
    assert version.classes == sorted([*names[:-1], "\u00e9", "bottle", "can"])


def test_map_and_single_class(source: Any, import_source: Any) -> None:
    mapped = import_source(source, "mapped", class_map={"can": "metal"})
    assert mapped.classes == ["bottle", "metal"]
    assert mapped.parts["train"].boxes_by_class == {"bottle": 2, "metal": 2}
    swapped = import_source(source, "swapped", class_map={"can": "bottle", "bottle": "can"})
    assert swapped.classes == ["bottle", "can"]
    assert swapped.digest != import_source(source, "plain").digest
    single = import_source(source, "single", single_class="waste")
    assert single.classes == ["waste"]
    assert single.parts["train"].boxes_by_class == {"waste": 4}
    assert single.options["single_class"] == "waste"


@pytest.mark.parametrize("name", ["_annotations.coco.json", "annotations.json", "coco_annotations.json"])
def test_names_and_places_of_exports(source: Any, import_source: Any, tmp_path: Path, name: str) -> None:
    plain = import_source(source, "plain")
    other = source.copy()
    other.parts["val"] = other.parts.pop("valid")
    for part in other.parts.values():
        part.json_name = name
        part.files = {f"images/{file}": content for file, content in part.files.items()}
    other.write(tmp_path / "top" / "export")
    (tmp_path / "top" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "top" / "export" / "README.txt").write_bytes(b"x")
    assert import_source(tmp_path / "top", "other").digest == plain.digest


def test_paths_in_file_names(
    source: Any, import_source: Any, service: DatasetService, tmp_path: Path
) -> None:
    content = source["train"].files.pop("0.jpg")
    source["train"].files["a/b/0 ü.jpg"] = content
    source["train"].coco["images"][0]["file_name"] = ".\\a\\b\\0 ü.jpg"
    version = import_source(source)
    coco = read_layout(service, version, tmp_path / "data", "train")
    assert "a/b/0 ü.jpg" in {image["file_name"] for image in coco["images"]}
    assert (tmp_path / "data" / "train" / "a" / "b" / "0 ü.jpg").read_bytes() == content


def test_a_byte_order_mark_is_no_matter(source: Any, import_source: Any, tmp_path: Path) -> None:
    plain = import_source(source, "plain")
    folder = source.write(tmp_path / "marked")
    path = folder / "train" / "annotations_coco.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert import_source(folder, "marked").digest == plain.digest


def test_images_that_no_record_names_are_told(source: Any, import_source: Any) -> None:
    source["train"].files["extra.jpg"] = b"never looked at"
    version = import_source(source)
    assert [(n.code, n.count) for n in version.warnings] == [("dataset.image_not_listed", 1)]


def test_a_leak_that_was_allowed_is_recorded(
    source: Any, import_source: Any, service: DatasetService
) -> None:
    source["test"].files["20.jpg"] = source["train"].files["1.jpg"]
    version = import_source(source, allow_leak=True)
    assert version.leak_allowed
    assert version.leaked_image_count == 2
    found = service.find_readiness_problems(LOCAL_ADMINISTRATOR, version.id)
    assert [(finding.code, finding.severity) for finding in found] == [("dataset.leak", "warning")]


def test_the_same_name_with_other_content_is_no_leak(source: Any, import_source: Any) -> None:
    image = source["test"].coco["images"][0]
    source["test"].files["0.jpg"] = source["test"].files.pop(image["file_name"])
    image["file_name"] = "0.jpg"
    version = import_source(source)
    assert version.leaked_image_count == 0


def test_an_empty_test_part_is_imported_and_not_ready(
    source: Any, import_source: Any, service: DatasetService, tmp_path: Path
) -> None:
    del source.parts["test"]
    version = import_source(source)
    assert version.parts["test"].image_count == 0
    (finding,) = service.find_readiness_problems(LOCAL_ADMINISTRATOR, version.id)
    assert (finding.code, finding.severity) == ("dataset.part_without_boxes", "error")
    layout = service.lay_out(LOCAL_ADMINISTRATOR, version.id, tmp_path / "data")
    assert layout.test.image_count == 0
    assert json.loads((layout.test.folder / "annotations_coco.json").read_text())["images"] == []


def test_a_class_that_train_lacks_is_told(source: Any, import_source: Any, service: DatasetService) -> None:
    source["test"].coco["categories"][1]["name"] = "tyre"
    found = service.find_readiness_problems(LOCAL_ADMINISTRATOR, import_source(source).id)
    assert [finding.code for finding in found] == ["dataset.class_not_in_train"]
