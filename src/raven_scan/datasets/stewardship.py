"""The use cases of looking after datasets: edit, delete, restore, purge."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor, Claim
from raven_scan.datasets import repository, trash_repository
from raven_scan.datasets.errors import make_dataset_missing, make_name_taken
from raven_scan.datasets.models import Dataset
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import DatasetView
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.dependents import Dependents, make_in_use
from raven_scan.kernel.names import check_name
from raven_scan.kernel.notes import check_notes
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.revisions import check_revision
from raven_scan.kernel.trash import DeletedItem, make_not_in_trash

_AT_A_TIME = 20


class DatasetStewardship:
    """Datasets as somebody looks after them, once they are there.

    Args:
        dependents: who above names versions; they are asked before one is deleted, and told of new names.
    """

    kind = trash_repository.DATASET
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

    def edit(
        self,
        actor: Actor,
        ref: str,
        *,
        name: str | None = None,
        notes: str | None = None,
        expected: int | None = None,
    ) -> DatasetView:
        """Changes name and notes; None leaves one as it is.

        Args:
            actor: needs `dataset:edit`.
            ref: name or id.
            name: a new one; whatever names the dataset's versions follows.
            notes: what users write about it.
            expected: the revision that the caller saw.

        Raises:
            NotFound: there is no such dataset.
            Invalid: the name or the notes cannot be so.
            Conflict: the name is taken.
            Stale: it was changed since.
        """
        with self._database.transaction() as session:
            row = self._lock(session, actor, ref, Claim.DATASET_EDIT)
            check_revision(self.kind, row.name, row.revision, expected)
            target = _make_target(row)
            changes: dict[str, object] = {}
            if name is not None and name != row.name:
                check_name(self.kind, name)
                changes["name"] = {"from": row.name, "to": name}
                if not repository.rename_dataset(session, row.id, name):
                    raise make_name_taken(name)
                names = repository.list_version_names(session, row.id)
                for each in self._dependents:
                    each.follow_renames(session, names)
            if notes is not None and notes != row.notes:
                check_notes(self.kind, notes)
                row.notes = notes
                changes["notes"] = True
            if changes:
                row.revision += 1
                record(session, actor, "dataset.edited", target, **changes)
            session.flush()
            session.refresh(row)
            return self._datasets.get_dataset(actor, str(row.id))

    def delete(self, actor: Actor, ref: str) -> None:
        """Puts a dataset with all its versions into the trash.

        Args:
            actor: needs `dataset:delete`.
            ref: name or id.

        Raises:
            NotFound: there is no such dataset.
            Conflict: models have learned from it, or runs that have not ended will; the parameters list them.
        """
        with self._database.transaction() as session:
            row = self._lock(session, actor, ref, Claim.DATASET_DELETE)
            ids = list(repository.list_version_names(session, row.id))
            uses = [use for each in self._dependents for use in each.list_uses(session, ids)]
            if uses:
                visible = {use.kind for use in uses if actor.may(Claim(f"{use.kind}:view"))}
                raise make_in_use(self.kind, row.name, uses, visible_kinds=visible)
            row.deleted_at = self._clock.now()
            row.deleted_by = actor.name
            record(session, actor, "dataset.deleted", _make_target(row))

    def list_deleted(self, actor: Actor, page: PageRequest) -> Page[DeletedItem]:
        """What is in the trash, last deleted first."""
        actor.require(Claim.DATASET_DELETE)
        with self._database.reading() as session:
            return trash_repository.list_datasets(session, page)

    def restore(self, actor: Actor, id_: UUID) -> None:
        """Takes a dataset out of the trash. Raises NotFound; Conflict where another has its name by now."""
        actor.require(Claim.DATASET_DELETE)
        with self._database.transaction() as session:
            row = repository.lock_by_id(session, id_, is_deleted=True)
            if row is None:
                raise make_not_in_trash(id_)
            target = _make_target(row)
            if not repository.restore_dataset(session, id_):
                raise make_name_taken(target.name, hint="Rename that one, then restore this one.")
            record(session, actor, "dataset.restored", target)

    def purge(self, actor: Actor, deleted_before: datetime, *, id_: UUID | None = None) -> int:
        """Removes for good what was deleted by then, or that one thing of it; returns how many there were.

        Its blobs are then named by nothing, and the collector frees them. Lineages keep their names.
        """
        actor.require(Claim.DATASET_DELETE)
        count = 0
        while True:
            with self._database.transaction() as session:
                removed = trash_repository.remove_datasets(session, deleted_before, id_=id_, limit=_AT_A_TIME)
                for each, name in removed:
                    record(session, actor, "dataset.purged", Target(self.kind, each, name))
            count += len(removed)
            if len(removed) < _AT_A_TIME:
                return count

    def _lock(self, session: Session, actor: Actor, ref: str, claim: Claim) -> Dataset:
        """The row of a dataset that the caller may see, and act on."""
        view = self._datasets.get_dataset(actor, ref)
        actor.require(claim)
        row = repository.lock_by_id(session, view.id)
        if row is None:  # it was deleted just now
            raise make_dataset_missing(ref)
        return row


def _make_target(row: Dataset) -> Target:
    return Target(trash_repository.DATASET, row.id, row.name)
