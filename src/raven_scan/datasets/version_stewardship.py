"""The use cases of looking after single versions: delete, restore, purge."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor, Claim
from raven_scan.datasets import repository, trash_repository
from raven_scan.datasets.errors import make_dataset_in_trash, make_dataset_missing, make_only_version
from raven_scan.datasets.models import Dataset, DatasetVersion
from raven_scan.datasets.service import DatasetService
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.dependents import Dependents, make_in_use
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.trash import DeletedItem, make_not_in_trash

_AT_A_TIME = 100


class VersionStewardship:
    """Versions of datasets as somebody looks after them; they are never edited.

    Args:
        dependents: who above names versions; they are asked before one is deleted.
    """

    kind = trash_repository.VERSION
    delete_claim = Claim.DATASET_DELETE

    def __init__(
        self,
        database: Database,
        datasets: DatasetService,
        clock: Clock,
        *,
        dependents: Sequence[Dependents] = (),
    ) -> None:
        self._database = database
        self._datasets = datasets
        self._clock = clock
        self._dependents = dependents

    def delete(self, actor: Actor, ref: str) -> None:
        """Puts one version into the trash; its number is given to no other.

        Args:
            actor: needs `dataset:delete`.
            ref: `name@number`, or its id.

        Raises:
            NotFound: there is no such version.
            Conflict: it is the only one of its dataset, or something needs it; the parameters list what.
        """
        view = self._datasets.get_version(actor, ref)
        actor.require(Claim.DATASET_DELETE)
        with self._database.transaction() as session:
            found = trash_repository.lock_version(session, view.id, is_deleted=False)
            if found is None or found[1].deleted_at is not None:
                raise make_dataset_missing(ref)
            row, dataset = found
            if repository.count_versions(session, dataset.id) == 1:
                raise make_only_version(view.full_name, dataset.name)
            uses = [use for each in self._dependents for use in each.list_uses(session, [row.id])]
            if uses:
                visible = {use.kind for use in uses if actor.may(Claim(f"{use.kind}:view"))}
                raise make_in_use(self.kind, view.full_name, uses, visible_kinds=visible)
            row.deleted_at = self._clock.now()
            row.deleted_by = actor.name
            record(session, actor, "dataset_version.deleted", _make_target(row, dataset))

    def list_deleted(self, actor: Actor, page: PageRequest) -> Page[DeletedItem]:
        """Versions that were deleted by themselves, last deleted first."""
        actor.require(Claim.DATASET_DELETE)
        with self._database.reading() as session:
            return trash_repository.list_versions(session, page)

    def restore(self, actor: Actor, id_: UUID) -> None:
        """Takes a version out of the trash. Raises NotFound; Conflict where its dataset is in the trash."""
        actor.require(Claim.DATASET_DELETE)
        with self._database.transaction() as session:
            found = trash_repository.lock_version(session, id_, is_deleted=True)
            if found is None:
                raise make_not_in_trash(id_)
            row, dataset = found
            target = _make_target(row, dataset)
            if dataset.deleted_at is not None:
                raise make_dataset_in_trash(target.name)
            row.deleted_at = row.deleted_by = None
            record(session, actor, "dataset_version.restored", target)

    def purge(self, actor: Actor, deleted_before: datetime, *, id_: UUID | None = None) -> int:
        """Removes for good what was deleted by then, or that one thing of it; returns how many there were."""
        actor.require(Claim.DATASET_DELETE)
        count = 0
        while True:
            with self._database.transaction() as session:
                removed = trash_repository.remove_versions(session, deleted_before, id_=id_, limit=_AT_A_TIME)
                for each, name in removed:
                    record(session, actor, "dataset_version.purged", Target(self.kind, each, name))
            count += len(removed)
            if len(removed) < _AT_A_TIME:
                return count


def _make_target(row: DatasetVersion, dataset: Dataset) -> Target:
    return Target(trash_repository.VERSION, row.id, f"{dataset.name}@{row.number}")
