"""Which images a version holds, whatever became of it: for whoever asks what a model has seen."""

import hashlib
from collections.abc import Collection
from uuid import UUID

from raven_scan.access.types import Actor, Claim
from raven_scan.datasets import repository
from raven_scan.datasets.types import Part
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import NotFound
from raven_scan.storage.blob_store import BlobStore


class VersionImages:
    """Reads the tables of images of versions, those in the trash too."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs

    def find_digests(self, actor: Actor, version_id: UUID, parts: Collection[Part]) -> frozenset[str] | None:
        """sha256 of the files of all images in these parts.

        Args:
            actor: needs `dataset:view`.
            version_id: of a version, in the trash too.
            parts: of it.

        Returns:
            None where the version is gone for good, or its table is lost or damaged.
        """
        from raven_scan.datasets.content import decode_table  # noqa: PLC0415 - it needs polars

        actor.require(Claim.DATASET_VIEW)
        with self._database.reading() as session:
            found = repository.find_version_in_any_state(session, version_id)
        if found is None:
            return None
        digest = found[1].images_digest
        try:
            content = self._blobs.get_bytes(digest)
        except (NotFound, OSError):
            return None
        if hashlib.sha256(content).hexdigest() != digest:
            return None
        images = decode_table(content)
        return frozenset(images.filter(images["part"].is_in([*parts]))["digest"].to_list())

    def find_version(self, actor: Actor, digest: str) -> tuple[UUID, str] | None:
        """Id and full name of a version with this content, in the trash too.

        Args:
            actor: needs `dataset:view`.
            digest: of the content, as another platform may have told it.
        """
        actor.require(Claim.DATASET_VIEW)
        with self._database.reading() as session:
            return repository.find_version_of_content(session, digest)
