"""Files that are no whole image, or one too large, are refused before they cost anything."""

import contextlib
import io
import resource
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from raven_scan.pixels.errors import UnreadableImage
from raven_scan.pixels.percentiles import PercentileSampler
from raven_scan.pixels.reading import probe_image

NOISE = np.random.default_rng(1).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def encode(form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, form, **options)
    return file.getvalue()


def encode_tiff(**options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, NOISE, photometric="rgb", **options)
    return file.getvalue()


WHOLE = {
    "jpeg": encode("JPEG"),
    "progressive jpeg": encode("JPEG", progressive=True),
    "png": encode("PNG"),
    "webp": encode("WEBP"),
    "lossless webp": encode("WEBP", lossless=True),
    "tiff": encode_tiff(),
    "tiff lzw": encode_tiff(compression="lzw", rowsperstrip=4),
    "tiff deflate": encode_tiff(compression="deflate", tile=(16, 16)),
    "tiff jpeg": encode_tiff(compression="jpeg", tile=(16, 16)),
}


def make_png(width: int, height: int, body: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("cut", [2, 30, 0.5, 0.95])
def test_truncated(kind: str, cut: float) -> None:
    whole = WHOLE[kind]
    probe_image(whole)
    short = whole[:-cut] if isinstance(cut, int) else whole[: int(len(whole) * (1 - cut))]
    with pytest.raises(UnreadableImage):
        probe_image(short)


@pytest.mark.parametrize("kind", ["jpeg", "progressive jpeg", "png"])
def test_a_download_whose_rest_is_zeros(kind: str) -> None:
    whole = WHOLE[kind]
    with pytest.raises(UnreadableImage):
        probe_image(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))


@pytest.mark.parametrize(
    "content", [b"", b"x", b"GIF89a" + bytes(50), b"<svg/>", b"\xff\xd8", b"II*\x00", b"RIFF"]
)
def test_no_image(content: bytes) -> None:
    with pytest.raises(UnreadableImage):
        probe_image(content)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_animations_are_refused(form: str) -> None:
    frames = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE)]
    file = io.BytesIO()
    frames[0].save(file, form, save_all=True, append_images=frames[1:])
    with pytest.raises(UnreadableImage) as refusal:
        probe_image(file.getvalue())
    assert refusal.value.code == "animated"


def test_a_picture_with_a_second_one_behind_it_is_a_jpeg() -> None:
    """Drones and telephones write previews this way (MPO)."""
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, "MPO", save_all=True, append_images=[Image.fromarray(NOISE)])
    assert probe_image(file.getvalue()).format == "JPEG"


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_too_large_is_told_from_the_header() -> None:
    before = _peak_bytes()
    bombs = {
        "png": make_png(60_000, 60_000, zlib.compress(bytes(1000))),
        "tiff": encode_tiff(),
    }
    patched = bytearray(bombs["tiff"])
    file = io.BytesIO(bytes(patched))
    with tifffile.TiffFile(file) as tiff:
        for tag in (256, 257):
            offset = tiff.pages.first.tags[tag].valueoffset
            patched[offset : offset + 2] = struct.pack("<H", 65_000)
    bombs["tiff"] = bytes(patched)
    jpeg = bytearray(WHOLE["jpeg"])
    frame = jpeg.find(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 65_000, 65_000)
    bombs["jpeg"] = bytes(jpeg)
    for content in bombs.values():
        with pytest.raises(UnreadableImage) as refusal:
            probe_image(content)
        assert refusal.value.code == "too_large"
        assert "400 megapixels" in refusal.value.sentence
    assert _peak_bytes() - before < 50_000_000
    with pytest.raises(UnreadableImage):
        probe_image(WHOLE["png"], largest_pixels=2399)
    probe_image(WHOLE["png"], largest_pixels=2400)


def test_a_strip_that_unpacks_to_more_than_the_image_is_cut_off() -> None:
    before = _peak_bytes()
    file = io.BytesIO()
    small = np.zeros((16, 16), np.uint8)
    tifffile.imwrite(file, small, compression="deflate", rowsperstrip=16)
    content = bytearray(file.getvalue())
    bomb = zlib.compress(bytes(300_000_000), 9)
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as tiff:
        tags = tiff.pages.first.tags
        for tag, value in ((273, len(content)), (279, len(bomb))):
            offset = tags[tag].valueoffset
            size = {3: "<H", 4: "<I"}[int(tags[tag].dtype)]
            content[offset : offset + struct.calcsize(size)] = struct.pack(size, value)
    del small
    peak = max(before, _peak_bytes())
    with pytest.raises(UnreadableImage):
        probe_image(bytes(content) + bomb)
    assert _peak_bytes() - peak < 50_000_000


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damage_is_refused_or_read_and_nothing_else(kind: str, edits: list[tuple[float, int]]) -> None:
    content = bytearray(WHOLE[kind])
    for place, value in edits:
        content[int(place**3 * len(content))] = value
    with contextlib.suppress(UnreadableImage):
        probe_image(bytes(content), largest_pixels=1_000_000, sampler=PercentileSampler())
