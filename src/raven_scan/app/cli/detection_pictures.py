"""Images with the boxes that were found on them, and their names."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from raven_scan.app.cli.label_fonts import LabelFonts
from raven_scan.app.cli.written_files import check_place, write_whole
from raven_scan.detections.schemas import DetectedBoxOut, DetectionsOut, ImageDetectionsOut
from raven_scan.kernel.progress import Progress
from raven_scan.pixels.errors import UnreadableImage
from raven_scan.pixels.percentiles import PercentileSampler
from raven_scan.pixels.reading import probe_image, read_image
from raven_scan.pixels.rules import PixelRules

_JPEG_SUFFIXES = frozenset({".jpg", ".jpeg"})
_JPEG_QUALITY = 92
_LARGEST_JPEG_SIDE = 65_500
_COLOURS = (
    (230, 25, 75),
    (0, 130, 200),
    (60, 180, 75),
    (245, 130, 48),
    (145, 30, 180),
    (0, 128, 128),
    (240, 50, 230),
    (128, 128, 0),
    (170, 110, 40),
    (0, 0, 128),
)
"""Told apart from each other, with white letters on them."""


def plan_pictures(images: Sequence[Path], folder: Path, *, may_overwrite: bool) -> list[Path]:
    """Where the pictures of images go: as the images lie to each other, below `folder`.

    Raises:
        Conflict: one is there already.
    """
    absolute = [image.absolute() for image in images]
    common = Path(os.path.commonpath([image.parent for image in absolute]))
    pictures = [folder / _name_picture(image.relative_to(common)) for image in absolute]
    for picture in pictures:
        check_place(picture, may_overwrite=may_overwrite)
    return pictures


def write_pictures(
    detections: DetectionsOut, images: Sequence[Path], pictures: Sequence[Path], on_progress: Progress
) -> int:
    """Draws what was found on each image, and writes it; returns how many there are.

    An image that could not be looked at has no picture.

    Raises:
        Invalid: a picture cannot be written.
    """
    written = 0
    places = {name: place for place, name in enumerate(detections.classes)}
    for done, (found, image, picture) in enumerate(
        zip(detections.images, images, pictures, strict=True), start=1
    ):
        if found.problem is None:
            write_whole(picture, _encode(_draw(image, found, places)))
            written += 1
        on_progress("pictures", done, len(images))
    return written


def _name_picture(image: Path) -> Path:
    return image if image.suffix.lower() in _JPEG_SUFFIXES else image.with_name(f"{image.name}.jpg")


def _draw(path: Path, found: ImageDetectionsOut, places: dict[str, int]) -> Image.Image:
    picture = Image.fromarray(_read(path, found.exif_orientation))
    side = max(picture.size)
    fonts = LabelFonts(max(12, side // 60))
    line_px = max(2, side // 400)
    pen = ImageDraw.Draw(picture)
    # The best ones come last, and lie on top.
    for box in reversed(found.boxes):
        colour = _COLOURS[places[box.class_name] % len(_COLOURS)]
        _draw_box(pen, box, colour, line_px)
        _draw_label(pen, box, colour, fonts, picture.size)
    return picture


def _read(path: Path, exif_orientation: int) -> NDArray[np.uint8]:
    content = path.read_bytes()
    try:
        return read_image(content, PixelRules(), exif_orientation=exif_orientation, order="rgb")
    except UnreadableImage as error:
        if error.code != "scale_missing":
            raise
    # For looking at, an image of more than 8 bits is scaled by its own values.
    sampler = PercentileSampler()
    probe_image(content, sampler=sampler)
    rules = PixelRules(percentiles=sampler.find_percentiles())
    return read_image(content, rules, exif_orientation=exif_orientation, order="rgb")


def _draw_box(
    pen: ImageDraw.ImageDraw, box: DetectedBoxOut, colour: tuple[int, int, int], line_px: int
) -> None:
    right, bottom = box.x + max(box.width, 1), box.y + max(box.height, 1)
    pen.rectangle((box.x, box.y, right, bottom), outline=colour, width=line_px)


def _draw_label(
    pen: ImageDraw.ImageDraw,
    box: DetectedBoxOut,
    colour: tuple[int, int, int],
    fonts: LabelFonts,
    size: tuple[int, int],
) -> None:
    font, text = fonts.choose(f"{box.class_name} {box.score:.2f}")
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, bottom - top + 4
    # Above its box, or inside where there is no room; never outside the image.
    x = min(max(0.0, box.x), max(0.0, size[0] - width))
    y = box.y - height if box.y >= height else max(0.0, min(box.y, size[1] - height))
    pen.rectangle((x, y, x + width, y + height), fill=colour)
    pen.text((x + 2 - left, y + 2 - top), text, fill=(255, 255, 255), font=font)


def _encode(picture: Image.Image) -> bytes:
    written = io.BytesIO()
    if max(picture.size) > _LARGEST_JPEG_SIDE:
        picture.thumbnail((_LARGEST_JPEG_SIDE, _LARGEST_JPEG_SIDE))
    picture.save(written, "JPEG", quality=_JPEG_QUALITY)
    return written.getvalue()
