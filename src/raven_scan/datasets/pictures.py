"""Images of a version as pictures to look at: upright, with three bytes a pixel, as large as is asked."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from raven_scan.access.types import Actor
from raven_scan.datasets import repository, thumbnails
from raven_scan.datasets.errors import make_image_damaged, make_image_not_found
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.thumbnails import Thumbnails
from raven_scan.kernel.database import Database
from raven_scan.pixels.rules import PixelRules
from raven_scan.storage.blob_store import BlobStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

SMALLEST_SIDE_PX, LARGEST_SIDE_PX = 16, 4096
_JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class VersionImage:
    """An image of a version.

    Attributes:
        digest: sha256 of its file.
        exif_orientation: the turn into the frame of its boxes.
        rules: of its version.
    """

    digest: str
    exif_orientation: int
    rules: PixelRules


class VersionPictures:
    """Args:
    thumbnails: keeps small pictures; None to draw them each time.
    """

    def __init__(
        self,
        database: Database,
        datasets: DatasetService,
        blobs: BlobStore,
        thumbnails: Thumbnails | None = None,
    ) -> None:
        self._database = database
        self._datasets = datasets
        self._blobs = blobs
        self._thumbnails = thumbnails
        # Of the versions that were looked at last: a gallery asks for one picture after another.
        self._read_orientations = lru_cache(maxsize=4)(self._read_table)

    def get_image(self, actor: Actor, ref: str, digest: str) -> VersionImage:
        """An image of a version, by the sha256 of its file.

        Args:
            actor: needs `dataset:view`.
            ref: of the version.
            digest: as a gallery tells it.

        Raises:
            NotFound: there is no such version, or it has no such image.
        """
        version = self._datasets.get_version(actor, ref)
        with self._database.reading() as session:
            table, _ = repository.get_tables(session, version.id)
        orientation = self._read_orientations(table).get(digest)
        if orientation is None:
            raise make_image_not_found(version.full_name, digest)
        return VersionImage(digest, orientation, version.pixel_rules)

    def draw(self, image: VersionImage, size_px: int | None) -> bytes:
        """As JPEG, with the longest side no longer than `size_px`; None: in its own size.

        Raises:
            NotFound: its file is lost.
            Damaged: its file is not what was imported.
        """
        if self._thumbnails is None or size_px is None or size_px > thumbnails.LARGEST_SIDE_PX:
            return self._draw(image, size_px)
        key = f"{image.digest} {image.exif_orientation} {image.rules.to_json()} {size_px} {_JPEG_QUALITY}"
        return self._thumbnails.get(key, lambda: self._draw(image, size_px))

    def _draw(self, image: VersionImage, size_px: int | None) -> bytes:
        import cv2  # noqa: PLC0415 - it takes a fifth of a second

        from raven_scan.pixels.errors import UnreadableImage  # noqa: PLC0415
        from raven_scan.pixels.reading import read_image  # noqa: PLC0415

        content = self._blobs.get_bytes(image.digest)
        try:
            pixels = read_image(content, image.rules, exif_orientation=image.exif_orientation)
        except UnreadableImage as error:
            raise make_image_damaged(image.digest, error.sentence) from error
        _, encoded = cv2.imencode(".jpg", _shrink(pixels, size_px), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        return encoded.tobytes()

    def _read_table(self, table: str) -> "Mapping[str, int]":
        """The orientation of each image by its digest."""
        from raven_scan.datasets.content import decode_table  # noqa: PLC0415

        images = decode_table(self._blobs.get_bytes(table))
        return dict(zip(images["digest"].to_list(), images["exif_orientation"].to_list(), strict=True))


def _shrink(pixels: "NDArray[np.uint8]", size_px: int | None) -> "NDArray[np.uint8]":
    import cv2  # noqa: PLC0415

    height, width = pixels.shape[:2]
    if size_px is None or max(height, width) <= size_px:
        return pixels
    factor = size_px / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    shrunk: NDArray[np.uint8] = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # pyright: ignore[reportAssignmentType] - 8 bits stay such
    return shrunk
