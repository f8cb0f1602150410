import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raven_scan.trainer.data.coco_columns import BadPartError, read_coco_columns


def write_part(folder: Path, **changes: Any) -> Path:
    document: dict[str, Any] = {
        "images": [
            {"id": 9, "file_name": "b.jpg", "width": 100, "height": 50},
            {"id": 4, "file_name": "a.jpg", "width": 30, "height": 40, "exif_orientation": 6},
            {"id": 5, "file_name": "empty.jpg", "width": 30, "height": 40},
        ],
        "annotations": [
            {"id": 1, "image_id": 4, "category_id": 20, "bbox": [1, 2, 3, 4], "iscrowd": 1},
            {"id": 2, "image_id": 9, "category_id": 10, "bbox": [90.5, 40, 20, 20], "area": 400},
            {"id": 3, "image_id": 4, "category_id": 10, "bbox": [0, 0, 30, 40], "iscrowd": 0},
            {"id": 4, "image_id": 9, "category_id": 10, "bbox": [100, 0, 5, 5]},
        ],
        "categories": [{"id": 20, "name": "metal"}, {"id": 10, "name": "glass", "supercategory": "x"}],
        "info": {"anything": [1]},
    }
    (folder / "annotations_coco.json").write_text(json.dumps(document | changes))
    return folder


def test_boxes_are_sorted_by_image_and_labelled_by_class_order(tmp_path: Path):
    columns = read_coco_columns(write_part(tmp_path), ["glass", "metal"])
    assert columns.file_names == ("b.jpg", "a.jpg", "empty.jpg")
    assert columns.image_ids.tolist() == [9, 4, 5]
    assert columns.offsets.tolist() == [0, 1, 3, 3]
    assert columns.labels.tolist() == [0, 1, 0]
    assert columns.crowds.tolist() == [False, True, False]
    assert columns.exif_orientations.tolist() == [1, 6, 1]
    # The first box is clipped to its image; the one that lies beside it is left out.
    assert columns.boxes.tolist() == [[90.5, 40, 100, 50], [1, 2, 4, 6], [0, 0, 30, 40]]
    assert columns.boxes.dtype == np.float32


def test_the_pixel_rules_are_read(tmp_path: Path):
    rules = {"bands": [3, 0, 1], "percentiles": [[0, 100.5], [1, 2], [3, 4]]}
    columns = read_coco_columns(write_part(tmp_path, raven={"pixel_rules": rules}), ["glass", "metal"])
    assert columns.pixel_rules.bands == (3, 0, 1)
    assert columns.pixel_rules.percentiles == ((0.0, 100.5), (1.0, 2.0), (3.0, 4.0))
    assert read_coco_columns(write_part(tmp_path), ["glass", "metal"]).pixel_rules.bands is None


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"images": 5}, "is not COCO"),
        ({"annotations": [{"image_id": 1, "category_id": 10, "bbox": [0, 0, 1, 1]}]}, "image or category"),
        ({"annotations": [{"image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 1]}]}, "image or category"),
        ({"annotations": [{"image_id": 9, "category_id": 10, "bbox": [0, 0, 1]}]}, "is not COCO"),
        ({"images": [{"id": 9, "file_name": "x", "width": 1, "height": 1}] * 2}, "two images of one id"),
        ({"categories": [{"id": 10, "name": "paper"}]}, r"does not know: \['paper'\]"),
    ],
)
def test_a_file_that_is_no_part_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], complaint: str):
    with pytest.raises(BadPartError, match=complaint) as refusal:
        read_coco_columns(write_part(tmp_path, **changes), ["glass", "metal"])
    assert str(tmp_path / "annotations_coco.json") in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(BadPartError, match="is missing"):
        read_coco_columns(tmp_path, ["glass"])
