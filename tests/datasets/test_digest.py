"""Equal content has an equal digest, whatever the source looks like; other content has another."""

import json
import random
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raven_scan.datasets.split import split_images
from raven_scan.datasets.types import DatasetVersionView, Part

ImportSource = Callable[..., DatasetVersionView]


def reorder(part: Any, rng: random.Random) -> None:
    """Other ids, another order, other fields that are not content."""
    coco = part.coco
    images = dict(
        zip((i["id"] for i in coco["images"]), rng.sample(range(-50, 5000), len(coco["images"])), strict=True)
    )
    categories = dict(
        zip(
            (c["id"] for c in coco["categories"]),
            rng.sample(range(100), len(coco["categories"])),
            strict=True,
        )
    )
    for image in coco["images"]:
        image["id"] = images[image["id"]]
        image["license"] = rng.randrange(9)
    for number, annotation in enumerate(rng.sample(coco["annotations"], len(coco["annotations"]))):
        annotation["id"] = number * 7
        annotation["image_id"] = images[annotation["image_id"]]
        annotation["category_id"] = categories[annotation["category_id"]]
        annotation.setdefault("area", annotation["bbox"][2] * annotation["bbox"][3])
        annotation["score"] = rng.random()
    for category in coco["categories"]:
        category["id"] = categories[category["id"]]
    for section in ("images", "annotations", "categories"):
        rng.shuffle(coco[section])
    part.json_name = rng.choice(["annotations_coco.json", "_annotations.coco.json", "annotations.json"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**9),
    archive=st.booleans(),
    extra=st.lists(st.tuples(st.integers(1, 4), st.floats(0, 30), st.sampled_from([5.0, 7.25])), max_size=5),
)
def test_order_ids_and_form_do_not_matter(
    source: Any,
    import_source: ImportSource,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    archive: bool,  # noqa: FBT001 - drawn
    extra: list[tuple[int, float, float]],
) -> None:
    first = source.copy()
    for image, x, size in extra:
        first["train"].add_box(image, [x, size, size, size])
    expected = import_source(first, f"first-{seed}")
    other = first.copy()
    rng = random.Random(seed)  # noqa: S311 - no secret
    for part in other.parts.values():
        reorder(part, rng)
    if rng.random() < 0.5:
        other.parts["val"] = other.parts.pop("valid")
    folder = tmp_path_factory.mktemp("other")
    other.write(folder / "in" / "top")
    path = folder / "in"
    if archive:
        path = Path(shutil.make_archive(str(folder / "packed"), "zip", folder / "in"))
    again = import_source(path, f"first-{seed}")
    assert again.digest == expected.digest
    assert again.id == expected.id
    assert again.warnings[0].code == "dataset.unchanged"


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["train"].coco["annotations"][0]["bbox"].__setitem__(0, 4),
        lambda s: s["train"].coco["annotations"][0].update(category_id=2),
        lambda s: s["train"].coco["annotations"][0].update(iscrowd=1),
        lambda s: s["train"].coco["annotations"][0].update(area=3),
        lambda s: s["train"].coco["annotations"].pop(),
        lambda s: s["train"].coco["categories"][0].update(name="jar"),
        lambda s: s["train"].coco["categories"].append({"id": 9, "name": "tyre"}),
        lambda s: s["train"].files.update({"0.jpg": s["train"].files["0.jpg"] + b"x"}),
        lambda s: s.parts.update(test=s.parts["valid"], valid=s.parts["test"]),
        lambda s: s["train"].add_box(1, [1, 1, 5, 5]),
    ],
)
def test_other_content_is_the_next_version(
    source: Any, import_source: ImportSource, change: Callable[[Any], object]
) -> None:
    first = import_source(source)
    other = source.copy()
    change(other)
    second = import_source(other)
    assert second.digest != first.digest
    assert (second.dataset_id, second.number) == (first.dataset_id, 2)
    assert import_source(source).number == 3, "only the newest version is compared"


