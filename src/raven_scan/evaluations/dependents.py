"""Evaluations, as what they are made of knows them: models and versions of datasets.

One that has not ended needs its dataset version. A model goes with its evaluations, so they keep it from nothing.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy.orm import Session

from raven_scan.evaluations import repository
from raven_scan.kernel.dependents import USES_LISTED, Use


class EvaluationsOnModels:
    def list_uses(self, session: Session, ids: Collection[UUID]) -> list[Use]:
        del session, ids
        return []

    def follow_renames(self, session: Session, names: Mapping[UUID, str]) -> None:
        repository.rename_models(session, dict(names))


class EvaluationsOnVersions:
    def list_uses(self, session: Session, ids: Collection[UUID]) -> list[Use]:
        return [
            Use("trained_model", model_id, name, f"its evaluation is {status}")
            for model_id, name, status in repository.list_open_on_versions(session, ids, USES_LISTED)
        ]

    def follow_renames(self, session: Session, names: Mapping[UUID, str]) -> None:
        repository.rename_versions(session, dict(names))
