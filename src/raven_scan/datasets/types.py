"""Values of datasets."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from raven_scan.pixels.rules import PixelRules
from raven_scan.wire.spec import PartSpec


class Part(StrEnum):
    """What a part of the split is for: learning, choosing the best epoch, and the figures that are told."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What an import was asked to do.

    Attributes:
        name: the dataset's; under a name that is there already, the next version is made.
        class_map: old class name to new class name.
        single_class: makes every class this one.
        allow_leak: admits identical images in several parts; recorded with the version.
        bands: which bands, counted from 0, become red, green and blue.
        seed: of the split, where the source has none.
    """

    name: str
    class_map: dict[str, str] = field(default_factory=dict[str, str])
    single_class: str | None = None
    allow_leak: bool = False
    bands: tuple[int, int, int] | None = None
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """As they were asked for: bands counted from 1."""
        return {
            "class_map": self.class_map,
            "single_class": self.single_class,
            "allow_leak": self.allow_leak,
            "bands": None if self.bands is None else [band + 1 for band in self.bands],
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True)
class Notice:
    """Something an import did that its user should know.

    Attributes:
        code: stable dotted name.
        message: one sentence.
        count: how many images, boxes or classes it concerns.
        examples: the first of them, as `file: record`.
    """

    code: str
    message: str
    count: int = 1
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PartCounts:
    """What a part holds.

    Attributes:
        box_count: crowds left out.
        background_count: images without a box.
        boxes_by_class: class name to number of boxes, crowds left out, in the order of the classes.
    """

    image_count: int
    box_count: int
    crowd_count: int
    background_count: int
    boxes_by_class: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFindings:
    """What an import of a source would make; as in DatasetVersionView."""

    classes: list[str]
    parts: dict[str, PartCounts]
    leaked_image_count: int
    image_bytes: int
    warnings: list[Notice]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVersionView:
    """An immutable version of a dataset.

    Attributes:
        number: from 1.
        digest: equal for equal content, see `content.py`.
        classes: names in the order of their code points; a detector's label index is the position here.
        parts: by name: train, valid, test; all three are there, test may be empty.
        leaked_image_count: images whose content is in more than one part.
        image_bytes: of all image files.
        options: what the import was asked.
        warnings: what the import found; in an import's own answer also whether anything changed.
    """

    id: UUID
    dataset_id: UUID
    dataset_name: str
    number: int
    digest: str
    classes: list[str]
    parts: dict[str, PartCounts]
    pixel_rules: PixelRules
    leak_allowed: bool
    leaked_image_count: int
    image_bytes: int
    options: dict[str, Any]
    warnings: list[Notice]
    created_at: datetime
    created_by: str

    @property
    def full_name(self) -> str:
        """`name@number`, which means this version for ever."""
        return f"{self.dataset_name}@{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetView:
    """A dataset, with its versions, newest first.

    Attributes:
        revision: grows with every edit of name and notes.
        version_count: how many there are; `versions` may hold fewer.
    """

    id: UUID
    name: str
    notes: str
    revision: int
    created_at: datetime
    created_by: str
    version_count: int
    versions: list[DatasetVersionView]


@dataclass(frozen=True, slots=True)
class Layout:
    """A version on the disk as COCO, for a trainer."""

    train: PartSpec
    valid: PartSpec
    test: PartSpec
