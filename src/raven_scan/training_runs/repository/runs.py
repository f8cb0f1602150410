"""SQL of runs: finding, listing, the queue, and writes that carry a fencing number."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Float, and_, cast, column, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.orm import Session

from raven_scan.jobs.dispatcher import WORK_CHANNEL
from raven_scan.kernel.ids import parse_id
from raven_scan.training_runs.models import TrainingRun, TrainingRunAttempt
from raven_scan.training_runs.queue_types import RunAtWork, WaitingRun
from raven_scan.training_runs.types import DeviceKind, NamedReference, RunStatus

_LOOKED_AHEAD = 10
"""Runs at the head that others may be taking just now."""

FIRST_RETURNED = -(1 << 62)
"""Places of runs that had begun and wait again are from here on, those of all others far behind."""

_ORDER_LOCK = 7_238_461_029_386
_MAY_BEGIN = (
    TrainingRun.status == RunStatus.WAITING,
    (TrainingRun.start_at.is_(None)) | (TrainingRun.start_at <= func.now()),
    ~select(TrainingRunAttempt.number)
    .where(TrainingRunAttempt.run_id == TrainingRun.id, TrainingRunAttempt.ended_at.is_(None))
    .exists(),
)
_QUEUE_ORDER = (TrainingRun.priority.desc(), TrainingRun.queue_position, TrainingRun.id)


def find_run(session: Session, ref: str, *, lock: bool = False) -> TrainingRun | None:
    """The run of that id or name, unless it is in the trash; locked until the transaction ends where asked."""
    run_id = parse_id(ref)
    if run_id is None and not ref.isprintable():
        return None  # no name is so, and PostgreSQL takes no NUL
    query = select(TrainingRun).where(
        TrainingRun.id == run_id if run_id else TrainingRun.name == ref, TrainingRun.deleted_at.is_(None)
    )
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def find_run_in_any_state(session: Session, id_: UUID) -> TrainingRun | None:
    """As `find_run`, in the trash too."""
    return session.scalar(select(TrainingRun).where(TrainingRun.id == id_))


def list_statuses(session: Session, run_ids: Sequence[UUID]) -> dict[UUID, RunStatus]:
    """Of those that there are."""
    query = select(TrainingRun.id, TrainingRun.status).where(TrainingRun.id.in_(run_ids))
    return {run_id: RunStatus(status) for run_id, status in session.execute(query)}


@dataclass(frozen=True, slots=True)
class RunPresence:
    """A run that is there or in the trash."""

    attempt_count: int
    is_deleted: bool


def find_presences(session: Session, run_ids: Collection[UUID]) -> dict[UUID, RunPresence]:
    """Of those that are not gone for good."""
    query = select(TrainingRun.id, TrainingRun.fence, TrainingRun.deleted_at.is_not(None))
    rows = session.execute(query.where(TrainingRun.id.in_(run_ids)))
    return {run_id: RunPresence(fence, is_deleted) for run_id, fence, is_deleted in rows}


def rename_reproduced(session: Session, run_id: UUID, name: str) -> None:
    """Runs that reproduce a run that is renamed have its new name."""
    session.execute(
        update(TrainingRun).where(TrainingRun.reproduces_id == run_id).values(reproduces_name=name),
        execution_options={"synchronize_session": False},
    )


def find_record(session: Session, run_id: UUID) -> dict[str, Any] | None:
    """Of a run in whatever state; None where it is gone, or older than records."""
    return session.scalar(select(TrainingRun.record).where(TrainingRun.id == run_id))


def write_fenced(session: Session, run_id: UUID, fence: int, **values: Any) -> bool:
    """Changes the run if attempt `fence` still holds it; tells whether it does. Locks the row."""
    statement = (
        update(TrainingRun)
        .where(
            TrainingRun.id == run_id, TrainingRun.fence == fence, TrainingRun.status == RunStatus.PROCESSING
        )
        .values(status=RunStatus.PROCESSING, **values)
        .returning(TrainingRun.id)
    )
    return session.execute(statement).one_or_none() is not None


def add_warnings(told: Sequence[str]) -> ColumnElement[list[str]]:
    """The run's warnings with those of `told` that are not among them."""
    new = (
        func.jsonb_array_elements(cast(list(told), JSONB))
        .table_valued(column("warning", JSONB), with_ordinality="number")
        .render_derived()
    )
    missing = (
        select(
            func.coalesce(func.jsonb_agg(aggregate_order_by(new.c.warning, new.c.number)), cast([], JSONB))
        )
        .where(~TrainingRun.warnings.bool_op("@>")(func.jsonb_build_array(new.c.warning)))
        .scalar_subquery()
    )
    return TrainingRun.warnings.op("||")(missing)


