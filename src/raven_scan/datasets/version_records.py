"""What is known of versions whatever became of them: for lineage, which outlives what it names."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from raven_scan.access.types import Actor, Claim
from raven_scan.datasets import repository
from raven_scan.kernel.database import Database


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A version that is there, or in the trash (alone or with its dataset)."""

    id: UUID
    full_name: str
    digest: str
    is_deleted: bool


class VersionRecords:
    """Reads what is known of versions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_records(self, actor: Actor, ids: Collection[UUID]) -> dict[UUID, VersionRecord]:
        """By id; those that are gone for good are left out. Raises Forbidden."""
        actor.require(Claim.DATASET_VIEW)
        with self._database.reading() as session:
            rows = repository.find_versions_in_any_state(session, ids)
        return {row[0]: VersionRecord(*row) for row in rows}
