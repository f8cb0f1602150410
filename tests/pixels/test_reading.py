"""What becomes of files of every kind that is admitted."""

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps

from raven_scan.pixels.errors import UnreadableImage
from raven_scan.pixels.percentiles import PercentileSampler
from raven_scan.pixels.reading import probe_image, read_image
from raven_scan.pixels.rules import PixelRules

PLAIN = PixelRules()
HEIGHT, WIDTH = 48, 80


def draw(bands: int = 3, dtype: Any = np.uint8, *, largest: int = 255) -> NDArray[Any]:
    """A picture without symmetry: smooth, so that JPEG keeps it nearly."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [(rows * (band + 1) / 4 + columns / (band + 1)) / (HEIGHT + WIDTH) for band in range(bands)]
    return (np.stack(planes, -1) * largest).astype(dtype)


def encode(pixels: NDArray[Any], form: str, mode: str | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(file, form, **options)
    return file.getvalue()


def encode_tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_colour_is_kept_in_either_order(form: str) -> None:
    pixels = draw()
    options: dict[str, Any] = (
        {"lossless": True} if form == "WEBP" else {"quality": 95} if form == "JPEG" else {}
    )
    content = encode(pixels, form, **options)
    rgb = read_image(content, PLAIN, order="rgb")
    assert rgb.shape == (HEIGHT, WIDTH, 3)
    assert rgb.dtype == np.uint8
    assert np.abs(rgb.astype(int) - pixels).max() <= (6 if form == "JPEG" else 0)
    assert np.array_equal(read_image(content, PLAIN), rgb[..., ::-1])
    header = probe_image(content)
    assert (header.format.upper(), header.width, header.height) == (form, WIDTH, HEIGHT)
    assert (header.band_count, header.bit_depth, header.exif_orientation) == (3, 8, 1)


@pytest.mark.parametrize(
    ("form", "mode"), [("JPEG", "L"), ("PNG", "L"), ("PNG", "1"), ("TIFF", "L"), ("TIFF", "1")]
)
def test_grey_is_repeated(form: str, mode: str) -> None:
    content = encode(draw(1)[..., 0], form, mode)
    rgb = read_image(content, PLAIN)
    assert np.array_equal(rgb[..., 0], rgb[..., 1])
    assert np.array_equal(rgb[..., 0], rgb[..., 2])
    if mode == "1":
        assert set(np.unique(rgb)) == {0, 255}
    assert probe_image(content).band_count == 1


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_palette_becomes_colour(form: str) -> None:
    image = Image.fromarray(draw()).quantize(32)
    file = io.BytesIO()
    image.save(file, form)
    assert np.array_equal(read_image(file.getvalue(), PLAIN, order="rgb"), np.asarray(image.convert("RGB")))
    assert probe_image(file.getvalue()).band_count == 3


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_alpha_is_dropped_unless_it_is_chosen(form: str) -> None:
    pixels = draw(4)
    pixels[..., 3] |= 1
    options: dict[str, Any] = {"lossless": True, "exact": True} if form == "WEBP" else {}
    content = encode(pixels, form, **options)
    assert np.array_equal(read_image(content, PLAIN, order="rgb"), pixels[..., :3])
    chosen = read_image(content, PixelRules(bands=(3, 1, 0)), order="rgb")
    assert np.array_equal(chosen, pixels[..., [3, 1, 0]])


def test_grey_with_alpha_is_grey() -> None:
    grey = draw(1)[..., 0]
    content = encode(np.stack([grey, grey | 1], -1), "PNG")
    assert np.array_equal(read_image(content, PLAIN)[..., 1], grey)


def test_four_bands_are_chosen_from() -> None:
    pixels = draw(4)
    content = encode_tiff(pixels, photometric="rgb", extrasamples=["unspecified"])
    with pytest.raises(UnreadableImage) as refusal:
        probe_image(content)
    assert refusal.value.code == "bands_needed"
    assert "--bands" in refusal.value.hint
    assert probe_image(content, bands=(3, 0, 1)).band_count == 4
    rules = PixelRules(bands=(3, 0, 1))
    assert np.array_equal(read_image(content, rules, order="rgb"), pixels[..., [3, 0, 1]])
    with pytest.raises(UnreadableImage) as refusal:
        read_image(content, PixelRules(bands=(0, 1, 4)))
    assert refusal.value.code == "bands_missing"


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw"},
        {"compression": "deflate", "predictor": True},
        {"compression": "zstd", "tile": (16, 16)},
        {"bigtiff": True, "rowsperstrip": 7},
        {"byteorder": ">"},
        {"planarconfig": "separate", "compression": "deflate", "tile": (32, 16)},
    ],
)
def test_eight_bands_of_sixteen_bits(options: dict[str, Any]) -> None:
    pixels = draw(8, np.uint16, largest=4000)
    stored = np.moveaxis(pixels, -1, 0) if "planarconfig" in options else pixels
    content = encode_tiff(stored, **{"photometric": "minisblack", "planarconfig": "contig", **options})
    sampler = PercentileSampler()
    header = probe_image(content, bands=(5, 2, 7), sampler=sampler)
    assert (header.band_count, header.bit_depth) == (8, 16)
    ranges = sampler.find_percentiles()
    assert ranges is not None
    for band, (low, high) in zip((5, 2, 7), ranges, strict=True):
        assert (low, high) == pytest.approx(np.percentile(pixels[..., band], [2, 98]), abs=4)
    rgb = read_image(content, PixelRules(bands=(5, 2, 7), percentiles=ranges), order="rgb")
    low, high = ranges[0]
    expected = np.clip((pixels[..., 5] - low) / (high - low), 0, 1) * 255
    assert np.abs(rgb[..., 0] - expected).max() <= 0.5


def test_jpeg_in_tiff() -> None:
    pixels = draw()
    content = encode(pixels, "TIFF", compression="jpeg", quality=95)
    assert np.abs(read_image(content, PLAIN, order="rgb").astype(int) - pixels).max() <= 8


def test_white_is_zero() -> None:
    grey = draw(1)[..., 0]
    content = encode_tiff(255 - grey, photometric="miniswhite")
    assert np.array_equal(read_image(content, PLAIN)[..., 0], grey)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_grey_are_scaled_by_the_given_ends(form: str) -> None:
    grey = draw(1, np.uint16, largest=60_000)[..., 0]
    content = encode(grey, form)
    with pytest.raises(UnreadableImage) as refusal:
        read_image(content, PLAIN)
    assert refusal.value.code == "scale_missing"
    ends = (1000.0, 50_000.0)
    rgb = read_image(content, PixelRules(percentiles=(ends, ends, ends)))
    assert np.array_equal(rgb[..., 0], np.rint(np.clip((grey - 1000.0) / 49_000, 0, 1) * 255))
    assert np.array_equal(rgb[..., 0], rgb[..., 2])


def test_floats_and_their_missing_data() -> None:
    values = draw(1, np.float32, largest=30)[..., 0] - 10
    stored = values.copy()
    stored[:5] = -9999
    stored[5, 5] = np.nan
    content = encode_tiff(stored, extratags=[(42113, 2, 0, "-9999", True)])
    sampler = PercentileSampler()
    probe_image(content, sampler=sampler)
    ranges = sampler.find_percentiles()
    assert ranges is not None
    assert ranges[1] == pytest.approx(np.percentile(values[5:], [2, 98]), abs=0.1)
    rgb = read_image(content, PixelRules(percentiles=ranges))
    assert not rgb[:5].any()
    assert not rgb[5, 5].any()
    assert rgb.max() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_turns_as_pillow_turns(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for form in ("JPEG", "PNG", "WEBP", "TIFF"):
        content = encode(draw(), form, exif=exif)
        assert probe_image(content).exif_orientation == orientation
        plain = read_image(content, PLAIN, order="rgb")
        assert plain.shape == (HEIGHT, WIDTH, 3), "the file's own tag must not matter"
        turned = read_image(content, PLAIN, exif_orientation=orientation, order="rgb")
        image = Image.fromarray(plain)
        image.getexif()[0x0112] = orientation
        upright = np.asarray(ImageOps.exif_transpose(image))
        assert np.array_equal(turned, upright)
        assert turned.flags.c_contiguous


def test_a_path_will_do(tmp_path: Any) -> None:
    path = tmp_path / "a b ü.jpg"
    path.write_bytes(encode(draw(), "JPEG"))
    assert np.array_equal(read_image(path, PLAIN), read_image(str(path), PLAIN))
    assert np.array_equal(read_image(path, PLAIN), read_image(path.read_bytes(), PLAIN))


def test_rules_survive_json() -> None:
    rules = PixelRules(bands=(4, 2, 1), percentiles=((1.0, 2.0), (0.0, 3.5), (2.0, 9.0)))
    assert PixelRules.from_json(rules.to_json()) == rules
    assert PixelRules.from_json(PLAIN.to_json()) == PLAIN
