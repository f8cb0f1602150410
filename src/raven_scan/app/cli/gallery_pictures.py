"""Images of a gallery with what was there and what was found, as files."""

import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from raven_scan.app.cli.label_fonts import LabelFonts
from raven_scan.app.cli.written_files import check_place, write_whole
from raven_scan.kernel.progress import Progress

if TYPE_CHECKING:
    from raven_scan.client import RavenClient
    from raven_scan.evaluations.schemas import EvaluationOut, GalleryImageOut, GalleryPage

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]

FOUND, MISSED, HIT, FALSE_ALARM = (60, 160, 70), (220, 20, 60), (40, 110, 210), (220, 110, 0)
LEGEND = "Red: missed. Orange: false alarm. Green: a true box that was found. Blue: what found it."
_JPEG_QUALITY = 92


def write_gallery(
    raven: "RavenClient",
    evaluation: "EvaluationOut",
    page: "GalleryPage",
    folder: Path,
    on_progress: Progress,
    *,
    may_overwrite: bool,
) -> list[Path]:
    """Draws every image of the page that may be seen; the files' names begin with their places.

    Raises:
        Conflict: a file is there already.
        Invalid: one cannot be written.
    """
    shown = [each for each in page.items if each.digest is not None]
    paths = [folder / _name_file(each) for each in shown]
    for path in paths:
        check_place(path, may_overwrite=may_overwrite)
    for done, (each, path) in enumerate(zip(shown, paths, strict=True), 1):
        content = raven.datasets.picture(str(evaluation.dataset_version.id), str(each.digest))
        write_whole(path, draw_result(content, each))
        on_progress("pictures", done, len(shown))
    return paths


def draw_result(content: bytes, image: "GalleryImageOut") -> bytes:
    """A JPEG with true boxes and detections; what is wrong lies on top, and says what it is.

    Args:
        content: the picture in its own size.
        image: of the gallery.
    """
    with Image.open(io.BytesIO(content)) as opened:
        picture = opened.convert("RGB")
    pen = ImageDraw.Draw(picture)
    side = max(picture.size)
    fonts, line_px = LabelFonts(max(12, side // 60)), max(2, side // 400)
    marks = [*_list_found(image), *_list_wrong(image)]
    for (x, y, width, height), colour, _ in marks:
        pen.rectangle((x, y, x + max(width, 1), y + max(height, 1)), outline=colour, width=line_px)
    for box, colour, text in marks:
        if text:
            _draw_label(pen, box, colour, text, fonts, picture.size)
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=_JPEG_QUALITY)
    return written.getvalue()


def _list_found(image: "GalleryImageOut") -> Iterator[tuple[Box, Colour, str]]:
    for detected in image.result.detections:
        if detected.hit:
            yield detected.box, HIT, f"{detected.class_name} {detected.confidence:.2f}"
    for box in image.result.true_boxes:
        if box.found:
            yield box.box, FOUND, ""


def _list_wrong(image: "GalleryImageOut") -> Iterator[tuple[Box, Colour, str]]:
    for detected in reversed(image.result.detections):
        if not detected.hit:
            yield detected.box, FALSE_ALARM, f"false: {detected.class_name} {detected.confidence:.2f}"
    for box in image.result.true_boxes:
        if not box.found and not box.crowd:
            yield box.box, MISSED, f"missed: {box.class_name}"


def _draw_label(
    pen: ImageDraw.ImageDraw, box: Box, colour: Colour, text: str, fonts: LabelFonts, size: tuple[int, int]
) -> None:
    font, text = fonts.choose(text)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, bottom - top + 4
    # Above its box, or inside where there is no room; never outside the image.
    x = min(max(0.0, box[0]), max(0.0, size[0] - width))
    y = box[1] - height if box[1] >= height else max(0.0, min(box[1], size[1] - height))
    pen.rectangle((x, y, x + width, y + height), fill=colour)
    pen.text((x + 2 - left, y + 2 - top), text, fill=(255, 255, 255), font=font)


def _name_file(image: "GalleryImageOut") -> str:
    # Of the name in the dataset, which may have folders, the last part alone: no picture lies elsewhere.
    stem = PurePosixPath(image.result.file_name.replace("\\", "/")).stem
    return f"{image.place:04}-{stem}.jpg"
