"""A contact sheet of images with their true and their predicted boxes."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from raven_scan.figures.image_results import ImageResult
from raven_scan.kernel.errors import Invalid

Boxes = NDArray[np.float64]

# Blue and orange are told apart by colour-blind eyes too; the dashes tell them apart in grey.
TRUE_COLOUR = (40, 214, 255)
PREDICTED_COLOUR = (255, 122, 0)
_OUTLINE_COLOUR = (16, 18, 22)
_PAPER_COLOUR = (250, 250, 248)
_INK_COLOUR = (28, 30, 34)
_FAINT_INK_COLOUR = (104, 108, 114)

_CELL_PX = 360
_GAP_PX = 12
_CAPTION_PX = 24
_HEADER_PX = 78
_DASH_PX = 7
# Below the sheet's resolution there is nothing to see: a picture of more images is cut to the first ones.
_SHEET_IMAGES_MAX = 24


@dataclass(frozen=True, slots=True)
class _Scale:
    """From image pixels to pixels of the sheet."""

    factor: float
    left: float
    top: float

    def place(self, box: Sequence[float]) -> tuple[float, float, float, float]:
        """The corners x1 y1 x2 y2 on the sheet of a box x y width height."""
        x, y, width, height = box
        return (
            self.left + x * self.factor,
            self.top + y * self.factor,
            self.left + (x + width) * self.factor,
            self.top + (y + height) * self.factor,
        )


def save_results_picture(
    part_folder: Path,
    results: Sequence[ImageResult],
    destination: Path,
    *,
    confidence: float,
    title: str = "Test images: what is there and what was found",
) -> None:
    """Draws images with what an evaluation says of them.

    Args:
        part_folder: holds the images.
        results: of the images, at most 24 of which are drawn.
        destination: the PNG or JPEG to write.
        confidence: detections below it are left out.
        title: the sheet's first line.
    """
    shown = results[:_SHEET_IMAGES_MAX]
    truth = [[box.box for box in each.true_boxes if not box.crowd] for each in shown]
    found = [[(*box.box, box.confidence) for box in each.detections] for each in shown]
    draw_detections(
        [part_folder / each.file_name for each in shown],
        [np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in truth],
        [np.asarray(boxes, np.float64).reshape(-1, 5) for boxes in found],
        destination,
        confidence=confidence,
        title=title,
    )


def draw_detections(
    images: Sequence[Path],
    truth: Sequence[Boxes],
    predictions: Sequence[Boxes],
    destination: Path,
    *,
    columns: int = 4,
    confidence: float,
    title: str = "Test images: what is there and what was found",
) -> None:
    """Draws a contact sheet: true boxes dashed in blue, predicted ones in orange with their score.

    Args:
        images: files, one a cell.
        truth: for each image float (T, 4): x y width height in source-image pixels; T may be 0.
        predictions: for each image float (P, 5): x y width height in source-image pixels, score in [0, 1].
        destination: the PNG or JPEG to write, by its suffix; an existing one is replaced.
        columns: cells a row.
        confidence: predictions below it are left out.
        title: the sheet's first line.

    Raises:
        Invalid: `picture.nothing_to_draw`.
    """
    if not images:
        raise Invalid(
            "picture.nothing_to_draw", "There is no image to draw.", hint="Choose a part with images."
        )
    columns = max(1, min(columns, len(images)))
    rows = math.ceil(len(images) / columns)
    pitch_x, pitch_y = _CELL_PX + _GAP_PX, _CELL_PX + _CAPTION_PX + _GAP_PX
    # Narrower than two cells, the legend has no room.
    width = max(_GAP_PX + columns * pitch_x, 2 * pitch_x)
    sheet = Image.new("RGB", (width, _HEADER_PX + rows * pitch_y), _PAPER_COLOUR)
    pen = ImageDraw.Draw(sheet)
    _draw_header(pen, title, confidence)
    for index, (path, true_boxes, predicted) in enumerate(zip(images, truth, predictions, strict=True)):
        row, column = divmod(index, columns)
        left, top = _GAP_PX + column * pitch_x, _HEADER_PX + row * pitch_y
        kept = predicted[predicted[:, 4] >= confidence]
        _draw_cell(sheet, pen, path, true_boxes, kept, left, top)
    _save(sheet, destination)


def _draw_header(pen: ImageDraw.ImageDraw, title: str, confidence: float) -> None:
    pen.text((_GAP_PX, 12), title, fill=_INK_COLOUR, font=ImageFont.load_default(21))
    font = ImageFont.load_default(15)
    x, middle = float(_GAP_PX), 56.0
    for colour, dashed, text in (
        (TRUE_COLOUR, True, "true box"),
        (PREDICTED_COLOUR, False, f"predicted box with its score, {confidence:.2f} or more"),
    ):
        _draw_box(pen, (x, middle - 9, x + 34, middle + 9), colour, dashed=dashed)
        pen.text((x + 44, middle), text, fill=_INK_COLOUR, font=font, anchor="lm")
        x += 44 + font.getlength(text) + 32


def _draw_cell(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    path: Path,
    true_boxes: Boxes,
    predicted: Boxes,
    left: int,
    top: int,
) -> None:
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    factor = _CELL_PX / max(picture.size)
    small = picture.resize(
        (max(1, round(picture.width * factor)), max(1, round(picture.height * factor))),
        Image.Resampling.LANCZOS,
    )
    scale = _Scale(factor, left + (_CELL_PX - small.width) / 2, top + (_CELL_PX - small.height) / 2)
    sheet.paste(small, (round(scale.left), round(scale.top)))
    for box in predicted.tolist():
        _draw_box(pen, scale.place(box[:4]), PREDICTED_COLOUR, dashed=False)
    # On top, and dashed: a true box under a good prediction still shows.
    for box in true_boxes.tolist():
        _draw_box(pen, scale.place(box), TRUE_COLOUR, dashed=True)
    # Scores come last, so that no box crosses a number; the best one uppermost.
    for box in sorted(predicted.tolist(), key=lambda row: row[4]):
        _draw_score(pen, scale.place(box[:4]), box[4], (left, top))
    caption = f"{path.name}: {len(true_boxes)} true, {len(predicted)} predicted"
    font = ImageFont.load_default(13)
    while font.getlength(caption) > _CELL_PX and len(caption) > 4:
        caption = caption[: len(caption) // 2 - 2] + "…" + caption[len(caption) // 2 + 1 :]
    pen.text((left, top + _CELL_PX + 4), caption, fill=_FAINT_INK_COLOUR, font=font)


def _draw_box(
    pen: ImageDraw.ImageDraw,
    corners: tuple[float, float, float, float],
    colour: tuple[int, int, int],
    *,
    dashed: bool,
) -> None:
    x1, y1, x2, y2 = corners
    x2, y2 = max(x2, x1 + 2), max(y2, y1 + 2)
    # All of the line lies outside: what is in a small box is what one wants to see.
    pen.rectangle((x1 - 2, y1 - 2, x2 + 2, y2 + 2), outline=_OUTLINE_COLOUR, width=3)
    if not dashed:
        pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=colour, width=2)
        return
    for start, end in (
        ((x1, y1), (x2, y1)),
        ((x1, y2), (x2, y2)),
        ((x1, y1), (x1, y2)),
        ((x2, y1), (x2, y2)),
    ):
        # An odd number of pieces, so that every side begins and ends with a dash.
        pieces = max(1, int(math.dist(start, end) / _DASH_PX) // 2 * 2 + 1)
        stops = np.linspace(start, end, pieces + 1).tolist()
        for piece in range(0, pieces, 2):
            pen.line((*stops[piece], *stops[piece + 1]), fill=colour, width=2)


def _draw_score(
    pen: ImageDraw.ImageDraw,
    corners: tuple[float, float, float, float],
    score: float,
    cell: tuple[int, int],
) -> None:
    """The score above the box, or inside it where the cell ends, never out of the cell."""
    font = ImageFont.load_default(13)
    text = f"{score:.2f}"
    width, height = font.getlength(text) + 6, 16
    x1, y1, _, _ = corners
    left, top = cell
    x = min(max(x1 - 1, left), left + _CELL_PX - width)
    y = y1 - height - 1
    if y < top:
        y = max(y1 + 2, top)
    pen.rectangle((x, y, x + width, y + height), fill=PREDICTED_COLOUR)
    pen.text((x + 3, y + height / 2), text, fill=_OUTLINE_COLOUR, font=font, anchor="lm")


def _save(sheet: Image.Image, destination: Path) -> None:
    # Pillow chooses the format by the suffix, so the temporary name keeps it.
    temporary = destination.with_name(f".{destination.stem}.partial{destination.suffix}")
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        sheet.save(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(destination)
    finally:
        temporary.unlink(missing_ok=True)
