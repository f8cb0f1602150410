"""All SQL of datasets."""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from raven_scan.datasets.models import Dataset, DatasetVersion
from raven_scan.datasets.types import DatasetVersionView, DatasetView, Notice, Part, PartCounts
from raven_scan.kernel.paging import PageRequest
from raven_scan.pixels.rules import PixelRules


def lock_dataset(session: Session, new_id: UUID, name: str, created_by: str, created_at: datetime) -> UUID:
    """The dataset of that name, made where it is missing; others who add versions to it wait."""
    values = {"id": new_id, "name": name, "created_by": created_by, "created_at": created_at}
    session.execute(insert(Dataset).values(values).on_conflict_do_nothing(index_elements=["name"]))
    return session.execute(select(Dataset.id).where(Dataset.name == name).with_for_update()).scalar_one()


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


def get_tables(session: Session, version_id: UUID) -> tuple[str, str]:
    """The digests of the images' and the boxes' blobs."""
    columns = select(DatasetVersion.images_digest, DatasetVersion.boxes_digest)
    images, boxes = session.execute(columns.where(DatasetVersion.id == version_id)).one()
    return images, boxes


def list_tables(session: Session) -> list[tuple[str, str]]:
    """The digests of the images' and the boxes' blobs of every version."""
    columns = select(DatasetVersion.images_digest, DatasetVersion.boxes_digest)
    return [(images, boxes) for images, boxes in session.execute(columns)]


def find_dataset(session: Session, ref: str | UUID) -> Dataset | None:
    if isinstance(ref, str) and not ref.isprintable():
        return None  # no name is so, and PostgreSQL takes no NUL
    column = Dataset.id if isinstance(ref, UUID) else Dataset.name
    return session.scalar(select(Dataset).where(column == ref))


def list_datasets(session: Session, page: PageRequest) -> list[DatasetView]:
    """Newest first, one more than the page holds, each with its newest version alone."""
    statement = select(Dataset).order_by(Dataset.id.desc()).limit(page.limit + 1)
    if page.after is not None:
        statement = statement.where(Dataset.id < page.after)
    datasets = session.scalars(statement).all()
    newest = (
        _select_versions()
        .where(DatasetVersion.dataset_id.in_([dataset.id for dataset in datasets]))
        .ext(distinct_on(DatasetVersion.dataset_id))
        .order_by(DatasetVersion.dataset_id, DatasetVersion.number.desc())
    )
    versions: dict[UUID, list[DatasetVersionView]] = defaultdict(list)
    for version, name in session.execute(newest):
        versions[version.dataset_id].append(_make_version_view(version, name))
    return [make_dataset_view(dataset, versions[dataset.id]) for dataset in datasets]


def list_versions(session: Session, dataset_id: UUID) -> list[DatasetVersionView]:
    """All versions, newest first."""
    statement = _select_versions().where(DatasetVersion.dataset_id == dataset_id)
    rows = session.execute(statement.order_by(DatasetVersion.number.desc()))
    return [_make_version_view(version, name) for version, name in rows]


def make_dataset_view(dataset: Dataset, versions: list[DatasetVersionView]) -> DatasetView:
    return DatasetView(
        id=dataset.id,
        name=dataset.name,
        created_at=dataset.created_at,
        created_by=dataset.created_by,
        versions=versions,
    )


def _select_versions() -> Select[DatasetVersion, str]:
    return select(DatasetVersion, Dataset.name).join(Dataset, Dataset.id == DatasetVersion.dataset_id)


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
        parts=_order_parts(msgspec.convert(row.parts, dict[str, PartCounts]), row.classes),
        pixel_rules=PixelRules.from_json(row.pixel_rules),
        leak_allowed=row.leak_allowed,
        leaked_image_count=row.leaked_image_count,
        image_bytes=row.image_bytes,
        options=row.options,
        warnings=msgspec.convert(row.warnings, list[Notice]),
        created_at=row.created_at,
        created_by=row.created_by,
    )


def _order_parts(parts: dict[str, PartCounts], classes: list[str]) -> dict[str, PartCounts]:
    """JSONB forgets the order of keys."""
    return {
        part.value: replace(
            parts[part], boxes_by_class={name: parts[part].boxes_by_class[name] for name in classes}
        )
        for part in Part
    }
