"""What is in a version, to look at: a page of its images with their boxes, and how its boxes are."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from raven_scan.access.types import Actor
from raven_scan.datasets import repository
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import Part
from raven_scan.kernel.database import Database
from raven_scan.storage.blob_store import BlobStore

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

BOX_SIDES_PX = (8, 16, 32, 64, 128, 256, 512)
"""Between these are the classes of box sizes; a box's side is that of a square as large."""

BOXES_AN_IMAGE = (0, 1, 2, 3, 5, 10, 20, 50)
"""The largest count of each class of images but the last, which has more."""

_VERSIONS_KEPT = 3


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """Which images of a version are wanted: those of which all that is said here is true.

    Attributes:
        part: None for all.
        class_name: that they have a box of; None for whatever they have.
        background: those without a box alone.
        words: that their file names contain, in whatever case.
    """

    part: Part | None = None
    class_name: str | None = None
    background: bool = False
    words: str = ""


@dataclass(frozen=True, slots=True)
class AnnotatedBox:
    """A box in pixels of the upright image. `label`: its class's place in the version's list."""

    label: int
    x: float
    y: float
    width: float
    height: float
    crowd: bool


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """An image with its boxes, largest first; a crowd is a region of many."""

    file_name: str
    part: Part
    digest: str
    width_px: int
    height_px: int
    boxes: tuple[AnnotatedBox, ...]


@dataclass(frozen=True, slots=True)
class ImagesShown:
    """Some of the images that were chosen, in the version's order, of `total`."""

    items: list[AnnotatedImage]
    total: int


@dataclass(frozen=True, slots=True)
class VersionStatistics:
    """How boxes are; crowds left out.

    Attributes:
        boxes_by_side: by part, the number of boxes between BOX_SIDES_PX, from below the first to above the last.
        images_by_boxes: by part, the number of images in the classes of BOXES_AN_IMAGE.
        median_side_px: of all boxes; None where there is none.
    """

    boxes_by_side: dict[str, list[int]]
    images_by_boxes: dict[str, list[int]]
    median_side_px: float | None


@dataclass(frozen=True, slots=True)
class _Tables:
    """`first_box`: int64 (images + 1,): where the boxes of each image begin."""

    images: "pl.DataFrame"
    boxes: "pl.DataFrame"
    first_box: "NDArray[np.int64]"


class VersionBrowsing:
    """Reads versions for those who look at them; keeps those that were looked at last."""

    def __init__(self, database: Database, datasets: DatasetService, blobs: BlobStore) -> None:
        self._database = database
        self._datasets = datasets
        self._blobs = blobs
        self._read_tables = lru_cache(maxsize=_VERSIONS_KEPT)(self._read)

    def list_images(
        self, actor: Actor, ref: str, chosen: ImageChoice, *, first: int = 0, limit: int = 24
    ) -> ImagesShown:
        """Images of a version, from number `first` of those chosen.

        Args:
            actor: needs `dataset:view`.
            ref: of the version.
            chosen: which images; a class that the version does not have chooses none.
            first: counted from 0.
            limit: how many.

        Raises:
            NotFound: there is no such version.
        """
        version = self._datasets.get_version(actor, ref)
        tables = self._get_tables(actor, ref)
        rows = _choose(tables, version.classes, chosen)
        return ImagesShown(
            [_describe(tables, int(row)) for row in rows[first : first + limit]], total=len(rows)
        )

    def get_statistics(self, actor: Actor, ref: str) -> VersionStatistics:
        """How a version's boxes are.

        Args:
            actor: needs `dataset:view`.
            ref: of the version.

        Raises:
            NotFound: there is no such version.
        """
        import numpy as np  # noqa: PLC0415

        tables = self._get_tables(actor, ref)
        parts = tables.images["part"].to_numpy()
        boxes = tables.boxes.filter(~tables.boxes["crowd"])
        rows = boxes["image"].to_numpy()
        sides = np.sqrt(boxes["width"].to_numpy() * boxes["height"].to_numpy())
        size_class = np.digitize(sides, BOX_SIDES_PX)
        counts = np.bincount(rows, minlength=len(parts))
        count_class = np.searchsorted(BOXES_AN_IMAGE, counts)
        by_side: dict[str, list[int]] = {}
        by_count: dict[str, list[int]] = {}
        for part in Part:
            of_part = parts == part.value
            by_side[part.value] = np.bincount(
                size_class[of_part[rows]], minlength=len(BOX_SIDES_PX) + 1
            ).tolist()
            by_count[part.value] = np.bincount(
                count_class[of_part], minlength=len(BOXES_AN_IMAGE) + 1
            ).tolist()
        return VersionStatistics(by_side, by_count, float(np.median(sides)) if len(sides) else None)

    def _get_tables(self, actor: Actor, ref: str) -> _Tables:
        version = self._datasets.get_version(actor, ref)
        with self._database.reading() as session:
            digests = repository.get_tables(session, version.id)
        return self._read_tables(*digests)

    def _read(self, images_digest: str, boxes_digest: str) -> _Tables:
        import numpy as np  # noqa: PLC0415

        from raven_scan.datasets.content import decode_table  # noqa: PLC0415

        images = decode_table(self._blobs.get_bytes(images_digest))
        boxes = decode_table(self._blobs.get_bytes(boxes_digest))
        # A version's boxes are in the order of its images.
        first_box = np.searchsorted(boxes["image"].to_numpy(), np.arange(images.height + 1))
        return _Tables(images, boxes, first_box.astype(np.int64))


def _choose(tables: _Tables, classes: list[str], chosen: ImageChoice) -> "NDArray[np.int64]":
    """Rows of the images, in order."""
    import numpy as np  # noqa: PLC0415
    import polars as pl  # noqa: PLC0415

    wanted = np.ones(tables.images.height, np.bool_)
    if chosen.part is not None:
        wanted &= tables.images["part"].to_numpy() == chosen.part.value
    if chosen.background:
        wanted &= np.diff(tables.first_box) == 0
    if chosen.class_name is not None:
        with_class = np.zeros_like(wanted)
        if chosen.class_name in classes:
            labels = tables.boxes["label"].to_numpy()
            rows = tables.boxes["image"].to_numpy()[labels == classes.index(chosen.class_name)]
            with_class[rows] = True
        wanted &= with_class
    if chosen.words:
        names = tables.images.select(
            pl.col("file_name").str.to_lowercase().str.contains(chosen.words.lower(), literal=True)
        )
        wanted &= names.to_series().to_numpy()
    return np.flatnonzero(wanted)


def _describe(tables: _Tables, row: int) -> AnnotatedImage:
    image = tables.images.row(row, named=True)
    begin, end = int(tables.first_box[row]), int(tables.first_box[row + 1])
    columns = ("label", "x", "y", "width", "height", "crowd")
    boxes = [AnnotatedBox(*each) for each in tables.boxes.slice(begin, end - begin).select(columns).rows()]
    # The largest first, so that those within them are drawn over them.
    boxes.sort(key=lambda box: -box.width * box.height)
    return AnnotatedImage(
        file_name=image["file_name"],
        part=Part(image["part"]),
        digest=image["digest"],
        width_px=image["width"],
        height_px=image["height"],
        boxes=tuple(boxes),
    )
