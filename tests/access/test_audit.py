"""The audit trail: what is recorded is in it if and only if it happened, and nobody changes it unseen."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from raven_scan.access.audit import Target, record
from raven_scan.access.audit_entry import (
    HASHED_COLUMNS,
    compute_hash,
    format_time,
    make_canonical,
    make_storable,
)
from raven_scan.access.audit_service import AuditService
from raven_scan.access.audit_types import AuditFault, EntryFilter, Head
from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER, Actor, Claim
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Forbidden, Invalid
from raven_scan.kernel.paging import PageRequest

ADMIN = LOCAL_ADMINISTRATOR
THING = Target("thing", UUID(int=7), "a thing")


@pytest.fixture
def trail(database: Database) -> AuditService:
    return AuditService(database)


def do(database: Database, count: int = 1, *, actor: Actor = ADMIN, **details: Any) -> None:
    for number in range(count):
        with database.transaction() as session:
            record(session, actor, "thing.changed", THING, number=number, **details)


def list_numbers(trail: AuditService) -> list[int]:
    return [entry.number for entry in trail.list_entries(ADMIN, PageRequest(limit=500)).items]


def forge(database: Database, statement: str) -> None:
    """As the database's owner may who disables the trigger."""
    with database.transaction() as session:
        session.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER ALL"))
        session.execute(text(statement))
        session.execute(text("ALTER TABLE audit_entries ENABLE TRIGGER ALL"))


def test_an_entry_says_who_did_what_to_what_from_where(database: Database, trail: AuditService):
    actor = Actor(uuid4(), "Mara", frozenset(), via="token nightly", address="10.0.0.7")
    before = datetime.now(UTC)
    do(database, actor=actor, old="a", new="b")
    (entry,) = trail.list_entries(ADMIN, PageRequest()).items
    assert (entry.actor_id, entry.actor_name) == (actor.id, "Mara")
    assert (entry.actor_via, entry.actor_address) == ("token nightly", "10.0.0.7")
    assert (entry.number, entry.action, entry.target) == (1, "thing.changed", THING)
    assert entry.details == {"number": 0, "old": "a", "new": "b"}
    assert abs((entry.at - before).total_seconds()) < 60


def test_joined_transactions_append_once_and_a_rollback_leaves_nothing(
    database: Database, trail: AuditService
):
    with database.transaction() as session:
        record(session, ADMIN, "thing.made", THING)
        do(database, 2)

    def fail() -> None:
        with database.transaction() as session:
            record(session, ADMIN, "thing.lost", THING)
            do(database)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    do(database)
    found = trail.list_entries(ADMIN, PageRequest()).items
    assert [(entry.number, entry.action) for entry in found] == [
        (4, "thing.changed"),
        (3, "thing.changed"),
        (2, "thing.changed"),
        (1, "thing.made"),
    ]
    assert trail.verify(ADMIN).problem is None


def test_what_a_savepoint_takes_back_is_not_recorded(database: Database, trail: AuditService):
    with database.transaction() as session:
        record(session, ADMIN, "thing.first", THING)
        with session.begin_nested():
            record(session, ADMIN, "thing.kept", THING)
        outer = session.begin_nested()
        with session.begin_nested():
            record(session, ADMIN, "thing.lost", THING)
        outer.rollback()
        record(session, ADMIN, "thing.last", THING)
    actions = [entry.action for entry in trail.list_entries(ADMIN, PageRequest()).items]
    assert actions == ["thing.last", "thing.kept", "thing.first"]


def test_transactions_at_once_give_an_unbroken_chain_without_a_deadlock(
    database: Database, trail: AuditService
):
    with database.transaction() as session:
        session.execute(text("CREATE TABLE things (id integer PRIMARY KEY, changes integer NOT NULL)"))
        session.execute(text("INSERT INTO things VALUES (1, 0), (2, 0)"))
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            for turn in range(15):
                with database.transaction() as session:
                    # Recorded before the rows are locked: the trail's lock must come after these all the same.
                    record(session, ADMIN, "thing.changed", THING, worker=number, turn=turn)
                    for row in (1, 2):
                        session.execute(
                            text("UPDATE things SET changes = changes + 1 WHERE id = :id"), {"id": row}
                        )
        except Exception as error:  # noqa: BLE001 - told by the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert list_numbers(trail) == list(range(90, 0, -1))
    found = trail.verify(ADMIN)
    assert (found.checked_count, found.problem) == (90, None)
    times = [entry.at for entry in trail.list_entries(ADMIN, PageRequest(limit=500)).items]
    assert times == sorted(times, reverse=True)


