"""A model's family: what it started from, and what started from it."""

from dataclasses import dataclass
from uuid import UUID

from raven_scan.access.types import Actor
from raven_scan.kernel.database import Database
from raven_scan.trained_models import lineage_repository
from raven_scan.trained_models.lineage_repository import FamilyMember
from raven_scan.trained_models.service import TrainedModelService

__all__ = ["FamilyMember", "ModelFamilies", "ModelFamily"]

_MOST_DESCENDANTS = 1000


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """A model with its ancestors and descendants, those in the trash too.

    Attributes:
        ancestors: from the root to the model itself, which is the last.
        descendants: children before grandchildren.
        is_cut: there are more descendants.
    """

    ancestors: list[FamilyMember]
    descendants: list[FamilyMember]
    is_cut: bool

    @property
    def subject(self) -> FamilyMember:
        return self.ancestors[-1]


class ModelFamilies:
    """Reads families of models."""

    def __init__(self, database: Database, models: TrainedModelService) -> None:
        self._database = database
        self._models = models

    def list_ancestors(self, actor: Actor, ref: str | UUID) -> list[FamilyMember]:
        """The model itself, then what it started from, nearest first, for as long as it is known. Raises NotFound."""
        model = self._models.get_model(actor, ref)
        with self._database.reading() as session:
            return lineage_repository.list_ancestors(session, model.id)

    def read_family(self, actor: Actor, ref: str) -> ModelFamily:
        """Of the model of that name or id. Raises NotFound."""
        model = self._models.get_model(actor, ref)
        with self._database.reading() as session:
            ancestors = lineage_repository.list_ancestors(session, model.id)
            descendants = lineage_repository.list_descendants(session, model.id, _MOST_DESCENDANTS + 1)
        return ModelFamily(
            ancestors=ancestors[::-1],
            descendants=descendants[:_MOST_DESCENDANTS],
            is_cut=len(descendants) > _MOST_DESCENDANTS,
        )
