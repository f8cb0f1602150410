"""The annotations' width and height decide whether an EXIF orientation is applied."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.datasets.service import DatasetService
from raven_scan.pixels.reading import read_image
from raven_scan.pixels.rules import PixelRules


def encode_turned(seed: int, orientation: int, size: tuple[int, int], form: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, form, exif=exif)
    return file.getvalue()


def read_laid_out(
    service: DatasetService, version: Any, folder: Path, name: str
) -> tuple[Any, dict[str, Any]]:
    service.lay_out(LOCAL_ADMINISTRATOR, version.id, folder)
    coco = json.loads((folder / "train" / "annotations_coco.json").read_text())
    record = next(image for image in coco["images"] if image["file_name"] == name)
    rules = PixelRules.from_json(coco["raven"]["pixel_rules"])
    path = folder / "train" / name
    return read_image(path, rules, exif_orientation=record["exif_orientation"], order="rgb"), record


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("frame", ["stored", "turned"])
def test_size_decides(
    source: Any,
    import_source: Callable[..., Any],
    service: DatasetService,
    tmp_path: Path,
    form: str,
    orientation: int,
    frame: str,
) -> None:
    content = encode_turned(99, orientation, (30, 20), form)
    turned = frame == "turned" and orientation == 6
    width, height = (20, 30) if turned else (30, 20)
    image = source["train"].add_image("turned.img", content, width, height)
    source["train"].add_box(image, [0, 0, width, height])
    version = import_source(source)
    pixels, record = read_laid_out(service, version, tmp_path / "data", "turned.img")
    assert (record["width"], record["height"]) == (width, height)
    assert pixels.shape == (height, width, 3)
    stored = Image.fromarray(read_image(content, PixelRules(), order="rgb"))
    stored.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(stored) if turned else stored)
    assert np.array_equal(pixels, expected)
    codes = [notice.code for notice in version.warnings]
    assert codes == (["dataset.orientation_ignored"] if orientation == 3 else [])


@pytest.mark.parametrize("orientation", range(2, 9))
def test_square_with_a_tag_is_turned_and_told(
    source: Any, import_source: Callable[..., Any], service: DatasetService, tmp_path: Path, orientation: int
) -> None:
    content = encode_turned(99, orientation, (24, 24), "PNG")
    source["train"].add_image("square.png", content, 24, 24)
    version = import_source(source)
    (notice,) = version.warnings
    assert (notice.code, notice.count) == ("dataset.square_orientation_applied", 1)
    assert notice.examples == ("train/square.png",)
    pixels, record = read_laid_out(service, version, tmp_path / "data", "square.png")
    assert record["exif_orientation"] == orientation
    with Image.open(io.BytesIO(content)) as stored:
        assert np.array_equal(pixels, np.asarray(ImageOps.exif_transpose(stored)))


def test_neither_size_is_refused(source: Any, find_problems: Callable[..., Any]) -> None:
    source["train"].add_image("other.jpg", encode_turned(99, 6, (30, 20)), 31, 20)
    source["train"].add_image("half.jpg", encode_turned(98, 3, (30, 20)), 20, 30)
    assert [(code, file) for code, file, _ in find_problems(source)] == [
        ("size_mismatch", "train/other.jpg"),
        ("size_mismatch", "train/half.jpg"),
    ]
