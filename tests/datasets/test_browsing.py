"""Looking into versions, small pictures that are kept, and checks that store nothing."""

import json
from pathlib import Path

import pytest
from tests.training_runs.conftest import write_coco

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform, build_services
from raven_scan.datasets.browsing import BOX_SIDES_PX, BOXES_AN_IMAGE, ImageChoice
from raven_scan.datasets.sample_scenes import make_sample_dataset
from raven_scan.datasets.thumbnails import Thumbnails
from raven_scan.datasets.types import ImportOptions, Part
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Invalid, NotFound
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings


@pytest.fixture
def platform(database: Database, settings: Settings) -> Platform:
    return build_services(settings, database, None)


@pytest.fixture
def scenes(platform: Platform, tmp_path: Path) -> Path:
    """Imported as `scenes`; two classes."""
    folder = tmp_path / "scenes"
    make_sample_dataset(folder, image_count=20, image_size=128)
    for annotations in folder.glob("*/annotations_coco.json"):
        content = json.loads(annotations.read_bytes())
        content["categories"].append({"id": 99, "name": "a tyre"})
        content["annotations"][0]["category_id"] = 99
        annotations.write_text(json.dumps(content))
    platform.datasets.import_version(
        LOCAL_ADMINISTRATOR, folder, ImportOptions(name="scenes"), ignore_progress
    )
    return folder


@pytest.mark.usefixtures("scenes")
def test_images_are_chosen_and_come_with_their_boxes(platform: Platform) -> None:
    def choose(chosen: ImageChoice, first: int = 0, limit: int = 100):
        return platform.dataset_browsing.list_images(
            LOCAL_ADMINISTRATOR, "scenes", chosen, first=first, limit=limit
        )

    version, content = platform.datasets.load_version(LOCAL_ADMINISTRATOR, "scenes")
    everything = choose(ImageChoice())
    assert [each.file_name for each in everything.items] == content.images["file_name"].to_list()
    assert sum(len(each.boxes) for each in everything.items) == content.boxes.height
    for row, image in enumerate(everything.items):
        own = content.boxes.filter(content.boxes["image"] == row)
        assert sorted((box.label, box.x, box.width) for box in image.boxes) == sorted(
            own.select("label", "x", "width").rows()
        )
        sizes = [box.width * box.height for box in image.boxes]
        assert sizes == sorted(sizes, reverse=True)
    page = choose(ImageChoice(), first=5, limit=3)
    assert (page.items, page.total) == (everything.items[5:8], 20)
    test = choose(ImageChoice(part=Part.TEST))
    assert test.total == version.parts["test"].image_count
    assert {each.part for each in test.items} == {Part.TEST}
    tyres = choose(ImageChoice(class_name="a tyre"))
    assert tyres.total == 3
    assert all(any(box.label == 0 for box in image.boxes) for image in tyres.items)
    assert choose(ImageChoice(class_name="nothing")).total == 0
    empty = choose(ImageChoice(background=True))
    assert empty.total == sum(part.background_count for part in version.parts.values()) > 0
    assert all(not image.boxes for image in empty.items)
    assert choose(ImageChoice(words="TEST_")).total == test.total
    with pytest.raises(NotFound):
        platform.dataset_browsing.list_images(LOCAL_ADMINISTRATOR, "elsewhere", ImageChoice())


@pytest.mark.usefixtures("scenes")
def test_statistics_count_every_image_and_every_box(platform: Platform) -> None:
    version, content = platform.datasets.load_version(LOCAL_ADMINISTRATOR, "scenes")
    statistics = platform.dataset_browsing.get_statistics(LOCAL_ADMINISTRATOR, "scenes")
    for name, part in version.parts.items():
        assert sum(statistics.boxes_by_side[name]) == part.box_count
        assert sum(statistics.images_by_boxes[name]) == part.image_count
        assert statistics.images_by_boxes[name][0] == part.background_count
        assert len(statistics.boxes_by_side[name]) == len(BOX_SIDES_PX) + 1
        assert len(statistics.images_by_boxes[name]) == len(BOXES_AN_IMAGE) + 1
    sides = (content.boxes["width"] * content.boxes["height"]).sqrt()
    assert statistics.median_side_px == pytest.approx(sides.median())


def test_a_check_finds_what_an_import_would_and_stores_nothing(
    platform: Platform, scenes: Path, settings: Settings, tmp_path: Path
) -> None:
    options = ImportOptions(name="new", class_map={"a tyre": "tyre"})
    blobs = sorted(settings.blobs_folder.rglob("*"))
    findings = platform.datasets.check_source(LOCAL_ADMINISTRATOR, scenes, options)
    assert findings.classes == ["tyre", "waste"]
    assert sorted(settings.blobs_folder.rglob("*")) == blobs
    with pytest.raises(NotFound):
        platform.datasets.get_dataset(LOCAL_ADMINISTRATOR, "new")
    made = platform.datasets.import_version(LOCAL_ADMINISTRATOR, scenes, options)
    assert (made.classes, made.parts, made.image_bytes) == (
        findings.classes,
        findings.parts,
        findings.image_bytes,
    )
    broken = write_coco(tmp_path / "broken", images_a_part=2)
    next((broken / "train").glob("*.jpg")).unlink()
    with pytest.raises(Invalid) as refused:
        platform.datasets.check_source(LOCAL_ADMINISTRATOR, broken, options)
    assert refused.value.code == "dataset.refused"


def test_the_sample_is_drawn_and_imported(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    def make_small(folder: Path, **named: object) -> object:
        del named["progress"]
        return make_sample_dataset(folder, image_count=10, image_size=128)

    monkeypatch.setattr("raven_scan.datasets.sample_scenes.make_sample_dataset", make_small)
    version = platform.datasets.import_sample(LOCAL_ADMINISTRATOR, "sample")
    assert version.full_name == "sample@1"
    assert list(platform.settings.work_folder.iterdir()) == []


def test_small_pictures_are_made_once_and_the_oldest_make_room(tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path / "kept", largest_bytes=1000)
    made: list[str] = []

    def make(key: str) -> bytes:
        def draw() -> bytes:
            made.append(key)
            return key.encode() * 100

        return thumbnails.get(key, draw)

    assert make("a") == make("a") == b"a" * 100
    assert made == ["a"]
    for key in "bcdefghijkl":
        make(key)
    thumbnails.make_room()
    assert sum(path.stat().st_size for path in (tmp_path / "kept").glob("*/*")) <= 800
    made.clear()
    make("l")
    assert made == []


def test_a_folder_that_cannot_be_written_keeps_nobody_from_looking(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("in the way")
    assert Thumbnails(tmp_path / "kept").get("a", lambda: b"picture") == b"picture"
