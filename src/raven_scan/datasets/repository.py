"""All SQL of datasets."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from raven_scan.datasets.models import Dataset, DatasetVersion
from raven_scan.datasets.types import DatasetVersionView, DatasetView, Notice, Part, PartCounts
from raven_scan.kernel.paging import ListOrder, Page, PageRequest
from raven_scan.kernel.search import matches_search
from raven_scan.pixels.rules import PixelRules

ORDER = ListOrder(
    "datasets", {"name": Dataset.name, "created_at": Dataset.created_at}, Dataset.id, "-created_at"
)
VERSIONS_ORDER = ListOrder(
    "dataset_versions", {"number": DatasetVersion.number}, DatasetVersion.id, "-number"
)

_IS_THERE = Dataset.deleted_at.is_(None)
_VERSION_IS_THERE = DatasetVersion.deleted_at.is_(None)


def lock_dataset(session: Session, new_id: UUID, name: str, created_by: str, created_at: datetime) -> Dataset:
    """The dataset of that name, made where it is missing; others who add versions to it, or delete any, wait."""
    values = {"id": new_id, "name": name, "created_by": created_by, "created_at": created_at}
    make = insert(Dataset).values(values)
    make = make.on_conflict_do_nothing(index_elements=["name"], index_where=_IS_THERE)
    while True:
        session.execute(make)
        found = session.scalar(select(Dataset).where(Dataset.name == name, _IS_THERE).with_for_update())
        if found is not None:  # else it was deleted between the two
            return found


def lock_by_id(session: Session, id_: UUID, *, is_deleted: bool = False) -> Dataset | None:
    """The row, until the transaction ends; others who want to keep it or a version of it wait."""
    state = ~_IS_THERE if is_deleted else _IS_THERE
    statement = select(Dataset).where(Dataset.id == id_, state).with_for_update()
    return session.scalar(statement.execution_options(populate_existing=True))


def keep_version(session: Session, version_id: UUID) -> bool:
    """Whether the version is there; it then is until the transaction ends."""
    statement = (
        select(DatasetVersion.id)
        .join(Dataset, Dataset.id == DatasetVersion.dataset_id)
        .where(DatasetVersion.id == version_id, _VERSION_IS_THERE, _IS_THERE)
        .with_for_update(read=True, key_share=True)
    )
    return session.scalar(statement) is not None


def rename_dataset(session: Session, id_: UUID, name: str) -> bool:
    """False where the name is taken; the transaction still holds."""
    return _write(session, id_, name=name)


def restore_dataset(session: Session, id_: UUID) -> bool:
    """False where its name is taken by now; the transaction still holds."""
    return _write(session, id_, deleted_at=None, deleted_by=None)


def _write(session: Session, id_: UUID, **values: Any) -> bool:
    try:
        with session.begin_nested():
            session.execute(update(Dataset).where(Dataset.id == id_).values(**values))
    except IntegrityError:
        return False
    return True


def insert_version(
    session: Session, version: DatasetVersionView, images_digest: str, boxes_digest: str
) -> None:
    session.add(
        DatasetVersion(
            id=version.id,
            dataset_id=version.dataset_id,
            number=version.number,
            digest=version.digest,
            classes=version.classes,
            parts=msgspec.to_builtins(version.parts),
            pixel_rules=version.pixel_rules.to_json(),
            leak_allowed=version.leak_allowed,
            leaked_image_count=version.leaked_image_count,
            image_bytes=version.image_bytes,
            images_digest=images_digest,
            boxes_digest=boxes_digest,
            options=version.options,
            warnings=msgspec.to_builtins(version.warnings),
            created_by=version.created_by,
            created_at=version.created_at,
        )
    )
    session.flush()


def find_newest_version(session: Session, dataset_id: UUID) -> DatasetVersionView | None:
    statement = _select_versions().where(DatasetVersion.dataset_id == dataset_id)
    return _find_version(session, statement.order_by(DatasetVersion.number.desc()).limit(1))


def find_version_by_number(session: Session, dataset_id: UUID, number: int) -> DatasetVersionView | None:
    wanted = (DatasetVersion.dataset_id == dataset_id) & (DatasetVersion.number == number)
    return _find_version(session, _select_versions().where(wanted))


def find_version_by_id(session: Session, version_id: UUID) -> DatasetVersionView | None:
    return _find_version(session, _select_versions().where(DatasetVersion.id == version_id))


def find_versions_in_any_state(session: Session, ids: Collection[UUID]) -> list[tuple[UUID, str, str, bool]]:
    """Id, full name, digest, and whether it is in the trash."""
    in_trash = DatasetVersion.deleted_at.is_not(None) | Dataset.deleted_at.is_not(None)
    statement = (
        select(DatasetVersion.id, Dataset.name, DatasetVersion.number, DatasetVersion.digest, in_trash)
        .join(Dataset, Dataset.id == DatasetVersion.dataset_id)
        .where(DatasetVersion.id.in_(ids))
    )
    return [
        (id_, f"{name}@{number}", digest, is_deleted)
        for id_, name, number, digest, is_deleted in session.execute(statement)
    ]


def find_version_in_any_state(session: Session, id_: UUID) -> tuple[str, DatasetVersion] | None:
    """Full name and row of a version, in the trash too."""
    statement = select(Dataset.name, DatasetVersion).join(Dataset, Dataset.id == DatasetVersion.dataset_id)
    row = session.execute(statement.where(DatasetVersion.id == id_)).one_or_none()
    return None if row is None else (f"{row[0]}@{row[1].number}", row[1])


def find_version_of_content(session: Session, digest: str) -> tuple[UUID, str] | None:
    """Id and full name of the first version with this content, in the trash too."""
    statement = (
        select(DatasetVersion.id, Dataset.name, DatasetVersion.number)
        .join(Dataset, Dataset.id == DatasetVersion.dataset_id)
        .where(DatasetVersion.digest == digest)
        .order_by(DatasetVersion.created_at, DatasetVersion.id)
        .limit(1)
    )
    row = session.execute(statement).one_or_none()
    return None if row is None else (row[0], f"{row[1]}@{row[2]}")


def get_tables(session: Session, version_id: UUID) -> tuple[str, str]:
    """The digests of the images' and the boxes' blobs."""
    columns = select(DatasetVersion.images_digest, DatasetVersion.boxes_digest)
    images, boxes = session.execute(columns.where(DatasetVersion.id == version_id)).one()
    return images, boxes


def list_tables(session: Session) -> list[tuple[str, str]]:
    """The digests of the images' and the boxes' blobs of every version, those in the trash too."""
    columns = select(DatasetVersion.images_digest, DatasetVersion.boxes_digest)
    return [(images, boxes) for images, boxes in session.execute(columns)]


def find_dataset(session: Session, ref: str | UUID) -> Dataset | None:
    if isinstance(ref, str) and not ref.isprintable():
        return None  # no name is so, and PostgreSQL takes no NUL
    column = Dataset.id if isinstance(ref, UUID) else Dataset.name
    return session.scalar(select(Dataset).where(column == ref, _IS_THERE))


def list_datasets(session: Session, page: PageRequest, words: str | None) -> Page[DatasetView]:
    """Each with its newest version alone."""
    statement = select(Dataset).where(_IS_THERE)
    if words is not None:
        statement = statement.where(matches_search(Dataset.search_words, words))
    found = ORDER.fetch(session, statement, page, lambda row: cast("Dataset", row[0]))
    ids = [dataset.id for dataset in found.items]
    newest = (
        _select_versions()
        .where(DatasetVersion.dataset_id.in_(ids))
        .ext(distinct_on(DatasetVersion.dataset_id))
        .order_by(DatasetVersion.dataset_id, DatasetVersion.number.desc())
    )
    versions = {
        version.dataset_id: _make_version_view(version, name) for version, name in session.execute(newest)
    }
    counts = _count_versions(session, ids)
    return Page(
        [
            make_dataset_view(dataset, [versions[dataset.id]], counts[dataset.id])
            for dataset in found.items
            if dataset.id in versions  # else its only version was deleted with it just now
        ],
        found.next,
    )


def count_versions(session: Session, dataset_id: UUID) -> int:
    return _count_versions(session, [dataset_id]).get(dataset_id, 0)


def _count_versions(session: Session, dataset_ids: Sequence[UUID]) -> dict[UUID, int]:
    statement = (
        select(DatasetVersion.dataset_id, func.count())
        .where(DatasetVersion.dataset_id.in_(dataset_ids), _VERSION_IS_THERE)
        .group_by(DatasetVersion.dataset_id)
    )
    return {row[0]: row[1] for row in session.execute(statement)}


def list_versions(session: Session, dataset_id: UUID, page: PageRequest) -> Page[DatasetVersionView]:
    """Newest first."""
    statement = _select_versions().where(DatasetVersion.dataset_id == dataset_id)
    return VERSIONS_ORDER.fetch(session, statement, page, lambda row: _make_version_view(row[0], row[1]))


def list_version_names(session: Session, dataset_id: UUID) -> dict[UUID, str]:
    """The full names of all versions, those in the trash too."""
    statement = select(DatasetVersion.id, Dataset.name, DatasetVersion.number).join(
        Dataset, Dataset.id == DatasetVersion.dataset_id
    )
    rows = session.execute(statement.where(DatasetVersion.dataset_id == dataset_id))
    return {id_: f"{name}@{number}" for id_, name, number in rows}


def make_dataset_view(
    dataset: Dataset, versions: list[DatasetVersionView], version_count: int
) -> DatasetView:
    return DatasetView(
        id=dataset.id,
        name=dataset.name,
        notes=dataset.notes,
        revision=dataset.revision,
        created_at=dataset.created_at,
        created_by=dataset.created_by,
        version_count=version_count,
        versions=versions,
    )


def _select_versions() -> Select[DatasetVersion, str]:
    """Versions that are there, with the names of their datasets."""
    statement = select(DatasetVersion, Dataset.name).join(Dataset, Dataset.id == DatasetVersion.dataset_id)
    return statement.where(_VERSION_IS_THERE, _IS_THERE)


def _find_version(session: Session, statement: Select[DatasetVersion, str]) -> DatasetVersionView | None:
    row = session.execute(statement).one_or_none()
    return None if row is None else _make_version_view(row[0], row[1])


def _make_version_view(row: DatasetVersion, dataset_name: str) -> DatasetVersionView:
    return DatasetVersionView(
        id=row.id,
        dataset_id=row.dataset_id,
        dataset_name=dataset_name,
        number=row.number,
        digest=row.digest,
        classes=list(row.classes),
        parts=_read_parts(row.parts, row.classes),
        pixel_rules=PixelRules.from_json(row.pixel_rules),
        leak_allowed=row.leak_allowed,
        leaked_image_count=row.leaked_image_count,
        image_bytes=row.image_bytes,
        options=row.options,
        warnings=msgspec.convert(row.warnings, list[Notice]),
        created_at=row.created_at,
        created_by=row.created_by,
    )


def _read_parts(stored: dict[str, Any], classes: list[str]) -> dict[str, PartCounts]:
    """JSONB forgets the order of keys."""
    parts: dict[str, PartCounts] = {}
    for part in Part:
        counts = dict(stored[part])
        by_class = counts.pop("boxes_by_class")
        parts[part.value] = PartCounts(**counts, boxes_by_class={name: by_class[name] for name in classes})
    return parts
