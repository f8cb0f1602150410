"""The use cases of looking after models: edit, delete, restore, purge, download."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.dependents import USES_LISTED, Dependents, Use, make_in_use
from raven_scan.kernel.names import check_name
from raven_scan.kernel.notes import check_notes
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.revisions import check_revision
from raven_scan.kernel.trash import DeletedItem, make_not_in_trash
from raven_scan.storage.blob_store import BlobStore
from raven_scan.trained_models import repository
from raven_scan.trained_models.errors import (
    make_is_builtin,
    make_is_published,
    make_name_taken,
    make_no_file,
    make_not_found,
)
from raven_scan.trained_models.models import TrainedModel
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import ModelFile, Origin, Stage, TrainedModelView

WEIGHTS = "weights"
CONFIGURATION = "configuration"

PUBLISHED_KIND = "published_model"
"""The kind of those dependents that are versions of published names."""

_AT_A_TIME = 100


class ModelStewardship:
    """Models as somebody looks after them, once they are there.

    Args:
        dependents: who above names models; they are asked before one is deleted, and told of new names.
    """

    kind = repository.KIND
    delete_claim = Claim.TRAINED_MODEL_DELETE

    def __init__(
        self,
        database: Database,
        models: TrainedModelService,
        blobs: BlobStore,
        clock: Clock,
        *,
        dependents: Sequence[Dependents] = (),
    ) -> None:
        self._database = database
        self._models = models
        self._blobs = blobs
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
    ) -> TrainedModelView:
        """Changes name and notes; None leaves one as it is.

        Args:
            actor: needs `trained_model:edit`.
            ref: name or id.
            name: a new one; whatever names the model follows.
            notes: what users write about it.
            expected: the revision that the caller saw.

        Raises:
            NotFound: there is no such model.
            Invalid: the name or the notes cannot be so.
            Conflict: the name is taken, or the model is builtin, and keeps its name.
            Stale: it was changed since.
        """
        with self._database.transaction() as session:
            row = self._lock(session, actor, ref, Claim.TRAINED_MODEL_EDIT)
            check_revision(self.kind, row.name, row.revision, expected)
            changes: dict[str, object] = {}
            if name is not None and name != row.name:
                check_name(self.kind, name)
                if row.origin == Origin.BUILTIN:
                    raise make_is_builtin(row.name, "renamed")
                if not repository.rename_model(session, row.id, name):
                    raise make_name_taken(name)
                changes["name"] = {"from": row.name, "to": name}
                repository.rename_base_model(session, row.id, name)
                for each in self._dependents:
                    each.follow_renames(session, {row.id: name})
            if notes is not None and notes != row.notes:
                check_notes(self.kind, notes)
                row.notes = notes
                changes["notes"] = True
            if changes:
                row.revision += 1
                record(session, actor, "trained_model.edited", _make_target(row), **changes)
            session.flush()
            session.refresh(row)
            return repository.make_view(row)

    def delete(self, actor: Actor, ref: str) -> None:
        """Puts a model into the trash.

        Args:
            actor: needs `trained_model:delete`.
            ref: name or id.

        Raises:
            NotFound: there is no such model.
            Conflict: it is builtin or published; or it is the base of models, or of runs that have not ended, which
                are listed in the parameters.
        """
        with self._database.transaction() as session:
            row = self._lock(session, actor, ref, Claim.TRAINED_MODEL_DELETE)
            if row.origin == Origin.BUILTIN:
                raise make_is_builtin(row.name, "deleted")
            above = [use for each in self._dependents for use in each.list_uses(session, [row.id])]
            published = [use for use in above if use.kind == PUBLISHED_KIND]
            if published or row.stage == Stage.PUBLISHED:
                raise make_is_published(row.name, published)
            based, count = repository.list_based_on(session, row.id, USES_LISTED)
            uses = [*(Use(self.kind, id_, name, "based on it") for id_, name in based), *above]
            if uses:
                visible = {use.kind for use in uses if actor.may(Claim(f"{use.kind}:view"))}
                more = count - len(based)
                raise make_in_use(self.kind, row.name, uses, visible_kinds=visible, more=more)
            row.deleted_at = self._clock.now()
            row.deleted_by = actor.name
            record(session, actor, "trained_model.deleted", _make_target(row))

    def list_deleted(self, actor: Actor, page: PageRequest) -> Page[DeletedItem]:
        """What is in the trash, last deleted first."""
        actor.require(Claim.TRAINED_MODEL_DELETE)
        with self._database.reading() as session:
            return repository.list_deleted(session, page)

    def restore(self, actor: Actor, id_: UUID) -> TrainedModelView:
        """Takes a model out of the trash. Raises NotFound; Conflict where another has its name by now."""
        actor.require(Claim.TRAINED_MODEL_DELETE)
        with self._database.transaction() as session:
            row = repository.lock_model(session, id_, is_deleted=True)
            if row is None:
                raise make_not_in_trash(id_)
            if not repository.restore_model(session, id_):
                raise make_name_taken(row.name, hint="Rename that one, then restore this one.")
            record(session, actor, "trained_model.restored", _make_target(row))
            session.refresh(row)
            return repository.make_view(row)

    def purge(self, actor: Actor, deleted_before: datetime, *, id_: UUID | None = None) -> int:
        """Removes for good what was deleted by then, or that one thing of it; returns how many there were.

        Their blobs are then named by nothing, and the collector frees them. Lineages keep their names.
        """
        actor.require(Claim.TRAINED_MODEL_DELETE)
        count = 0
        while True:
            with self._database.transaction() as session:
                removed = repository.remove_deleted(session, deleted_before, id_=id_, limit=_AT_A_TIME)
                for each, name in removed:
                    record(session, actor, "trained_model.purged", Target(self.kind, each, name))
            count += len(removed)
            if len(removed) < _AT_A_TIME:
                return count

    def open_file(self, actor: Actor, ref: str, file: str, *, is_resumed: bool = False) -> ModelFile:
        """Weights or configuration of a model, to be downloaded.

        Args:
            actor: needs `trained_model:export`.
            ref: name or id.
            file: WEIGHTS or CONFIGURATION.
            is_resumed: the beginning was downloaded before, and noted.

        Raises:
            NotFound: there is no such model, it has no such file, or its blob is lost.
        """
        model = self._models.get_model(actor, ref)
        actor.require(Claim.TRAINED_MODEL_EXPORT)
        digest = model.weights_digest if file == WEIGHTS else model.configuration_digest
        if digest is None:
            raise make_no_file(model.name, file)
        path = self._blobs.get_path(digest)
        if not is_resumed:
            with self._database.transaction() as session:
                target = Target(self.kind, model.id, model.name)
                record(session, actor, "trained_model.exported", target, file=file)
        suffix = "safetensors" if file == WEIGHTS else "json"
        return ModelFile(path, digest, path.stat().st_size, f"{model.name}.{suffix}")

    def _lock(self, session: Session, actor: Actor, ref: str, claim: Claim) -> TrainedModel:
        """The row of a model that the caller may see, and act on."""
        model = self._models.get_model(actor, ref)
        actor.require(claim)
        row = repository.lock_model(session, model.id)
        if row is None:  # it was deleted just now
            raise make_not_found(ref)
        return row


class ModelsOnVersions:
    """Models, as versions of datasets know them: those that learned from one keep it."""

    def list_uses(self, session: Session, ids: Collection[UUID]) -> list[Use]:
        named, _ = repository.list_on_versions(session, ids, USES_LISTED)
        return [Use(repository.KIND, id_, name, "learned from it") for id_, name in named]

    def follow_renames(self, session: Session, names: Mapping[UUID, str]) -> None:
        repository.rename_versions(session, names)


def _make_target(row: TrainedModel) -> Target:
    return Target(repository.KIND, row.id, row.name)
