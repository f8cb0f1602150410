"""Datasets of more than three bands or more than eight bits."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.datasets.service import DatasetService
from raven_scan.pixels.reading import read_image
from raven_scan.pixels.rules import PixelRules

RNG = np.random.default_rng(5)


def encode_tiff(pixels: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric="minisblack", planarconfig="contig", **options)
    return file.getvalue()


def replace_images(source: Any, make: Callable[[int], bytes]) -> None:
    number = 0
    for part in source.parts.values():
        for name in part.files:
            part.files[name] = make(number)
            number += 1


def test_sixteen_bits_are_scaled_over_the_whole_dataset(
    source: Any, import_source: Callable[..., Any], service: DatasetService, tmp_path: Path
) -> None:
    images = [RNG.integers(200, 900 + 400 * n, (40, 60), dtype=np.uint16) for n in range(8)]
    replace_images(source, lambda n: encode_tiff(images[n]))
    version = import_source(source)
    ends = np.percentile(np.stack(images), [2, 98])
    assert version.pixel_rules.percentiles is not None
    for low, high in version.pixel_rules.percentiles:
        assert (low, high) == (np.floor(ends[0]), np.ceil(ends[1])) or np.allclose((low, high), ends, atol=2)
    service.lay_out(LOCAL_ADMINISTRATOR, version.id, tmp_path / "data")
    coco = json.loads((tmp_path / "data" / "train" / "annotations_coco.json").read_text())
    rules = PixelRules.from_json(coco["raven"]["pixel_rules"])
    assert rules == version.pixel_rules
    pixels = read_image(tmp_path / "data" / "train" / coco["images"][0]["file_name"], rules)
    low, high = version.pixel_rules.percentiles[0]
    expected = np.rint(np.clip((images[0] - low) / (high - low), 0, 1) * 255)
    assert np.array_equal(pixels[..., 1], expected)


def test_bands_are_chosen_and_stored(
    source: Any, import_source: Callable[..., Any], find_problems: Any
) -> None:
    replace_images(source, lambda _: encode_tiff(RNG.integers(0, 255, (40, 60, 5), dtype=np.uint8)))
    problems = find_problems(source)
    assert {code for code, _, _ in problems} == {"image_bands_needed"}
    assert len(problems) == 8
    assert {code for code, _, _ in find_problems(source, bands=(0, 1, 5))} == {"image_bands_missing"}
    version = import_source(source, bands=(4, 1, 0))
    assert version.pixel_rules == PixelRules(bands=(4, 1, 0))
    assert version.options["bands"] == [5, 2, 1]
    assert import_source(source, bands=(3, 1, 0)).number == 2


def test_kinds_may_be_mixed(source: Any, import_source: Callable[..., Any]) -> None:
    """JPEG, PNG, TIFF and WebP; grey, colour, alpha and palette; 8 and 16 bits, in one dataset."""
    grey = RNG.integers(0, 255, (40, 60), dtype=np.uint8)
    colour = RNG.integers(0, 255, (40, 60, 3), dtype=np.uint8)
    images = [
        (Image.fromarray(grey), "JPEG"),
        (Image.fromarray(grey), "PNG"),
        (Image.fromarray(colour), "WEBP"),
        (Image.fromarray(colour), "TIFF"),
        (Image.fromarray(colour).convert("RGBA"), "PNG"),
        (Image.fromarray(colour).quantize(64), "PNG"),
        (Image.fromarray(grey.astype(np.uint16) * 200), "PNG"),
        (Image.fromarray(grey.astype(np.uint16) * 100), "TIFF"),
    ]

    def make(number: int) -> bytes:
        file = io.BytesIO()
        image, form = images[number]
        image.save(file, form)
        return file.getvalue()

    replace_images(source, make)
    version = import_source(source)
    assert version.pixel_rules.bands is None
    assert version.pixel_rules.percentiles is not None
    assert version.pixel_rules.percentiles[0][1] > 20_000
