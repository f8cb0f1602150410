"""TIFF by tifffile and imagecodecs: BigTIFF, tiles, planes, more than 4 bands, 1 to 64 bits, JPEG inside.

OpenCV and Pillow each read only a part of what mapping tools write; see docs/decisions/0051-tiff-reader.md.
"""

import io
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import tifffile
from numpy.typing import NDArray

from raven_scan.pixels.errors import UnreadableImage

_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

_COMPRESSIONS = {
    1: "none",
    5: "LZW",
    7: "JPEG",
    8: "deflate",
    32773: "PackBits",
    32946: "deflate",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
}
_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_JPEG_COMPRESSION = 7
_ORIENTATION_TAG = 274
_NO_DATA_TAG = 42113
_LARGEST_CHUNK_PIXELS = 4096 * 4096
_LARGEST_PALETTE_BITS = 8


def is_tiff(content: bytes) -> bool:
    return content[:4] in _MAGIC


@dataclass(frozen=True, slots=True)
class TiffPage:
    """The first page of a file; further pages (overviews, masks, thumbnails) are left alone."""

    page: tifffile.TiffPage
    size_bytes: int
    width: int
    height: int
    band_count: int
    bit_depth: int
    sample_bytes: int
    orientation: int
    no_data: float | None

    def decode(self) -> NDArray[np.generic]:
        """The samples, (H, W, bands), in the type they are stored in; less than 8 bits become 8.

        Raises:
            UnreadableImage: the file is cut short or damaged.
        """
        page = self.page
        self._check_chunks()
        try:
            samples = np.asarray(page.asarray(maxworkers=1))
        except Exception as error:
            raise _make_damage(error) from error
        if page.axes == "YX":
            samples = samples[..., np.newaxis]
        elif page.axes == "SYX":
            samples = np.moveaxis(samples, 0, -1)
        if page.photometric == _PALETTE:
            return _apply_palette(samples, page.colormap)
        if self.bit_depth < 8:
            samples = samples.astype(np.uint8) * np.uint8(255 // (2**self.bit_depth - 1))
        if page.photometric == _MIN_IS_WHITE and np.issubdtype(samples.dtype, np.unsignedinteger):
            whole = 255 if self.bit_depth <= 8 else 2**self.bit_depth - 1
            samples = samples.dtype.type(whole) - samples
        return samples

    def _check_chunks(self) -> None:
        """Strips and tiles that are not in the file would be filled with zeros in silence."""
        page = self.page
        offsets, sizes = page.dataoffsets, page.databytecounts
        if len(offsets) != int(np.prod(page.chunked)) or len(sizes) != len(offsets):
            raise UnreadableImage("truncated", "strips or tiles are missing", "Export the dataset again.")
        for offset, size in zip(offsets, sizes, strict=True):
            absent = offset == 0 and size == 0  # a tile without data, as GDAL writes sparse files
            if not absent and (offset <= 0 or size <= 0 or offset + size > self.size_bytes):
                raise UnreadableImage(
                    "truncated", "it ends before its last strip or tile", "Export the dataset again."
                )


@contextmanager
def open_tiff(content: bytes) -> Generator[TiffPage]:
    """Reads tags alone. Raises UnreadableImage where they make no image that can be read."""
    try:
        tiff = tifffile.TiffFile(io.BytesIO(content))
    except Exception as error:
        raise _make_damage(error) from error
    with tiff:
        try:
            facts = _read_facts(tiff.pages.first, len(content))
        except UnreadableImage:
            raise
        except Exception as error:
            raise _make_damage(error) from error
        yield facts


def _read_facts(page: tifffile.TiffPage, size_bytes: int) -> TiffPage:
    dtype = page.dtype
    if page.axes not in ("YX", "YXS", "SYX") or dtype is None or dtype.kind not in "buif":
        raise UnreadableImage(
            "unsupported", f"its samples ({page.axes}, {dtype}) are no image", "Convert it to 8 or 16 bits."
        )
    if int(page.compression) not in _COMPRESSIONS:
        raise UnreadableImage(
            "unsupported",
            f"its compression ({int(page.compression)}) is not supported",
            "Convert it to LZW or deflate.",
        )
    photometric = int(page.photometric)
    readable = photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB)
    palette = photometric == _PALETTE and page.colormap is not None and dtype.itemsize == 1
    ycbcr = photometric == _YCBCR and int(page.compression) == _JPEG_COMPRESSION
    if not (readable or palette or ycbcr):
        raise UnreadableImage(
            "unsupported", f"its colour model ({photometric}) is not supported", "Convert it to RGB."
        )
    if int(np.prod(page.chunks)) > max(_LARGEST_CHUNK_PIXELS, 4 * page.imagewidth * page.imagelength) * max(
        1, page.samplesperpixel
    ):
        raise UnreadableImage("unsupported", "its tiles are larger than itself", "Convert it again.")
    bands = 3 if palette else page.samplesperpixel
    orientation: object = page.tags.valueof(_ORIENTATION_TAG, default=1)
    no_data = float(page.nodata) if _NO_DATA_TAG in page.tags else None
    return TiffPage(
        page=page,
        size_bytes=size_bytes,
        width=page.imagewidth,
        height=page.imagelength,
        band_count=bands,
        bit_depth=min(page.bitspersample, dtype.itemsize * 8),
        sample_bytes=bands * dtype.itemsize,
        orientation=orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1,
        no_data=no_data,
    )


def _apply_palette(indices: NDArray[np.generic], colormap: NDArray[np.uint16] | None) -> NDArray[np.generic]:
    if colormap is None or int(indices.max(initial=0)) >= colormap.shape[1]:
        raise UnreadableImage("unsupported", "its palette lacks colours", "Convert it to RGB.")
    bytes_of_index = (colormap >> 8).astype(np.uint8).T
    return bytes_of_index[indices[..., 0].astype(np.uint8)]


def _make_damage(error: Exception) -> UnreadableImage:
    return UnreadableImage(
        "truncated", f"it is cut short or damaged ({type(error).__name__})", "Export the dataset again."
    )
