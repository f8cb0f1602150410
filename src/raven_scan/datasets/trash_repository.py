"""All SQL of datasets and versions in the trash."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from raven_scan.datasets.models import Dataset, DatasetVersion
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.trash import DeletedItem, make_trash_order

DATASET = "dataset"
VERSION = "dataset_version"

_ORDER = make_trash_order(Dataset.deleted_at, Dataset.id)
_VERSIONS_ORDER = make_trash_order(DatasetVersion.deleted_at, DatasetVersion.id)


def list_datasets(session: Session, page: PageRequest) -> Page[DeletedItem]:
    statement = select(Dataset.id, Dataset.name, Dataset.deleted_at, Dataset.deleted_by)
    return _ORDER.fetch(
        session,
        statement.where(Dataset.deleted_at.is_not(None)),
        page,
        lambda row: DeletedItem(DATASET, row.id, row.name, row.deleted_at, row.deleted_by),
    )


def list_versions(session: Session, page: PageRequest) -> Page[DeletedItem]:
    """Versions that were deleted by themselves."""
    statement = (
        select(
            DatasetVersion.id,
            Dataset.name,
            DatasetVersion.number,
            DatasetVersion.deleted_at,
            DatasetVersion.deleted_by,
        )
        .join(Dataset, Dataset.id == DatasetVersion.dataset_id)
        .where(DatasetVersion.deleted_at.is_not(None))
    )
    return _VERSIONS_ORDER.fetch(
        session,
        statement,
        page,
        lambda row: DeletedItem(VERSION, row.id, f"{row.name}@{row.number}", row.deleted_at, row.deleted_by),
    )


def remove_datasets(
    session: Session, deleted_before: datetime, *, id_: UUID | None, limit: int
) -> list[tuple[UUID, str]]:
    """Removes datasets for good with all their versions, at most so many."""
    wanted = select(Dataset.id, Dataset.name).where(Dataset.deleted_at <= deleted_before)
    if id_ is not None:
        wanted = wanted.where(Dataset.id == id_)
    wanted = wanted.order_by(Dataset.deleted_at).limit(limit).with_for_update(skip_locked=True)
    found = [(id_, name) for id_, name in session.execute(wanted)]
    ids = [id_ for id_, _ in found]
    session.execute(delete(DatasetVersion).where(DatasetVersion.dataset_id.in_(ids)))
    session.execute(delete(Dataset).where(Dataset.id.in_(ids)))
    return found


def remove_versions(
    session: Session, deleted_before: datetime, *, id_: UUID | None, limit: int
) -> list[tuple[UUID, str]]:
    """Removes versions for good, at most so many. Their numbers are not given again."""
    wanted = (
        select(DatasetVersion.id, Dataset.name, DatasetVersion.number)
        .join(Dataset, Dataset.id == DatasetVersion.dataset_id)
        .where(DatasetVersion.deleted_at <= deleted_before)
    )
    if id_ is not None:
        wanted = wanted.where(DatasetVersion.id == id_)
    wanted = wanted.order_by(DatasetVersion.deleted_at).limit(limit)
    rows = session.execute(wanted.with_for_update(skip_locked=True, of=DatasetVersion))
    found = [(id_, f"{name}@{number}") for id_, name, number in rows]
    session.execute(delete(DatasetVersion).where(DatasetVersion.id.in_([id_ for id_, _ in found])))
    return found


def lock_version(session: Session, id_: UUID, *, is_deleted: bool) -> tuple[DatasetVersion, Dataset] | None:
    """The rows of a version and of its dataset, in whatever state that is, until the transaction ends."""
    dataset_id = session.scalar(select(DatasetVersion.dataset_id).where(DatasetVersion.id == id_))
    if dataset_id is None:
        return None
    again = {"populate_existing": True}
    # The dataset first, as everywhere: who adds a version, or deletes one, waits there.
    dataset = session.scalar(
        select(Dataset).where(Dataset.id == dataset_id).with_for_update().execution_options(**again)
    )
    state = DatasetVersion.deleted_at.is_not(None) if is_deleted else DatasetVersion.deleted_at.is_(None)
    version = session.scalar(
        select(DatasetVersion)
        .where(DatasetVersion.id == id_, state)
        .with_for_update()
        .execution_options(**again)
    )
    return None if dataset is None or version is None else (version, dataset)