def lock_waiting(session: Session) -> Sequence[TrainingRun]:
    """Runs that wait, the next first; locked until the transaction ends."""
    query = select(TrainingRun).where(TrainingRun.status == RunStatus.WAITING).order_by(*_QUEUE_ORDER)
    return session.scalars(query.with_for_update().execution_options(populate_existing=True)).all()


def list_waiting(session: Session) -> list[WaitingRun]:
    """Runs that wait, the next first."""
    query = (
        select(
            TrainingRun.id,
            TrainingRun.name,
            TrainingRun.priority,
            TrainingRun.queue_position,
            TrainingRun.device_kind,
            TrainingRun.device_count,
            TrainingRun.scheduled_at,
            TrainingRun.start_at,
            cast(TrainingRun.estimate["time_s"], Float(53)),
        )
        .where(TrainingRun.status == RunStatus.WAITING)
        .order_by(*_QUEUE_ORDER)
    )
    return [WaitingRun(*row) for row in session.execute(query)]


def list_at_work(session: Session) -> list[RunAtWork]:
    """Runs that are executed."""
    query = (
        select(
            TrainingRun.id,
            TrainingRun.name,
            TrainingRunAttempt.worker,
            TrainingRunAttempt.device,
            cast(TrainingRun.progress["time_left_s"], Float(53)),
        )
        .join(
            TrainingRunAttempt,
            and_(TrainingRunAttempt.run_id == TrainingRun.id, TrainingRunAttempt.number == TrainingRun.fence),
        )
        # No run in the trash is Processing; it says so for the index.
        .where(TrainingRun.status == RunStatus.PROCESSING, TrainingRun.deleted_at.is_(None))
        .order_by(TrainingRun.id)
    )
    return [
        RunAtWork(NamedReference(id_, name), worker, tuple(device.split(",")), time_left_s)
        for id_, name, worker, device, time_left_s in session.execute(query)
    ]


def list_next(session: Session, kinds: Sequence[DeviceKind], most_devices: int) -> Sequence[tuple[UUID, int]]:
    """The head of the queue for devices of some kinds, of which the worker has `most_devices` in all.

    Left out: runs whose time has not come, and those whose earlier attempt has not ended yet.

    Returns:
        Id and number of devices; the next first.
    """
    query = (
        select(TrainingRun.id, TrainingRun.device_count)
        .where(*_MAY_BEGIN, TrainingRun.device_kind.in_(kinds), TrainingRun.device_count <= most_devices)
        .order_by(*_QUEUE_ORDER)
        .limit(_LOOKED_AHEAD)
    )
    return [(run_id, count) for run_id, count in session.execute(query)]


def lock_if_waiting(session: Session, run_id: UUID) -> TrainingRun | None:
    """The run, locked; None where another worker is at it, or it may not begin any more."""
    query = (
        select(TrainingRun)
        .where(TrainingRun.id == run_id, *_MAY_BEGIN)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return session.scalars(query).one_or_none()


def lock_queue(session: Session) -> None:
    """Whoever changes the order of the queue does it alone."""
    session.execute(select(func.pg_advisory_xact_lock(_ORDER_LOCK)))


def find_place_at_end(session: Session) -> int:
    """Behind all that wait."""
    return max(session.scalar(select(func.max(TrainingRun.queue_position))) or 0, 0) + 1


def find_place_of_returned(session: Session) -> int:
    """Before all that have not begun, and behind those that came back earlier: none is passed over for ever."""
    query = select(func.max(TrainingRun.queue_position)).where(
        TrainingRun.queue_position < FIRST_RETURNED // 2
    )
    last = session.scalar(query)
    return FIRST_RETURNED if last is None else last + 1


def notify_workers(session: Session) -> None:
    """Workers hear of it at the commit."""
    session.execute(text(f"NOTIFY {WORK_CHANNEL}"))
