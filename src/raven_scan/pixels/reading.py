"""From the bytes of a file to 3 x uint8."""

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from raven_scan.pixels.errors import UnreadableImage
from raven_scan.pixels.header import DEFAULT_LARGEST_PIXELS, ImageHeader, check_size, read_header
from raven_scan.pixels.orientation import apply_orientation
from raven_scan.pixels.percentiles import PercentileSampler, scale_to_bytes
from raven_scan.pixels.rules import Bands, PixelRules
from raven_scan.pixels.tiff import is_tiff, open_tiff

Order = Literal["bgr", "rgb"]
Reduction = Literal[1, 2, 4, 8]
"""How many pixels of a file, along a side, become one."""

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_BIT_DEPTH_AT = 24
_JPEG_START = b"\xff\xd8"
_JPEG_SCAN = b"\xff\xda"
_JPEG_END = b"\xff\xd9"

# The reduction's bit alone; with the one for colour beside it, they are REDUCED_COLOR.
_REDUCTION_FLAGS = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}

# What OpenCV would print of a damaged file is said by UnreadableImage.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)


def read_image(
    source: Path | str | bytes,
    rules: PixelRules,
    *,
    exif_orientation: int = 1,
    order: Order = "bgr",
    reduction: Reduction = 1,
) -> NDArray[np.uint8]:
    """Read an image by the rules of its dataset version.

    Args:
        source: a file's path, or its content.
        rules: how bands become channels.
        exif_orientation: the turn that brings stored pixels into the annotations' frame, 1 for none. The
            file's own tag is never looked at: the import decided which frame the annotations are in.
        order: of the channels.
        reduction: each side is so many times smaller, rounded up. A JPEG is decoded at that size, which takes less
            than half the time; other files are decoded wholly, and their pixels averaged.

    Returns:
        uint8 (H, W, 3), contiguous.

    Raises:
        UnreadableImage: the content is no image, is damaged, or does not fit the rules.
        OSError: the file cannot be read.
    """
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    if rules.bands is None and _is_plain(content):
        return apply_orientation(_decode_colours(content, order, reduction), exif_orientation)
    samples, _ = _read_channels(content, rules.bands)
    if samples.dtype != np.uint8:
        if rules.percentiles is None:
            raise UnreadableImage(
                "scale_missing",
                "it has more than 8 bits a sample, and no scale for it is known",
                "Import it as part of a dataset, which measures the scale.",
            )
        samples = scale_to_bytes(samples, rules.percentiles)
    if order == "bgr":
        samples = samples[..., ::-1]
    pixels = _average(np.ascontiguousarray(samples, dtype=np.uint8), reduction)
    return apply_orientation(pixels, exif_orientation)


def probe_image(
    content: bytes,
    *,
    bands: Bands | None = None,
    largest_pixels: int = DEFAULT_LARGEST_PIXELS,
    sampler: PercentileSampler | None = None,
) -> ImageHeader:
    """Decode an image wholly, as training will, and say what it is.

    The size is checked before a pixel is decoded.

    Args:
        content: the file.
        bands: as `PixelRules.bands`.
        largest_pixels: width times height.
        sampler: gets the samples of an image of more than 8 bits.

    Raises:
        UnreadableImage: as `read_image`; also where it is too large.
    """
    header = read_header(content)
    check_size(header, largest_pixels)
    check_end(content)
    if bands is None and _is_plain(content):
        decoded = _decode(content, cv2.IMREAD_COLOR_BGR | cv2.IMREAD_IGNORE_ORIENTATION)
        if decoded.shape[:2] != (header.height, header.width):
            raise UnreadableImage(
                "truncated", "its header and its pixels differ", "Export the dataset again."
            )
        return header
    samples, no_data = _read_channels(content, bands)
    if samples.dtype != np.uint8 and sampler is not None:
        sampler.add(samples, no_data=no_data)
    return header


def _is_plain(content: bytes) -> bool:
    """Whether OpenCV's colour decoding is all there is to do."""
    if content[: len(_PNG_MAGIC)] == _PNG_MAGIC:
        return content[_PNG_BIT_DEPTH_AT : _PNG_BIT_DEPTH_AT + 1] != b"\x10"
    return not is_tiff(content)


def check_end(content: bytes) -> None:
    """A JPEG whose end marker is missing was cut short; decoders differ in whether they say so."""
    if content[:2] == _JPEG_START and content.find(_JPEG_END, content.find(_JPEG_SCAN)) < 0:
        raise UnreadableImage("truncated", "it is cut short: its end is missing", "Export the dataset again.")


def _decode_colours(content: bytes, order: Order, reduction: Reduction) -> NDArray[np.uint8]:
    is_jpeg = content[:2] == _JPEG_START
    colours = cv2.IMREAD_COLOR_RGB if order == "rgb" else cv2.IMREAD_COLOR_BGR
    flags = colours | cv2.IMREAD_IGNORE_ORIENTATION | _REDUCTION_FLAGS[reduction if is_jpeg else 1]
    pixels = _decode(content, flags)
    return pixels if is_jpeg else _average(pixels, reduction)


def _average(pixels: NDArray[np.uint8], reduction: Reduction) -> NDArray[np.uint8]:
    if reduction == 1:
        return pixels
    height, width = pixels.shape[:2]
    size = (-(-width // reduction), -(-height // reduction))
    return np.ascontiguousarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _decode(content: bytes, flags: int) -> NDArray[np.uint8]:
    try:
        pixels = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), flags)
    except cv2.error as error:
        raise UnreadableImage(
            "truncated", f"it cannot be decoded ({error.err})", "Export the dataset again."
        ) from error
    if pixels is None:  # pyright: ignore[reportUnnecessaryComparison] - the stubs leave it out
        raise UnreadableImage("truncated", "it is cut short or damaged", "Export the dataset again.")
    return pixels  # pyright: ignore[reportReturnType] - 8 bits by the flags


def _read_channels(content: bytes, bands: Bands | None) -> tuple[NDArray[np.generic], float | None]:
    """The chosen bands (H, W, 3) in red, green, blue order, unscaled, and the value that means no data."""
    no_data: float | None = None
    alpha = False
    samples: NDArray[np.generic]
    if is_tiff(content):
        with open_tiff(content) as page:
            samples = page.decode()
            no_data = page.no_data
    else:
        samples = _decode(content, cv2.IMREAD_UNCHANGED)
        if samples.ndim == 2:
            samples = samples[..., np.newaxis]
        elif samples.shape[2] == 3:
            samples = samples[..., ::-1]
        else:
            samples = samples[..., [2, 1, 0, 3]]
            alpha = True
    return _choose_bands(samples, bands, alpha=alpha), no_data


def _choose_bands(samples: NDArray[np.generic], bands: Bands | None, *, alpha: bool) -> NDArray[np.generic]:
    count = samples.shape[2]
    if bands is None:
        if count == 1:
            return np.repeat(samples, 3, axis=2)
        if count == 3 or alpha:
            return samples[..., :3]
        raise UnreadableImage(
            "bands_needed",
            f"it has {count} bands, and three must be chosen",
            "Say which are red, green and blue, counted from 1: --bands 1,2,3",
        )
    if max(bands) >= count:
        raise UnreadableImage(
            "bands_missing",
            f"it has {count} bands, and band {max(bands) + 1} was chosen",
            "Choose bands that all images have.",
        )
    return samples[..., list(bands)]
