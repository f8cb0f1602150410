"""A version as a zip in COCO form, made while it is sent: no copy of it is on any disk.

It has a folder a part with `annotations_coco.json` and the images, stored as they are. Of one version it is the same
bytes each time; imported again, with the options that the version was imported with, it has the version's digest.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor, Claim
from raven_scan.datasets.errors import make_files_lost
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.kernel.database import Database
from raven_scan.storage.blob_store import CHUNK_BYTES, BlobStore

if TYPE_CHECKING:
    from raven_scan.datasets.content import VersionContent


@dataclass(frozen=True, slots=True)
class DatasetArchive:
    """A zip on its way.

    Attributes:
        digest: of the version.
        chunks: its bytes; whoever stops reading stops its making.
    """

    file_name: str
    digest: str
    chunks: Iterator[bytes]


class DatasetExports:
    """Hands out versions as archives."""

    def __init__(self, database: Database, datasets: DatasetService, blobs: BlobStore) -> None:
        self._database = database
        self._datasets = datasets
        self._blobs = blobs

    def open(self, actor: Actor, ref: str) -> DatasetArchive:
        """The archive of a version; everything that can be refused is refused here.

        Args:
            actor: needs `dataset:export`.
            ref: `name@number`, a version's id, or a dataset's name or id for its newest.

        Raises:
            NotFound: there is no such version.
            Conflict: images of it are lost.
        """
        version = self._datasets.get_version(actor, ref)
        actor.require(Claim.DATASET_EXPORT)
        _, content = self._datasets.load_version(actor, str(version.id))
        missing = self._blobs.find_missing(content.images["digest"].unique())
        if missing:
            raise make_files_lost(version.full_name, len(missing))
        with self._database.transaction() as session:
            target = Target("dataset_version", version.id, version.full_name)
            record(session, actor, "dataset_version.exported", target)
        return DatasetArchive(
            file_name=f"{version.full_name}.zip",
            digest=version.digest,
            chunks=self._make_chunks(version, content),
        )

    def _make_chunks(self, version: DatasetVersionView, content: "VersionContent") -> Iterator[bytes]:
        from raven_scan.datasets.layout import ANNOTATIONS_FILE, encode_part, list_parts  # noqa: PLC0415

        about = {
            "dataset": version.full_name,
            "digest": version.digest,
            "pixel_rules": content.pixel_rules.to_json(),
        }
        pipe = _Pipe()
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
            for part, first_row, images in list_parts(content):
                annotations = encode_part(
                    content, images, first_row, description=f"{version.full_name}, {part}", about=about
                )
                yield from _add(archive, pipe, f"{part}/{ANNOTATIONS_FILE}", [annotations])
                del annotations  # there may be a hundred megabytes of it
                names, digests = images["file_name"].to_list(), images["digest"].to_list()
                for name, digest in zip(names, digests, strict=True):
                    yield from _add(archive, pipe, f"{part}/{name}", self._read(digest))
        yield pipe.take()

    def _read(self, digest: str) -> Iterator[bytes]:
        with self._blobs.get_path(digest).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


class _Pipe:
    """What a zip is written to and taken from; it cannot seek, so the sizes follow each file in the zip."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def __len__(self) -> int:
        return len(self._waiting)

    def write(self, chunk: bytes) -> int:
        self._waiting += chunk
        return len(chunk)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> bytes:
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken


def _add(
    archive: zipfile.ZipFile, pipe: _Pipe, name: str, content: list[bytes] | Iterator[bytes]
) -> Iterator[bytes]:
    # Without a date of its own, so that the archive is always the same; large files and many need ZIP64.
    with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as entry:
        for chunk in content:
            entry.write(chunk)
            if len(pipe) >= CHUNK_BYTES:
                yield pipe.take()