def test_the_digest_is_the_same_everywhere(source: Any, import_source: ImportSource) -> None:
    """The value is pinned: a change of the canonical form would silently part equal datasets."""
    for part in source.parts.values():
        part.files = {image["file_name"]: _make_png(part, n) for n, image in enumerate(part.coco["images"])}
        for image in part.coco["images"]:
            image.update(width=8, height=8)
        for annotation in part.coco["annotations"]:
            annotation["bbox"] = [1, 2, 3.5, 4]
    version = import_source(source, allow_leak=True)
    assert version.digest == "3605816c0c4dd77be58706fc33194fba42841242591046a9a19862e24644eee8"


def _make_png(part: Any, number: int) -> bytes:
    """Stored without compression: the same bytes from every library."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes([number, len(part.files), row] * 8) for row in range(8))
    stored = struct.pack("<HH", len(rows), 0xFFFF ^ len(rows)) + rows
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", b"\x78\x01\x01" + stored + struct.pack(">I", zlib.adler32(rows)))
        + chunk(b"IEND", b"")
    )


def test_a_source_without_split_is_split_by_content_and_seed(
    import_source: ImportSource, source: Any, tmp_path: Path, encode_image: Callable[..., bytes]
) -> None:
    part = source["train"]
    for seed in range(30, 46):
        image = part.add_image(f"{seed}.jpg", encode_image(seed))
        if seed % 2:
            part.add_box(image, [1, 1, 5, 5])
    part.write(tmp_path / "one")
    version = import_source(tmp_path / "one", "one")
    assert {name: counts.image_count for name, counts in version.parts.items()} == {
        "train": 14,
        "valid": 3,
        "test": 3,
    }
    assert all(counts.box_count for counts in version.parts.values())
    reorder(part, random.Random(5))  # noqa: S311
    part.write(tmp_path / "other")
    assert import_source(tmp_path / "other", "other").digest == version.digest
    assert import_source(tmp_path / "one", "seeded", seed=1).digest != version.digest
    assert version.options["seed"] == 0


@given(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=80), st.integers())
def test_split_properties(images: list[tuple[int, bool]], seed: int) -> None:
    digests = [f"{number:064x}" for number, _ in images]
    parts = split_images(digests, [has for _, has in images], seed)
    assigned = dict(zip(digests, parts, strict=True))
    assert [assigned[digest] for digest in digests] == parts, "equal content is in one part"
    counts = [list(assigned.values()).count(part) for part in Part]
    assert sum(counts) == len(set(digests))
    assert abs(counts[1] - 0.15 * sum(counts)) <= 2
    assert abs(counts[2] - 0.15 * sum(counts)) <= 2
    turned = split_images(digests[::-1], [has for _, has in images][::-1], seed)
    assert dict(zip(digests[::-1], turned, strict=True)) == assigned


def test_identical_images_of_one_folder_are_no_leak(
    source: Any, import_source: ImportSource, tmp_path: Path
) -> None:
    part = source["train"]
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        part.add_image(name, part.files["0.jpg"])
    part.write(tmp_path / "one")
    assert import_source(tmp_path / "one").leaked_image_count == 0


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_images_to_split(source: Any, find_problems: Any, tmp_path: Path, count: int) -> None:
    part = source["train"]
    part.coco["images"] = part.coco["images"][:count]
    part.coco["annotations"] = part.coco["annotations"][:count]
    part.write(tmp_path / "one")
    assert {code for code, _, _ in find_problems(tmp_path / "one")} == {"empty_part"}


def test_a_zip_is_told_by_its_content(source: Any, import_source: ImportSource, tmp_path: Path) -> None:
    source.write(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "dataset.bin", "w") as archive:
        for path in sorted((tmp_path / "in").rglob("*")):
            archive.write(path, path.relative_to(tmp_path / "in"))
    assert import_source(tmp_path / "dataset.bin").digest == import_source(tmp_path / "in").digest
    assert json.loads((tmp_path / "in" / "train" / "annotations_coco.json").read_text())
