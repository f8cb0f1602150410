"""Which detection found which true box: what all figures are reckoned from, kept as a file."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = npt.NDArray[np.int32]
Flags: TypeAlias = npt.NDArray[np.uint16]

IOU_THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""As COCO's protocol has them."""
AREA_RANGES: Mapping[str, tuple[float, float]] = {
    "all": (0.0, 1e5**2),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e5**2),
}
"""Smallest and largest area in square pixels, both included, as COCO's protocol has them."""
DETECTIONS_MAX = 100
"""The best detections of an image and class that count, as COCO's protocol has it."""

_FORM = "raven-scan matches 1"


class UnreadableMatchesError(Exception):
    """A file holds no matches that this version can read."""


class _Header(msgspec.Struct):
    classes: list[str]
    file_names: list[str]
    unknown_classes: list[str] = []
    foreign_classes: list[str] = []


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matches:
    """Detections (D) and true boxes (B) on images (I) of one part, matched as COCO's protocol has it.

    Bit t of a flag is for `IOU_THRESHOLDS[t]`, column a for the a-th of `AREA_RANGES`.

    Attributes:
        classes: names in the order of the label index.
        image_ids: int64 (I,): ascending, as in the part's COCO document.
        file_names: I names of images.
        detection_image: int32 (D,): row in `image_ids`, ascending; inside an image by label, then best score first.
        detection_label: int32 (D,).
        scores: float64 (D,).
        detection_boxes: float64 (D, 4): x y w h in pixels of the source image.
        hits: uint16 (D, 4): flags: found a true box of this area range.
        ignored: uint16 (D, 4): flags: does not count: it lies on a crowd, or is of another area range.
        truth_image: int32 (B,): row in `image_ids`, ascending.
        truth_label: int32 (B,).
        truth_boxes: float64 (B, 4): x y w h in pixels of the source image.
        truth_areas: float64 (B,): square pixels, as annotated; it may be less than the box's.
        crowds: bool (B,).
        found_by: int32 (B, 10): by IoU threshold the detection that found it, whatever its area; -1 where none did.
            Of a crowd always -1.
        unknown_classes: those of `classes` that the model does not know: nothing of them is detected.
        foreign_classes: those of `classes` that the part was not annotated with: they have neither boxes nor
            detections.
    """

    classes: tuple[str, ...]
    image_ids: npt.NDArray[np.int64]
    file_names: tuple[str, ...]
    detection_image: Rows
    detection_label: Rows
    scores: Floats
    detection_boxes: Floats
    hits: Flags
    ignored: Flags
    truth_image: Rows
    truth_label: Rows
    truth_boxes: Floats
    truth_areas: Floats
    crowds: Bools
    found_by: Rows
    unknown_classes: tuple[str, ...] = ()
    foreign_classes: tuple[str, ...] = ()

    def get_hits(self, threshold: int, area: int = 0) -> Bools:
        """What found a true box, bool (D,), at this of the thresholds and in this of the area ranges."""
        return (self.hits[:, area] >> np.uint16(threshold)) & np.uint16(1) != 0

    def get_counted(self, threshold: int, area: int = 0) -> Bools:
        """What counts, as hit or as false alarm: bool (D,)."""
        return (self.ignored[:, area] >> np.uint16(threshold)) & np.uint16(1) == 0


_SHAPES: Mapping[str, tuple[type[np.generic], str]] = {
    "image_ids": (np.int64, "I"),
    "detection_image": (np.int32, "D"),
    "detection_label": (np.int32, "D"),
    "scores": (np.float64, "D"),
    "detection_boxes": (np.float64, "D4"),
    "hits": (np.uint16, "D4"),
    "ignored": (np.uint16, "D4"),
    "truth_image": (np.int32, "B"),
    "truth_label": (np.int32, "B"),
    "truth_boxes": (np.float64, "B4"),
    "truth_areas": (np.float64, "B"),
    "crowds": (np.bool_, "B"),
    "found_by": (np.int32, "BT"),
}


def write_matches(matches: Matches, path: Path) -> None:
    """Write them as safetensors: whole or not at all."""
    header = _Header(
        classes=list(matches.classes),
        file_names=list(matches.file_names),
        unknown_classes=list(matches.unknown_classes),
        foreign_classes=list(matches.foreign_classes),
    )
    temporary = path.with_name(f".{path.name}.part")
    save_file: Any = safetensors.numpy.save_file  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    save_file(
        {name: np.ascontiguousarray(getattr(matches, name)) for name in _SHAPES},
        temporary,
        metadata={"form": _FORM, "header": msgspec.json.encode(header).decode()},
    )
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def read_matches(path: Path) -> Matches:
    """Read what `write_matches` wrote.

    Raises:
        UnreadableMatchesError: it is damaged, of another form, or its tables do not fit each other.
    """
    try:
        safe_open: Any = safetensors.safe_open
        with safe_open(path, framework="np") as file:
            metadata: dict[str, str] = file.metadata() or {}
            if metadata.get("form") != _FORM:
                raise UnreadableMatchesError(f"{path.name} holds no matches of the form {_FORM!r}.")
            header = msgspec.json.decode(metadata["header"], type=_Header)
            columns: dict[str, Any] = {name: file.get_tensor(name) for name in _SHAPES}
    except (OSError, safetensors.SafetensorError, msgspec.MsgspecError, KeyError) as error:
        raise UnreadableMatchesError(f"{path.name} cannot be read: {error}") from error
    matches = Matches(
        classes=tuple(header.classes),
        file_names=tuple(header.file_names),
        unknown_classes=tuple(header.unknown_classes),
        foreign_classes=tuple(header.foreign_classes),
        **columns,
    )
    _check(matches, path)
    return matches


def _check(matches: Matches, path: Path) -> None:
    sizes = {
        "I": len(matches.file_names),
        "D": len(matches.scores),
        "B": len(matches.crowds),
        "4": 4,
        "T": len(IOU_THRESHOLDS),
    }
    for name, (dtype, letters) in _SHAPES.items():
        column = getattr(matches, name)
        if column.dtype != dtype or column.shape != tuple(sizes[letter] for letter in letters):
            raise UnreadableMatchesError(f"{path.name}: {name} is {column.dtype} {column.shape}.")
    for name, start, end in (
        ("detection_image", 0, sizes["I"]),
        ("truth_image", 0, sizes["I"]),
        ("detection_label", 0, len(matches.classes)),
        ("truth_label", 0, len(matches.classes)),
        ("found_by", -1, sizes["D"]),
    ):
        column = getattr(matches, name)
        if column.size and (int(column.min()) < start or int(column.max()) >= end):
            raise UnreadableMatchesError(f"{path.name}: {name} points at nothing.")
