"""How far a model is on its way to detection; publishing decides it, and asks here."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.database import Database
from raven_scan.kernel.ids import parse_id
from raven_scan.trained_models import repository
from raven_scan.trained_models.errors import make_not_found
from raven_scan.trained_models.types import Stage


@dataclass(frozen=True, slots=True)
class Importer:
    """Who brought a model here; `id` is None where no account is known."""

    id: UUID | None
    name: str


class ModelStaging:
    """Stages of models, in the transactions of those who publish."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lock_models(self, actor: Actor, ids: Collection[UUID]) -> None:
        """Until the caller's transaction ends, nobody deletes, renames or stages those of them that are there.

        Args:
            actor: needs `trained_model:publish`.
            ids: of the models; they are locked in one order, so that two who do so never wait for each other.
        """
        actor.require(Claim.TRAINED_MODEL_PUBLISH)
        with self._database.transaction() as session:
            for id_ in sorted(set(ids)):
                repository.lock_model(session, id_)

    def set_stage(self, actor: Actor, id_: UUID, stage: Stage) -> None:
        """In the caller's transaction. One that is gone has no stage any more.

        Args:
            actor: needs `trained_model:publish`.
            id_: of the model.
            stage: that it has from now on.
        """
        actor.require(Claim.TRAINED_MODEL_PUBLISH)
        with self._database.transaction() as session:
            row = repository.lock_model(session, id_)
            if row is not None and row.stage != stage:
                row.stage = stage
                session.flush()

    def get_importer(self, actor: Actor, id_: UUID) -> Importer:
        """Who imported a model. Raises NotFound."""
        with self._database.reading() as session:
            found = repository.find_importer(session, id_) if actor.may(Claim.TRAINED_MODEL_VIEW) else None
        if found is None:
            raise make_not_found(id_)
        return Importer(*found)

    def find_deleted(self, actor: Actor, ref: str | UUID) -> str | None:
        """The name of a model in the trash, by name or id; None where there is none."""
        if not actor.may(Claim.TRAINED_MODEL_VIEW):
            return None
        id_ = ref if isinstance(ref, UUID) else parse_id(ref)
        if id_ is None and not str(ref).isprintable():
            return None
        with self._database.reading() as session:
            return repository.find_deleted_name(session, id_=id_, name=None if id_ else str(ref))
