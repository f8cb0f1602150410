"""SQL of lineage: a model's ancestors and descendants, those in the trash too."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from raven_scan.trained_models.models import TrainedModel
from raven_scan.trained_models.types import LineageReference, Origin, PackageOrigin, Stage

_COLUMNS = (
    TrainedModel.id,
    TrainedModel.name,
    TrainedModel.origin,
    TrainedModel.stage,
    TrainedModel.architecture,
    TrainedModel.weights_digest,
    TrainedModel.configuration_digest,
    TrainedModel.test_map50,
    TrainedModel.checkpoint,
    TrainedModel.package,
    TrainedModel.parameters,
    TrainedModel.environment,
    TrainedModel.base_model_id,
    TrainedModel.base_model_name,
    TrainedModel.dataset_version_id,
    TrainedModel.dataset_version_name,
    TrainedModel.dataset_version_digest,
    TrainedModel.training_run_id,
    TrainedModel.training_run_name,
    TrainedModel.created_by,
    TrainedModel.created_at,
    TrainedModel.deleted_at,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyMember:
    """A model as lineage knows it. `checkpoint`, `package`: where an imported one is from."""

    id: UUID
    name: str
    origin: Origin
    stage: Stage
    architecture: str
    weights_digest: str | None
    configuration_digest: str | None
    test_map50: float | None
    checkpoint: str | None
    package: PackageOrigin | None
    parameters: dict[str, Any]
    environment: dict[str, str]
    base_model: LineageReference | None
    dataset_version: LineageReference | None
    dataset_version_digest: str | None
    training_run: LineageReference | None
    created_by: str
    created_at: datetime
    is_deleted: bool


def list_ancestors(session: Session, id_: UUID) -> list[FamilyMember]:
    """The model itself, what it started from, and so on, for as long as there are rows."""
    own = select(TrainedModel.id, TrainedModel.base_model_id).where(TrainedModel.id == id_)
    line = own.cte("line", recursive=True)
    before = select(TrainedModel.id, TrainedModel.base_model_id).join(
        line, TrainedModel.id == line.c.base_model_id
    )
    line = line.union(before)
    members = _list_members(session, list(session.scalars(select(line.c.id))))
    by_id = {member.id: member for member in members}
    ordered: list[FamilyMember] = []
    next_ = by_id.get(id_)
    while next_ is not None:
        ordered.append(next_)
        next_ = by_id.get(next_.base_model.id) if next_.base_model else None
    return ordered


def list_descendants(session: Session, id_: UUID, most: int) -> list[FamilyMember]:
    """Models that started from it, those that started from these, and so on; children before grandchildren."""
    descent = select(TrainedModel.id).where(TrainedModel.base_model_id == id_).cte("descent", recursive=True)
    descent = descent.union(select(TrainedModel.id).join(descent, TrainedModel.base_model_id == descent.c.id))
    # PostgreSQL makes no more of them than are asked for.
    return _list_members(session, list(session.scalars(select(descent.c.id).limit(most))))


def _list_members(session: Session, ids: Sequence[UUID]) -> list[FamilyMember]:
    """In the order in which they were made: what was before comes first."""
    statement = select(*_COLUMNS).where(TrainedModel.id.in_(ids))
    rows = session.execute(statement.order_by(TrainedModel.created_at, TrainedModel.id))
    return [_make_member(row) for row in rows]


def _make_member(row: Any) -> FamilyMember:
    checkpoint: dict[str, Any] = row.checkpoint or {}
    return FamilyMember(
        id=row.id,
        name=row.name,
        origin=Origin(row.origin),
        stage=Stage(row.stage),
        architecture=row.architecture,
        weights_digest=row.weights_digest,
        configuration_digest=row.configuration_digest,
        test_map50=row.test_map50,
        checkpoint=checkpoint.get("url") or checkpoint.get("file_name"),
        package=msgspec.convert(row.package, PackageOrigin | None),
        parameters=row.parameters or {},
        environment=row.environment,
        base_model=_make_reference(row.base_model_id, row.base_model_name),
        dataset_version=_make_reference(row.dataset_version_id, row.dataset_version_name),
        dataset_version_digest=row.dataset_version_digest,
        training_run=_make_reference(row.training_run_id, row.training_run_name),
        created_by=row.created_by,
        created_at=row.created_at,
        is_deleted=row.deleted_at is not None,
    )


def _make_reference(id_: UUID | None, name: str | None) -> LineageReference | None:
    return None if id_ is None or name is None else LineageReference(id_, name)
