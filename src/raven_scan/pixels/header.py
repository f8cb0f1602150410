"""What an image file says of itself, read without decoding a pixel."""

import io
import struct
from typing import Literal

import msgspec
from PIL import Image, UnidentifiedImageError

from raven_scan.pixels.errors import UnreadableImage
from raven_scan.pixels.tiff import is_tiff, open_tiff

# Pillow's own limit is a warning for the whole process; `check_size` is ours.
Image.MAX_IMAGE_PIXELS = None

ImageFormat = Literal["JPEG", "PNG", "WebP", "TIFF"]

DEFAULT_LARGEST_PIXELS = 400_000_000
_LARGEST_BYTES_PER_PIXEL = 8

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_EXIF_ORIENTATION = 0x0112
_FORMATS: dict[str, ImageFormat] = {"JPEG": "JPEG", "MPO": "JPEG", "PNG": "PNG", "WEBP": "WebP"}
_BANDS_OF_MODE = {"1": 1, "L": 1, "I": 1, "F": 1, "I;16": 1, "I;16B": 1, "LA": 4, "PA": 4, "RGBA": 4}


class ImageHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of a file.

    Attributes:
        width, height: of the stored pixels, whatever the orientation tag says.
        exif_orientation: 1 to 8; 1 where there is no tag.
        band_count: bands that `PixelRules.bands` may name. Grey with alpha counts as 4,
            CMYK in JPEG as 3, as they are decoded.
        bit_depth: bits a sample.
        sample_bytes: of one pixel when decoded.
    """

    format: ImageFormat
    width: int
    height: int
    exif_orientation: int
    band_count: int
    bit_depth: int
    sample_bytes: int


def read_header(content: bytes) -> ImageHeader:
    """Raises UnreadableImage where `content` is no JPEG, PNG, WebP or TIFF, or is animated."""
    if is_tiff(content):
        return _read_tiff_header(content)
    try:
        image = Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "WEBP"))
    except UnidentifiedImageError:
        raise UnreadableImage(
            "not_an_image",
            "it is no image that can be read",
            "Images are JPEG, PNG, TIFF or WebP; convert it, or export the dataset again.",
        ) from None
    except Exception as error:
        raise UnreadableImage("truncated", f"it is damaged ({error})", "Export the dataset again.") from error
    with image:
        form = _FORMATS[image.format or ""]
        if form != "JPEG" and getattr(image, "is_animated", False):
            raise UnreadableImage("animated", "it is an animation", "Export its first picture alone.")
        sixteen = form == "PNG" and content[24:25] == b"\x10"
        bands = _BANDS_OF_MODE.get(image.mode, 3)
        if form == "PNG" and "transparency" in image.info:
            bands = 4
        return ImageHeader(
            format=form,
            width=image.width,
            height=image.height,
            exif_orientation=_read_orientation(image, content),
            band_count=bands,
            bit_depth=16 if sixteen else 8,
            sample_bytes=bands * (2 if sixteen else 1),
        )


def check_size(header: ImageHeader, largest_pixels: int) -> None:
    """Raises UnreadableImage where the pixels would take more than the setting admits."""
    pixels = header.width * header.height
    if pixels == 0:
        raise UnreadableImage("not_an_image", f"it is {header.width} x {header.height} pixels", "Remove it.")
    if pixels > largest_pixels or pixels * header.sample_bytes > largest_pixels * _LARGEST_BYTES_PER_PIXEL:
        raise UnreadableImage(
            "too_large",
            f"its {header.width} x {header.height} pixels of {header.band_count} bands"
            f" are more than the limit of {largest_pixels / 1e6:g} megapixels",
            "Cut it into tiles, or raise RAVEN_LARGEST_IMAGE_PIXELS.",
        )


def _read_orientation(image: Image.Image, content: bytes) -> int:
    try:
        if image.format == "PNG":
            exif = Image.Exif()
            exif.load(_find_png_exif(content))
        else:
            exif = image.getexif()
        tag: object = exif.get(_EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - damaged EXIF says nothing, and Pillow fails on it in many ways
        return 1
    return tag if isinstance(tag, int) and 1 <= tag <= 8 else 1


def _find_png_exif(content: bytes) -> bytes:
    """The chunk eXIf, or nothing; Pillow would decode the whole image to find it."""
    position = len(_PNG_MAGIC)
    while position + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, position)
        if kind == b"eXIf":
            return content[position + 8 : position + 8 + size]
        position += 12 + size
    return b""


def _read_tiff_header(content: bytes) -> ImageHeader:
    with open_tiff(content) as page:
        return ImageHeader(
            format="TIFF",
            width=page.width,
            height=page.height,
            exif_orientation=page.orientation,
            band_count=page.band_count,
            bit_depth=page.bit_depth,
            sample_bytes=page.sample_bytes,
        )
