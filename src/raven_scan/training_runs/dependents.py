"""Runs, as what they are made of knows them: base models and versions of datasets.

A run that has not ended needs both. One that has keeps their names: it can be read, and what it made is a model that
keeps its own base and version. Retried or cloned, it says what is gone.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from raven_scan.kernel.dependents import USES_LISTED, Use
from raven_scan.training_runs.models import TrainingRun
from raven_scan.training_runs.types import RunStatus

_KIND = "training_run"
_OPEN = [status for status in RunStatus if not status.is_final]


class _Runs:
    """Args:
    id_column: of what runs name.
    name_column: of its name.
    """

    def __init__(
        self, id_column: InstrumentedAttribute[UUID], name_column: InstrumentedAttribute[str]
    ) -> None:
        self._id_column = id_column
        self._name_column = name_column

    def list_uses(self, session: Session, ids: Collection[UUID]) -> list[Use]:
        statement = (
            select(TrainingRun.id, TrainingRun.name, TrainingRun.status)
            .where(self._id_column.in_(ids), TrainingRun.status.in_(_OPEN), TrainingRun.deleted_at.is_(None))
            .order_by(TrainingRun.id)
            .limit(USES_LISTED)
        )
        return [Use(_KIND, id_, name, status) for id_, name, status in session.execute(statement)]

    def follow_renames(self, session: Session, names: Mapping[UUID, str]) -> None:
        for id_, name in names.items():
            session.execute(
                update(TrainingRun).where(self._id_column == id_).values({self._name_column: name})
            )


RUNS_ON_MODELS = _Runs(TrainingRun.base_model_id, TrainingRun.base_model_name)
RUNS_ON_VERSIONS = _Runs(TrainingRun.dataset_version_id, TrainingRun.dataset_version_name)
