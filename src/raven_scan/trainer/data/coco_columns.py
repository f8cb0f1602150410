"""A part's `annotations_coco.json` as columns: no Python object stays behind for a box."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from raven_scan.pixels.rules import PixelRules

ANNOTATIONS_FILE = "annotations_coco.json"


class BadPartError(Exception):
    """A part's COCO file cannot be trained on. The text names the file and the record."""


class _Image(msgspec.Struct, gc=False):
    id: int
    file_name: str
    width: int
    height: int
    exif_orientation: int | None = None


class _Annotation(msgspec.Struct, gc=False):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int = 0


class _Category(msgspec.Struct, gc=False):
    id: int
    name: str


class _Raven(msgspec.Struct):
    pixel_rules: PixelRules = PixelRules()


class _Coco(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]
    raven: _Raven = msgspec.field(default_factory=_Raven)


@dataclass(frozen=True, slots=True)
class CocoColumns:
    """Images and boxes of one part; I images, B boxes sorted by image.

    Attributes:
        image_ids: int64 (I,).
        file_names: I names relative to the part's folder.
        sizes: int32 (I, 2): height, width of the frame that the boxes are in.
        exif_orientations: uint8 (I,): the orientation to apply to the decoded pixels; 1 is none.
        boxes: float32 (B, 4): x1 y1 x2 y2 in pixels.
        labels: int64 (B,): index in the class list.
        crowds: bool (B,).
        offsets: int64 (I + 1,): image i has the boxes offsets[i]:offsets[i + 1].
        pixel_rules: how the files' bands and values become 3 x uint8; in the JSON under `raven`.
    """

    image_ids: NDArray[np.int64]
    file_names: tuple[str, ...]
    sizes: NDArray[np.int32]
    exif_orientations: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    crowds: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    pixel_rules: PixelRules


def read_coco_columns(folder: Path, classes: list[str]) -> CocoColumns:
    """Read a part; labels are positions in `classes`, whatever the file's category ids are.

    Boxes are clipped to their image; what has no area after that is left out.

    Raises:
        BadPartError: the file is not COCO, or names an image or a class that is not there.
    """
    path = folder / ANNOTATIONS_FILE
    try:
        coco = msgspec.json.decode(path.read_bytes(), type=_Coco)
    except FileNotFoundError:
        raise BadPartError(f"{path} is missing.") from None
    except msgspec.MsgspecError as error:
        raise BadPartError(f"{path} is not COCO: {error}.") from error
    label_by_category = _label_by_category(path, coco.categories, classes)
    row_by_image = {image.id: row for row, image in enumerate(coco.images)}
    if len(row_by_image) != len(coco.images):
        raise BadPartError(f"{path} has two images of one id.")
    count = len(coco.annotations)
    boxes = np.fromiter(
        (value for annotation in coco.annotations for value in annotation.bbox), np.float64, count * 4
    ).reshape(-1, 4)
    try:
        rows = np.fromiter((row_by_image[a.image_id] for a in coco.annotations), np.int64, count)
        labels = np.fromiter((label_by_category[a.category_id] for a in coco.annotations), np.int64, count)
    except KeyError as error:
        raise BadPartError(
            f"{path} has an annotation of an image or category {error} that it lacks."
        ) from error
    crowds = np.fromiter((a.iscrowd != 0 for a in coco.annotations), np.bool_, count)
    sizes = np.array([(i.height, i.width) for i in coco.images], np.int32).reshape(-1, 2)
    boxes[:, 2:] += boxes[:, :2]
    limits = sizes[rows]
    boxes[:, 0::2] = np.clip(boxes[:, 0::2], 0, limits[:, 1:])
    boxes[:, 1::2] = np.clip(boxes[:, 1::2], 0, limits[:, :1])
    kept = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    order = np.flatnonzero(kept)[np.argsort(rows[kept], kind="stable")]
    offsets = np.zeros(len(coco.images) + 1, np.int64)
    np.cumsum(np.bincount(rows[order], minlength=len(coco.images)), out=offsets[1:])
    return CocoColumns(
        image_ids=np.array([i.id for i in coco.images], np.int64),
        file_names=tuple(i.file_name for i in coco.images),
        sizes=sizes,
        exif_orientations=np.array([i.exif_orientation or 1 for i in coco.images], np.uint8),
        boxes=boxes[order].astype(np.float32),
        labels=labels[order],
        crowds=crowds[order],
        offsets=offsets,
        pixel_rules=coco.raven.pixel_rules,
    )


def _label_by_category(path: Path, categories: list[_Category], classes: list[str]) -> dict[int, int]:
    labels = {name: label for label, name in enumerate(classes)}
    unknown = [category.name for category in categories if category.name not in labels]
    if unknown:
        raise BadPartError(f"{path} has categories that the run does not know: {unknown!r}.")
    return {category.id: labels[category.name] for category in categories}
