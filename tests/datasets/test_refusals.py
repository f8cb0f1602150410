"""Every kind of bad input: named by file and record, all at once, and nothing is stored."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raven_scan.access.types import LOCAL_ADMINISTRATOR, Actor, Claim
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.errors import Forbidden, Invalid, NotFound
from raven_scan.kernel.settings import Settings

FindProblems = Callable[..., list[tuple[str, str, str]]]
TRAIN = "train/annotations_coco.json"


def test_missing_image(source: Any, find_problems: FindProblems) -> None:
    del source["train"].files["2.jpg"]
    assert find_problems(source) == [("missing_image", TRAIN, "image 3")]


@pytest.mark.parametrize("cut", [1, 700])
def test_truncated_image(source: Any, find_problems: FindProblems, cut: int) -> None:
    source["valid"].files["10.jpg"] = source["valid"].files["10.jpg"][:-cut]
    assert find_problems(source) == [("image_truncated", "valid/10.jpg", "image 1 of annotations_coco.json")]


def test_not_an_image(source: Any, find_problems: FindProblems) -> None:
    source["valid"].files["10.jpg"] = b"<html>not found</html>"
    assert find_problems(source) == [
        ("image_not_an_image", "valid/10.jpg", "image 1 of annotations_coco.json")
    ]


@pytest.mark.parametrize(
    ("content", "code", "record"),
    [
        (b"", "not_json", "line 1, column 1"),
        (b'{"images": [],\n "annotations" []}', "not_json", "line 2, column 16"),
        (b"[1, 2]", "not_coco", ""),
        (b'{"images": 5}', "not_coco", "images"),
        (b"[" * 100_000, "not_json", ""),
        (b'{"images": ' + b"[" * 100_000, "not_json", ""),
        (b"\xff\xfe{\x00}\x00", "not_json", ""),
        (b'{"a": ' + b"9" * 5000 + b"}", "not_json", ""),
    ],
)
def test_no_coco(
    source: Any, find_problems: FindProblems, tmp_path: Path, content: bytes, code: str, record: str
) -> None:
    source.write(tmp_path / "s")
    (tmp_path / "s" / "valid" / "annotations_coco.json").write_bytes(content)
    problems = find_problems(tmp_path / "s")
    assert (code, "valid/annotations_coco.json") == problems[0][:2]
    assert problems[0][2] == record


@pytest.mark.parametrize(
    ("box", "code"),
    [
        ([-3, 4, 20, 10], "box_outside"),
        ([3, 4, 60, 10], "box_outside"),
        ([3, 4, 20, 39], "box_outside"),
        ([1000, 1000, 5, 5], "box_outside"),
        ([61, 4, 1, 5], "box_no_area"),
        ([3, 4, 0, 10], "box_no_area"),
        ([3, 4, 20, -10], "box_no_area"),
        ([3, 4, float("nan"), 10], "box_not_finite"),
        ([3, 4, 20, float("inf")], "box_not_finite"),
        ([3, 4, 20], "bad_box"),
        ([3, 4, 20, 10, 5], "bad_box"),
        ([3, 4, 20, "10"], "bad_record"),
        (None, "no_box"),
        ([], "no_box"),
    ],
)
def test_bad_box(source: Any, find_problems: FindProblems, box: list[float] | None, code: str) -> None:
    number = source["train"].add_box(2, box)
    assert find_problems(source) == [(code, TRAIN, f"annotation {number}")]


@pytest.mark.parametrize(
    "segmentation",
    [
        [],
        [[]],
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5]],
        "polygon",
        {"counts": [5], "size": [40, 60]},
        {"counts": [-1, 2401], "size": [40, 60]},
        {"counts": [2400], "size": [40, 60]},
        {"counts": "", "size": [40, 60]},
        {"counts": "\u00e9", "size": [40, 60]},
        {"counts": "oooooooooooooooooooo", "size": [40, 60]},
        {"counts": [0, 2400], "size": [0, 0]},
        {"counts": [0, 2400]},
    ],
)
def test_segmentation_that_gives_no_box(source: Any, find_problems: FindProblems, segmentation: Any) -> None:
    number = source["train"].add_box(2, None, segmentation=segmentation)
    assert find_problems(source) == [("no_box", TRAIN, f"annotation {number}")]


def test_unknown_category_and_image(source: Any, find_problems: FindProblems) -> None:
    source["train"].add_box(2, [1, 1, 5, 5], category_id=77)
    source["train"].add_box(99, [1, 1, 5, 5])
    assert find_problems(source) == [
        ("unknown_image", TRAIN, "annotation 6"),
        ("unknown_category", TRAIN, "annotation 5"),
    ]


@pytest.mark.parametrize("section", ["images", "annotations", "categories"])
def test_repeated_ids(source: Any, find_problems: FindProblems, section: str) -> None:
    records = source["train"].coco[section]
    records[1]["id"] = records[0]["id"]
    noun = {"images": "image", "annotations": "annotation", "categories": "category"}[section]
    assert ("repeated_id", TRAIN, f"{noun} 1") in find_problems(source)


@pytest.mark.parametrize("identifier", ["7", 2**70, 1.5, None, [1]])
def test_ids_that_are_none(source: Any, find_problems: FindProblems, identifier: Any) -> None:
    source["train"].coco["annotations"][2]["id"] = identifier
    ((code, file, record),) = find_problems(source)
    assert (code, file) == ("bad_record", TRAIN)
    assert record in ("annotation at position 3", f"annotation {identifier}")


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        ("image 2", {"width": "60"}),
        ("image 2", {"file_name": 5}),
        ("annotation 2", {"image_id": "2"}),
        ("annotation 2", {"area": "5"}),
        ("annotation 2", {"iscrowd": "no"}),
        ("category 2", {"name": None}),
        ("category 2", {"name": "\udfff"}),
        ("image 2", {"file_name": "\ud800"}),
        ("annotation 2", {"\ud800": 1}),
        ("annotation 2", {"bbox": None, "segmentation": {"counts": "\ud800", "size": [40, 60]}}),
    ],
)
def test_fields_of_another_type(
    source: Any, find_problems: FindProblems, record: str, fields: dict[str, Any]
) -> None:
    section = {"image": "images", "annotation": "annotations", "category": "categories"}[
        record.partition(" ")[0]
    ]
    source["train"].coco[section][1].update(fields)
    assert record in [place for _, file, place in find_problems(source) if file == TRAIN]


def test_missing_fields(source: Any, find_problems: FindProblems) -> None:
    del source["train"].coco["images"][3]["width"]
    del source["train"].coco["annotations"][0]["category_id"]
    problems = find_problems(source)
    assert ("bad_record", TRAIN, "image 4") in problems
    assert ("bad_record", TRAIN, "annotation 1") in problems


def test_a_constant_that_json_does_not_know(source: Any, find_problems: FindProblems) -> None:
    source["train"].coco["info"] = {"score": float("nan")}
    assert find_problems(source) == [("not_json", TRAIN, "")]
    source["train"].coco["info"] = {}
    source["train"].coco["annotations"][1]["area"] = float("-inf")
    assert find_problems(source) == [("area_not_finite", TRAIN, "annotation 2")]


def test_two_images_of_one_name(source: Any, find_problems: FindProblems) -> None:
    source["train"].coco["images"][1]["file_name"] = "./0.jpg"
    assert find_problems(source)[0] == ("repeated_file_name", TRAIN, "image 2")


@pytest.mark.parametrize(
    "name",
    [
        "../valid/10.jpg",
        "/etc/passwd",
        "..\\valid\\10.jpg",
        "C:\\a.jpg",
        "a\u0000.jpg",
        "a\n.jpg",
        "",
        ".",
        "a/..",
        "x.json",
    ],
)
def test_file_names_that_lead_elsewhere(source: Any, find_problems: FindProblems, name: str) -> None:
    source["train"].coco["images"][1]["file_name"] = name
    assert find_problems(source) == [("bad_file_name", TRAIN, "image 2")]


def test_file_name_longer_than_any(source: Any, find_problems: FindProblems) -> None:
    source["train"].coco["images"][1]["file_name"] = "a" * 5000
    assert find_problems(source) == [("missing_image", TRAIN, "image 2")]


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\u0000", "x" * 201, "\u2028"])
def test_class_names_that_are_none(source: Any, find_problems: FindProblems, name: str) -> None:
    source["train"].coco["categories"][0]["name"] = name
    assert find_problems(source) == [("bad_class_name", TRAIN, "category 1")]


@pytest.mark.parametrize("part", ["train", "valid"])
def test_empty_part(source: Any, find_problems: FindProblems, part: str) -> None:
    source[part].coco.update(images=[], annotations=[])
    assert ("empty_part", f"{part}/annotations_coco.json", "images") in find_problems(source)
    del source.parts[part]
    assert ("empty_part", part, "") in find_problems(source)


def test_a_part_without_annotations_or_with_two(
    source: Any, find_problems: FindProblems, tmp_path: Path
) -> None:
    folder = source.write(tmp_path / "s")
    (folder / "valid" / "annotations_coco.json").rename(folder / "valid" / "labels.json")
    assert find_problems(folder) == [("no_annotations", "valid", "")]
    for name in ("annotations.json", "_annotations.coco.json"):
        (folder / "valid" / name).write_bytes((folder / "valid" / "labels.json").read_bytes())
    assert find_problems(folder) == [("ambiguous_form", "valid", "")]


def test_val_beside_valid(source: Any, find_problems: FindProblems, tmp_path: Path) -> None:
    folder = source.write(tmp_path / "s")
    source["valid"].write(folder / "val")
    assert ("ambiguous_form", "val", "") in find_problems(folder)


def test_identical_content_in_two_parts(source: Any, find_problems: FindProblems) -> None:
    source["test"].files["20.jpg"] = source["train"].files["1.jpg"]
    assert find_problems(source) == [("leak", "test/20.jpg", "")]


def test_size_that_is_neither(source: Any, find_problems: FindProblems) -> None:
    source["train"].coco["images"][0]["height"] = 41
    assert find_problems(source) == [("size_mismatch", "train/0.jpg", "image 1 of annotations_coco.json")]
    source["train"].coco["images"][0].update(height=60, width=40)
    source["train"].coco["annotations"][0]["bbox"] = [3, 4, 5, 5]
    assert find_problems(source) == [("size_mismatch", "train/0.jpg", "image 1 of annotations_coco.json")]


def test_too_large_an_image(
    source: Any, find_problems: FindProblems, service: DatasetService, settings: Settings
) -> None:
    service._settings = settings.model_copy(update={"largest_image_pixels": 2399})
    problems = find_problems(source)
    assert {code for code, _, _ in problems} == {"image_too_large"}
    assert len(problems) == 8


def test_all_problems_in_one_report(source: Any, find_problems: FindProblems) -> None:
    del source["train"].files["2.jpg"]
    source["train"].add_box(1, [500, 1, 5, 5])
    source["train"].add_box(77, [1, 1, 5, 5])
    source["valid"].files["10.jpg"] = b"no"
    source["valid"].coco["annotations"][1]["bbox"][0] = float("nan")
    source["test"].coco["images"][1]["id"] = "b"
    source["test"].files["20.jpg"] = source["train"].files["1.jpg"]
    assert {code for code, _, _ in find_problems(source)} == {
        "missing_image",
        "box_outside",
        "unknown_image",
        "image_not_an_image",
        "box_not_finite",
        "bad_record",
        "leak",
    }


def test_more_problems_than_a_list_holds(source: Any, import_source: Any) -> None:
    for _ in range(1500):
        source["train"].coco["annotations"].append(
            {"id": 1, "image_id": 1, "category_id": 9, "bbox": [1, 1, 2, 2]}
        )
    with pytest.raises(Invalid) as refusal:
        import_source(source)
    assert len(refusal.value.parameters["problems"]) == 1000
    assert refusal.value.parameters["counts"] == {"dataset.unknown_category": 1500, "dataset.repeated_id": 1}
    assert refusal.value.parameters["problem_count"] == 1501


@pytest.mark.parametrize(
    ("files", "form"),
    [
        (["data.yaml", "train/images/a.jpg", "train/labels/a.txt"], "YOLO"),
        (["images/a.jpg", "labels/a.txt"], "YOLO"),
        (["train/a.jpg", "train/a.xml"], "Pascal VOC"),
        (["JPEGImages/a.jpg", "Annotations/a.xml"], "Pascal VOC"),
    ],
)
def test_the_form_of_another_tool_is_named(
    tmp_path: Path, import_source: Any, files: list[str], form: str
) -> None:
    for name in files:
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).touch()
    with pytest.raises(Invalid, match=f"in {form} form") as caught:
        import_source(tmp_path / "source")
    assert caught.value.code == "dataset.unknown_form"


def test_unknown_form(tmp_path: Path, import_source: Any, source: Any) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("text")
    for path, code in (
        (tmp_path / "empty", "dataset.unknown_form"),
        (tmp_path / "absent", "dataset.source_missing"),
        (tmp_path / "a.txt", "dataset.damaged_archive"),
    ):
        with pytest.raises(Invalid) as refusal:
            import_source(path)
        assert refusal.value.code == code
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(Invalid, match=r"^This is no dataset in COCO form") as refusal:
        import_source(tmp_path / "a.zip")
    source["train"].write(tmp_path / "one")
    (tmp_path / "one" / "annotations.json").write_text(json.dumps(source["train"].coco))
    with pytest.raises(Invalid, match="several annotations files"):
        import_source(tmp_path / "one")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"name": "a/b"}, "dataset.bad_name"),
        ({"single_class": ""}, "dataset.bad_class_name"),
        ({"single_class": "a\nb"}, "dataset.bad_class_name"),
        ({"class_map": {"can": "\u0007"}}, "dataset.bad_class_name"),
        ({"class_map": {"can": "bottle"}, "single_class": "waste"}, "dataset.options_conflict"),
    ],
)
def test_bad_options(source: Any, import_source: Any, options: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid) as refusal:
        import_source(source, **options)
    assert refusal.value.code == code


def test_a_map_from_a_class_that_is_not_there(source: Any, find_problems: FindProblems) -> None:
    assert find_problems(source, class_map={"cans": "metal"}) == [("unknown_class", "--map", "'cans'")]


def test_every_use_case_checks_its_claim(service: DatasetService, source: Any, import_source: Any) -> None:
    version = import_source(source)
    nobody = Actor(
        LOCAL_ADMINISTRATOR.id, "nobody", frozenset(set(Claim) - {Claim.DATASET_IMPORT, Claim.DATASET_VIEW})
    )
    for call in (
        lambda: service.import_version(nobody, Path("x"), ImportOptions(name="x")),
        lambda: service.open_upload(nobody).__enter__(),
    ):
        with pytest.raises(Forbidden):
            call()
    for call in (
        lambda: service.get_version(nobody, "waste"),
        lambda: service.get_dataset(nobody, "waste"),
        lambda: service.lay_out(nobody, version.id, Path("x")),
        lambda: service.find_readiness_problems(nobody, version.id),
    ):
        with pytest.raises(NotFound):
            call()
