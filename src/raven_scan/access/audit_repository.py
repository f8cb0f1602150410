"""All SQL of the audit trail."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, func, insert, literal, select, text
from sqlalchemy.orm import Session

from raven_scan.access.audit_entry import (
    FIRST_PREVIOUS_HASH,
    HASHED_COLUMNS,
    compute_hash,
    format_time,
    make_storable_text,
)
from raven_scan.access.audit_models import AuditEntryRow
from raven_scan.access.audit_types import AuditEntry, EntryFilter, Head, Target
from raven_scan.access.types import Actor
from raven_scan.kernel.search import matches_search

_APPEND_LOCK = 7_238_461_029_390
"""Any number, the same in every process: one transaction at a time appends."""

_TIME_FORMAT = 'YYYY-MM-DD"T"HH24:MI:SS.US'
_HEAD_ROWS = 2000
_GUARD = "audit_entries_are_only_appended"


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What is to be appended; the details are as `make_storable` leaves them."""

    actor: Actor
    action: str
    target: Target
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """What an entry's row says of itself, and what its content says."""

    number: int
    previous_hash: str
    hash: str
    computed_hash: str


def append_entries(session: Session, entries: Sequence[NewEntry]) -> None:
    """Appends entries in the session's transaction, and keeps others from appending until it ends."""
    session.execute(select(func.pg_advisory_xact_lock(_APPEND_LOCK)))
    # A statement of its own: it sees what was committed while the one before waited.
    newest = select(AuditEntryRow.number, AuditEntryRow.hash).order_by(AuditEntryRow.number.desc()).limit(1)
    newest_entry = newest.subquery()
    number, previous_hash, at = session.execute(
        select(newest_entry.c.number, newest_entry.c.hash, func.clock_timestamp()).select_from(
            select(literal(1)).subquery().outerjoin(newest_entry, literal(value=True))
        )
    ).one()
    number, previous_hash = number or 0, previous_hash or FIRST_PREVIOUS_HASH
    rows: list[dict[str, Any]] = []
    for entry in entries:
        number += 1
        row: dict[str, Any] = {
            "number": number,
            "actor_id": entry.actor.id,
            "actor_name": make_storable_text(entry.actor.name),
            "actor_via": make_storable_text(entry.actor.via),
            "actor_address": make_storable_text(entry.actor.address),
            "action": make_storable_text(entry.action),
            "target_kind": make_storable_text(entry.target.kind),
            "target_id": entry.target.id,
            "target_name": make_storable_text(entry.target.name),
            "details": entry.details,
            "previous_hash": previous_hash,
        }
        previous_hash = compute_hash({**row, "at": format_time(at)})
        rows.append({**row, "at": at, "hash": previous_hash})
    session.execute(insert(AuditEntryRow), rows)


def find_head(session: Session) -> Head | None:
    """None where there is no entry."""
    query = select(AuditEntryRow.number, AuditEntryRow.hash).order_by(AuditEntryRow.number.desc()).limit(1)
    found = session.execute(query).one_or_none()
    return None if found is None else Head(*found)


def read_chain(session: Session, *, after: int, limit: int) -> Iterator[StoredEntry]:
    """Entries in their order, each with the hash that its content has now."""
    table = AuditEntryRow.__table__
    # Some as text: somebody may have put there what no type of ours can hold.
    as_text = {
        "at": func.to_char(func.timezone("UTC", table.c.at), _TIME_FORMAT),
        "details": cast(table.c.details, Text),
    }
    columns = [as_text.get(name, table.c[name]).label(name) for name in HASHED_COLUMNS]
    query = select(*columns, table.c.hash).where(table.c.number > after).order_by(table.c.number).limit(limit)
    for row in session.execute(query).mappings():
        try:
            computed = compute_hash({**row, "details": json.loads(row["details"])})
        except (ValueError, RecursionError):
            computed = ""  # details that we never wrote
        yield StoredEntry(row["number"], row["previous_hash"], row["hash"], computed)


def find_hash(session: Session, number: int) -> str | None:
    """The hash of the entry of that number."""
    return session.scalar(select(AuditEntryRow.hash).where(AuditEntryRow.number == number))


def list_entries(
    session: Session, chosen: EntryFilter, *, before: int | None, limit: int
) -> list[AuditEntry]:
    """The newest first.

    PostgreSQL cannot know how many entries pass: taken for many, those that few pass are looked for along the whole
    trail. So they are looked for among the newest first, and where too few are found there, by the filters' indexes.
    """
    number = AuditEntryRow.number
    filters = list(_list_conditions(chosen))
    end = before
    if end is None:
        head = find_head(session)
        end = 1 if head is None else head.number + 1
    query = select(AuditEntryRow).where(number < end).order_by(number.desc()).limit(limit)
    newest = query.where(number >= end - _HEAD_ROWS, *filters) if filters else query
    found = session.scalars(newest).all()
    if filters and len(found) < limit and end > _HEAD_ROWS:
        passing = select(number).where(number < end, *filters).cte("passing").prefix_with("MATERIALIZED")
        chosen_numbers = select(passing.c.number).order_by(passing.c.number.desc()).limit(limit)
        found = session.scalars(
            select(AuditEntryRow).where(number.in_(chosen_numbers)).order_by(number.desc())
        ).all()
    return [_make_entry(each) for each in found]


def _list_conditions(chosen: EntryFilter) -> Iterator[ColumnElement[bool]]:
    row = AuditEntryRow
    if isinstance(chosen.actor, UUID):
        yield row.actor_id == chosen.actor
    elif chosen.actor is not None:
        yield row.actor_name == make_storable_text(chosen.actor)
    if chosen.action is not None:
        yield row.action.startswith(make_storable_text(chosen.action), autoescape=True)
    if chosen.target_kind is not None:
        yield row.target_kind == make_storable_text(chosen.target_kind)
    if chosen.target_id is not None:
        yield row.target_id == chosen.target_id
    if chosen.since is not None:
        yield row.at >= chosen.since
    if chosen.until is not None:
        yield row.at < chosen.until
    if chosen.search is not None:
        yield matches_search(row.search_words, chosen.search)


def is_guarded(session: Session) -> bool:
    """Whether the trigger is there and enabled that refuses changes."""
    enabled = session.scalar(
        text(
            "SELECT tgenabled IN ('O', 'A') FROM pg_trigger"
            " WHERE tgrelid = to_regclass('audit_entries') AND tgname = :name"
        ),
        {"name": _GUARD},
    )
    return bool(enabled)


def _make_entry(row: AuditEntryRow) -> AuditEntry:
    return AuditEntry(
        number=row.number,
        at=row.at,
        actor_id=row.actor_id,
        actor_name=row.actor_name,
        actor_via=row.actor_via,
        actor_address=row.actor_address,
        action=row.action,
        target=Target(row.target_kind, row.target_id, row.target_name),
        details=row.details,
        previous_hash=row.previous_hash,
        hash=row.hash,
    )
