"""The content of a version, in its canonical form.

Images are in the order (train, valid, test), then by file name, code point by code point. Boxes are in the order
of their images, then by class, x, y, w, h, crowd, area. Classes are sorted by code points. Coordinates are in the
frame that training sees, after clipping. Ids, the order of records, the source's form and its other fields are not
part of it.

The digest is the sha256 of, each preceded by its length in bytes (uint64, little-endian): a tag; the classes, the
pixel rules and the images (part, file name, sha256, width, height, orientation) as JSON; then the columns of the
boxes as little-endian arrays: image (int64), class (int32), x y w h area (float64), crowd (uint8).
"""

import hashlib
import io
import struct
from dataclasses import dataclass

import msgspec
import numpy as np
import polars as pl

from raven_scan.datasets.types import Part, PartCounts
from raven_scan.pixels.rules import PixelRules

_TAG = b"raven-scan dataset version 1"
_PART_ORDER = {part: position for position, part in enumerate(Part)}

IMAGES_SCHEMA = {
    "part": pl.String,
    "file_name": pl.String,
    "digest": pl.String,
    "width": pl.Int32,
    "height": pl.Int32,
    "exif_orientation": pl.UInt8,
    "format": pl.String,
    "band_count": pl.UInt16,
    "bit_depth": pl.UInt8,
    "size_bytes": pl.Int64,
}
BOXES_SCHEMA = {
    "image": pl.Int64,
    "label": pl.Int32,
    "x": pl.Float64,
    "y": pl.Float64,
    "width": pl.Float64,
    "height": pl.Float64,
    "area": pl.Float64,
    "crowd": pl.Boolean,
}
_IMAGE_IDENTITY = ("part", "file_name", "digest", "width", "height", "exif_orientation")
_BOX_NUMBERS = ("x", "y", "width", "height", "area")


@dataclass(frozen=True, slots=True)
class VersionContent:
    """What a version holds.

    Attributes:
        images: columns of IMAGES_SCHEMA; width and height in the frame of the boxes.
        boxes: columns of BOXES_SCHEMA; `image` is a row of `images`, `label` an index in `classes`.
    """

    classes: list[str]
    pixel_rules: PixelRules
    images: pl.DataFrame
    boxes: pl.DataFrame

    @classmethod
    def arrange(
        cls, classes: list[str], pixel_rules: PixelRules, images: pl.DataFrame, boxes: pl.DataFrame
    ) -> "VersionContent":
        """Bring images and boxes in whatever order into the canonical one."""
        ordered = (
            images.with_row_index("row")
            .with_columns(
                pl.col("part").replace_strict(_PART_ORDER, return_dtype=pl.Int8).alias("part_order")
            )
            .sort("part_order", "file_name")
        )
        place = np.empty(images.height, np.int64)
        place[ordered["row"].to_numpy()] = np.arange(images.height)
        placed = boxes.with_columns(pl.Series("image", place[boxes["image"].to_numpy()], dtype=pl.Int64))
        by = ["image", "label", "x", "y", "width", "height", "crowd", "area"]
        return cls(classes, pixel_rules, ordered.drop("row", "part_order"), placed.sort(by))

    def make_digest(self) -> str:
        pieces = [
            _TAG,
            msgspec.json.encode(self.classes),
            msgspec.json.encode(self.pixel_rules.to_json(), order="sorted"),
            msgspec.json.encode(self.images.select(_IMAGE_IDENTITY).rows()),
            self.boxes["image"].to_numpy().astype("<i8").tobytes(),
            self.boxes["label"].to_numpy().astype("<i4").tobytes(),
            *(self.boxes[name].to_numpy().astype("<f8").tobytes() for name in _BOX_NUMBERS),
            self.boxes["crowd"].to_numpy().astype("u1").tobytes(),
        ]
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(struct.pack("<Q", len(piece)))
            digest.update(piece)
        return digest.hexdigest()

    def count_parts(self) -> dict[str, PartCounts]:
        parts = self.images["part"].to_numpy()
        part_of_box = parts[self.boxes["image"].to_numpy()]
        crowd = self.boxes["crowd"].to_numpy()
        labels = self.boxes["label"].to_numpy()
        with_boxes = np.zeros(self.images.height, np.bool_)
        with_boxes[self.boxes["image"].to_numpy()] = True
        counts: dict[str, PartCounts] = {}
        for part in Part:
            here = part_of_box == part.value
            by_class = np.bincount(labels[here & ~crowd], minlength=len(self.classes)).tolist()
            of_part = parts == part.value
            counts[part.value] = PartCounts(
                image_count=int(of_part.sum()),
                box_count=int((here & ~crowd).sum()),
                crowd_count=int((here & crowd).sum()),
                background_count=int((of_part & ~with_boxes).sum()),
                boxes_by_class=dict(zip(self.classes, by_class, strict=True)),
            )
        return counts


def encode_table(table: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    table.write_parquet(file, compression="zstd")
    return file.getvalue()


def decode_table(content: bytes) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(content))