_ENDLESS = """
import sys
from uuid import UUID
from raven_scan.access.audit import Target, record
from raven_scan.access.types import WORKER
from raven_scan.kernel.database import Database

database = Database(sys.argv[1])
for number in range(100_000):
    with database.transaction() as session:
        record(session, WORKER, "thing.changed", Target("thing", None, "a thing"), number=number)
    print(number, flush=True)
"""


def test_a_killed_process_leaves_an_unbroken_chain(
    database: Database, database_url: str, trail: AuditService
):
    processes = [
        subprocess.Popen([sys.executable, "-c", _ENDLESS, database_url], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    told = 0
    try:
        for process in processes:
            assert process.stdout is not None
            for _ in range(20):
                assert process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)
            told += 20
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    do(database)
    found = trail.verify(ADMIN)
    assert found.problem is None
    assert found.head is not None
    assert found.head.number == found.checked_count > told


def test_the_database_itself_refuses_changes(database: Database, trail: AuditService):
    do(database, 2)

    def change(statement: str) -> None:
        with database.transaction() as session:
            session.execute(text(statement))

    for statement in (
        "UPDATE audit_entries SET actor_name = 'nobody'",
        "UPDATE audit_entries SET hash = '' WHERE false",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
    ):
        with pytest.raises(DBAPIError, match="can only be appended to"):
            change(statement)
    assert list_numbers(trail) == [2, 1]
    assert trail.is_guarded(ADMIN)
    change("ALTER TABLE audit_entries DISABLE TRIGGER ALL")
    assert not trail.is_guarded(ADMIN)


_FORGERIES = [
    ("UPDATE audit_entries SET actor_name = 'Eve' WHERE number = 3", 3, AuditFault.CHANGED),
    ("UPDATE audit_entries SET actor_id = gen_random_uuid() WHERE number = 1", 1, AuditFault.CHANGED),
    ("UPDATE audit_entries SET at = at - interval '1 microsecond' WHERE number = 5", 5, AuditFault.CHANGED),
    ("UPDATE audit_entries SET at = 'infinity' WHERE number = 5", 5, AuditFault.CHANGED),
    ("""UPDATE audit_entries SET details = '{"number": 9}' WHERE number = 2""", 2, AuditFault.CHANGED),
    ("UPDATE audit_entries SET details = '7' WHERE number = 2", 2, AuditFault.CHANGED),
    ("UPDATE audit_entries SET details = repeat('9', 9000)::jsonb WHERE number = 2", 2, AuditFault.CHANGED),
    ("UPDATE audit_entries SET target_id = NULL WHERE number = 4", 4, AuditFault.CHANGED),
    ("UPDATE audit_entries SET hash = repeat('0', 64) WHERE number = 4", 4, AuditFault.CHANGED),
    ("UPDATE audit_entries SET previous_hash = hash WHERE number = 4", 4, AuditFault.CHANGED),
    ("DELETE FROM audit_entries WHERE number = 3", 3, AuditFault.MISSING),
    ("DELETE FROM audit_entries WHERE number IN (1, 2)", 1, AuditFault.MISSING),
    ("UPDATE audit_entries SET number = 0 WHERE number = 1", 0, AuditFault.UNLINKED),
    ("UPDATE audit_entries SET number = 9 WHERE number = 5", 5, AuditFault.MISSING),
]  # fmt: skip


def test_a_row_changed_by_hand_is_found(database: Database, trail: AuditService):
    do(database, 5)
    for statement, number, fault in _FORGERIES:
        with suppress(InterruptedError), database.transaction():
            forge(database, statement)
            # In this very transaction, which is taken back: the next forger finds everything as it was.
            found = trail.verify(ADMIN)
            assert found.problem is not None, statement
            assert (found.problem.number, found.problem.fault) == (number, fault), statement
            assert found.checked_count == max(number - 1, 0)
            assert (found.head.number if found.head else 0) == max(number - 1, 0)
            raise InterruptedError
    assert trail.verify(ADMIN).problem is None


def test_a_row_changed_with_its_hash_is_found_by_the_next(database: Database, trail: AuditService):
    do(database, 3)
    entry = trail.list_entries(ADMIN, PageRequest()).items[1]
    values: dict[str, Any] = {
        **{name: getattr(entry, name, None) for name in HASHED_COLUMNS},
        "at": format_time(entry.at),
        "target_kind": entry.target.kind,
        "target_id": entry.target.id,
        "target_name": entry.target.name,
    }
    assert compute_hash(values) == entry.hash
    forged = compute_hash({**values, "actor_name": "Eve"})
    forge(database, f"UPDATE audit_entries SET actor_name = 'Eve', hash = '{forged}' WHERE number = 2")  # noqa: S608
    found = trail.verify(ADMIN)
    assert found.problem is not None
    assert (found.problem.number, found.problem.fault) == (3, AuditFault.UNLINKED)


def test_a_known_head_tells_that_the_end_was_cut_off_or_written_anew(database: Database, trail: AuditService):
    do(database, 4)
    head = trail.verify(ADMIN).head
    assert head is not None
    do(database, 2)
    assert trail.verify(ADMIN, known_head=head).problem is None
    assert trail.verify(ADMIN, known_head=head, last=1).problem is None
    forge(database, "DELETE FROM audit_entries WHERE number > 2")
    assert trail.verify(ADMIN).problem is None
    cut = trail.verify(ADMIN, known_head=head)
    assert cut.problem is not None
    assert (cut.problem.number, cut.problem.fault) == (3, AuditFault.CUT_OFF)
    do(database, 4, other="course")
    for last in (None, 1, 10):
        anew = trail.verify(ADMIN, known_head=head, last=last)
        assert anew.problem is not None
        assert (anew.problem.number, anew.problem.fault) == (4, AuditFault.REPLACED)


def test_the_last_entries_can_be_verified_alone_and_progress_is_told(
    database: Database, trail: AuditService, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("raven_scan.access.audit_service._BATCH_SIZE", 3)
    do(database, 10)
    told: list[tuple[str, int, int]] = []

    def tell(stage: str, done: int, total: int) -> None:
        told.append((stage, done, total))

    assert trail.verify(ADMIN, progress=tell).checked_count == 10
    assert told == [("entries", 3, 10), ("entries", 6, 10), ("entries", 9, 10), ("entries", 10, 10)]
    forge(database, "UPDATE audit_entries SET action = 'a.b' WHERE number = 4")
    assert trail.verify(ADMIN, last=6).problem is None
    assert trail.verify(ADMIN, last=6).checked_count == 6
    assert trail.verify(ADMIN, last=7).problem is not None
    forge(database, "DELETE FROM audit_entries WHERE number < 6")
    assert trail.verify(ADMIN, last=6).problem is not None


def test_an_empty_trail_is_whole(trail: AuditService):
    found = trail.verify(ADMIN)
    assert (found.checked_count, found.head, found.problem) == (0, None, None)
    cut = trail.verify(ADMIN, known_head=Head(1, "0" * 64))
    assert cut.problem is not None
    assert cut.problem.fault is AuditFault.CUT_OFF


def test_lists_are_filtered_and_paged_and_hold_under_appends(database: Database, trail: AuditService):
    mara = Actor(uuid4(), "Mara", frozenset(), address="10.0.0.7")
    run = Target("training_run", uuid4(), "bottles_50%")
    do(database, 3)
    with database.transaction() as session:
        record(session, mara, "training_run.cancelled", run, reason="too slow")
        record(session, mara, "training_run.deleted", run)
        record(session, WORKER, "trained_model.created", Target("trained_model", uuid4(), "bottles"))

    def find(**chosen: Any) -> list[int]:
        return [each.number for each in trail.list_entries(ADMIN, PageRequest(), EntryFilter(**chosen)).items]

    assert find(actor="Mara") == find(actor=mara.id) == [5, 4]
    assert find(actor="mar") == []
    assert find(action="training_run.") == [5, 4]
    assert find(action="training_run.c") == [4]
    assert find(action="training%") == []
    assert find(actor="\0") == find(action="\ud800") == find(search="\0") == []
    assert find(target_kind="thing") == [3, 2, 1]
    assert find(target_id=run.id) == [5, 4]
    assert find(search="bottles_50%") == [5, 4]
    assert find(search="SLOW  10.0.0") == [4]
    assert find(search="bott") == [6, 5, 4]
    assert find(search="train slow") == [4]
    first = trail.list_entries(ADMIN, PageRequest(limit=4))
    at = first.items[0].at
    assert find(since=at) == [6, 5, 4]
    assert find(until=at) == [3, 2, 1]
    assert first.next is not None
    do(database)
    second = trail.list_entries(ADMIN, PageRequest(limit=4, cursor=first.next))
    assert [entry.number for entry in [*first.items, *second.items]] == [6, 5, 4, 3, 2, 1]
    assert second.next is None


def test_a_bad_cursor_is_refused(trail: AuditService):
    for cursor in ("", "x", "-1", "1.5", "٣", "9" * 19, "9" * 30, str(uuid4())):
        with pytest.raises(Invalid):
            trail.list_entries(ADMIN, PageRequest(cursor=cursor))


def test_who_may_not_see_it_is_refused(trail: AuditService):
    actor = Actor(uuid4(), "Mara", frozenset(Claim) - {Claim.AUDIT_VIEW})
    with pytest.raises(Forbidden):
        trail.list_entries(actor, PageRequest())
    with pytest.raises(Forbidden):
        trail.verify(actor)
    with pytest.raises(Forbidden):
        trail.is_guarded(actor)


def test_what_postgresql_does_not_take_keeps_nothing_from_being_done(database: Database, trail: AuditService):
    actor = Actor(uuid4(), "a\0b\ud800", frozenset(), via="\0", address="x" * 5000)
    target = Target("thing", None, "\udfff")
    with database.transaction() as session:
        record(
            session, actor, "thing.changed", target, a=float("nan"), b=-0.0, c=1e300, d=b"\0", e={1: {2, 1}}
        )
    (entry,) = trail.list_entries(ADMIN, PageRequest()).items
    assert (entry.actor_name, entry.target.name) == ("a\\x00b\\ud800", "\\udfff")
    assert len(entry.actor_address) < 1100
    assert entry.details == {"a": "nan", "b": 0, "c": int(1e300), "d": "b'\\x00'", "e": {"1": [1, 2]}}
    assert trail.verify(ADMIN).problem is None


def test_secrets_in_addresses_are_masked(database: Database, trail: AuditService):
    do(database, url="postgresql://raven:hunter2@db/raven", header="Bearer abc.def")
    details = str(trail.list_entries(ADMIN, PageRequest()).items[0].details)
    assert "hunter2" not in details
    assert "abc.def" not in details


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_ID = st.uuids()
_TEXT = st.text(max_size=5)
_VALUES = st.fixed_dictionaries(
    {
        "number": st.integers(min_value=1, max_value=2**62),
        "at": st.datetimes().map(lambda at: at.strftime("%Y-%m-%dT%H:%M:%S.%f")),
        "actor_id": _ID,
        "actor_name": _TEXT,
        "actor_via": _TEXT,
        "actor_address": _TEXT,
        "action": _TEXT,
        "target_kind": _TEXT,
        "target_id": st.none() | _ID,
        "target_name": _TEXT,
        "details": st.dictionaries(_TEXT, _JSON, max_size=3).map(make_storable),
        "previous_hash": _TEXT,
    }
)


def tell_apart(value: Any) -> Any:
    """Python takes 1 and True, 1 and 1.0 for equal; an entry with the one is another than one with the other."""
    if isinstance(value, dict):
        return frozenset((key, tell_apart(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return ("list", *(tell_apart(inner) for inner in value))
    return (type(value), value)


@given(
    one=_VALUES,
    changes=st.dictionaries(st.sampled_from(HASHED_COLUMNS), st.integers(0, 2**32), max_size=2),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_no_two_different_entries_are_written_the_same(
    one: dict[str, Any], changes: dict[str, int], data: st.DataObject
):
    # Two entries drawn alone are never alike in the least; these differ in a column or two, or in none.
    other = data.draw(_VALUES)
    other = {**one, **{column: other[column] for column in changes}}
    are_same = tell_apart(one) == tell_apart(other)
    assert (make_canonical(one) == make_canonical(other)) is are_same


@given(details=st.dictionaries(_TEXT, _JSON, max_size=4))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_details_are_the_same_after_postgresql_has_kept_them(database: Database, details: dict[str, Any]):
    stored = make_storable(details)
    with database.transaction() as session:
        kept = session.scalar(text("SELECT CAST(:given AS jsonb)::text"), {"given": json.dumps(stored)})
    assert tell_apart(json.loads(str(kept))) == tell_apart(stored)
