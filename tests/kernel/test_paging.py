"""Pages in any order, that hold while the list changes under them."""

import base64
import json
import random
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    bindparam,
    event,
    select,
)

from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import Filter, ListOrder, ListStatement, Page, PageRequest

THINGS = Table(
    "things",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("figure", Float),
    Column("count", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
)
ORDER = ListOrder(
    "things",
    {name: THINGS.c[name] for name in ("name", "made_at", "ended_at", "figure", "count", "size")},
    THINGS.c.id,
    "-made_at",
    optional=frozenset({"ended_at", "figure"}),
)
START = datetime(2026, 1, 1, tzinfo=UTC)
ListThings = Callable[..., Page[dict[str, object]]]


def make_thing(random_: random.Random) -> dict[str, object]:
    moment = START + timedelta(microseconds=random_.randrange(10))
    return {
        "id": make_id(),
        "name": random_.choice(["a", "b-1", "ß 'x'", "漢"]),
        "made_at": moment,
        "ended_at": random_.choice([None, moment]),
        "figure": random_.choice([None, 0.1 + 0.2, 1e-300, -1.0]),
        "count": random_.randrange(3),
        "size": random_.choice([1 << 40, -5]),
    }


@pytest.fixture
def things(database: Database) -> Generator[list[dict[str, object]]]:
    THINGS.create(database.engine)
    random_ = random.Random(1)  # noqa: S311 - the same things every time
    rows = [make_thing(random_) for _ in range(40)]
    with database.transaction() as session:
        session.execute(THINGS.insert(), rows)
    yield rows
    THINGS.drop(database.engine)


@pytest.fixture
def list_things(database: Database, things: list[dict[str, object]]) -> ListThings:
    assert things

    def list_things(
        limit: int = 7, cursor: str | None = None, sort: str | None = None
    ) -> Page[dict[str, object]]:
        with database.transaction() as session:
            request = PageRequest.parse(limit, cursor, sort)
            return ORDER.fetch(session, select(THINGS), request, lambda row: dict(row._mapping))

    return list_things


def sort_things(things: list[dict[str, object]], sort: str) -> list[object]:
    """Ids in the order that is expected: what has no value comes last."""
    name = sort.removeprefix("-")

    def key(thing: dict[str, object]) -> tuple[object, object]:
        value = thing[name]
        return (value.encode() if isinstance(value, str) else value, thing["id"])

    descending = sort.startswith("-")
    known = sorted((each for each in things if each[name] is not None), key=key, reverse=descending)
    unknown = sorted(
        (each for each in things if each[name] is None), key=lambda each: str(each["id"]), reverse=descending
    )
    return [each["id"] for each in known + unknown]


@pytest.mark.parametrize("sort", ORDER.sorts)
def test_pages_follow_each_other_in_every_order(
    list_things: ListThings, things: list[dict[str, object]], sort: str
):
    found: list[object] = []
    cursor = None
    for _ in range(100):
        page = list_things(cursor=cursor, sort=sort)
        found += [item["id"] for item in page.items]
        cursor = page.next
        if cursor is None:
            break
        assert len(page.items) == 7
    assert found == sort_things(things, sort)


@pytest.mark.parametrize("sort", ["name", "-ended_at", "figure", "-figure"])
def test_what_comes_and_goes_meanwhile_shifts_nothing(
    database: Database, list_things: ListThings, things: list[dict[str, object]], sort: str
):
    random_ = random.Random(2)  # noqa: S311 - the same things every time
    expected = sort_things(things, sort)
    found: list[object] = []
    gone: set[object] = set()
    cursor = None
    while True:
        page = list_things(limit=5, cursor=cursor, sort=sort)
        found += [item["id"] for item in page.items]
        if page.next is None:
            break
        # The item that the cursor stands on goes too.
        going = {found[-1], random_.choice(expected)} - gone
        with database.transaction() as session:
            session.execute(THINGS.delete().where(THINGS.c.id.in_(going)))
            session.execute(THINGS.insert(), [make_thing(random_) for _ in range(2)])
        gone |= going
        cursor = page.next
    assert len(found) == len(set(found))
    old = [id_ for id_ in found if id_ in set(expected)]
    assert old == sorted(old, key=expected.index)
    assert set(expected) - set(old) <= gone


def test_the_cursor_keeps_the_order_where_no_other_is_asked_for(list_things: ListThings):
    first = list_things(sort="-count")
    assert list_things(cursor=first.next) == list_things(cursor=first.next, sort="-count")
    assert list_things() == list_things(sort="-made_at")


def test_a_last_page_that_is_full_has_no_next(list_things: ListThings):
    assert list_things(limit=40).next is None
    assert list_things(limit=39).next is not None


@pytest.mark.parametrize(
    "sort", ["unknown", "-", "--name", "name; DROP TABLE things", "id", "name\0", "x" * 10_000]
)
def test_an_order_that_there_is_not_is_refused(list_things: ListThings, sort: str):
    with pytest.raises(Invalid) as refusal:
        list_things(sort=sort)
    assert refusal.value.code == "paging.bad_sort"
    assert refusal.value.parameters["sorts"] == ORDER.sorts


def test_a_cursor_of_another_order_or_list_is_refused(list_things: ListThings, database: Database):
    cursor = list_things(sort="name").next
    for sort in ("-name", "count"):
        with pytest.raises(Invalid) as refusal:
            list_things(cursor=cursor, sort=sort)
        assert refusal.value.code == "paging.other_cursor"
    other = ListOrder("others", ORDER.columns, ORDER.id, "name")
    with database.transaction() as session, pytest.raises(Invalid) as refusal:
        other.fetch(session, select(THINGS), PageRequest(cursor=cursor), lambda row: row)
    assert refusal.value.code == "paging.other_cursor"


def make_cursor(*content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


ID = str(UUID(int=1))


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "=",
        "nonsense",
        "é",
        "\0",
        "A" * 100_000,
        make_cursor(),
        make_cursor("things", "name", "a"),
        make_cursor("things", "name", "a", "no id"),
        make_cursor("things", "name", None, ID),
        make_cursor("things", "name", 1, ID),
        make_cursor("things", "name", "\0", ID),
        make_cursor("things", "name", "\ud800", ID),
        make_cursor("things", "name", ["a"], ID),
        make_cursor("things", "figure", "a", ID),
        make_cursor("things", "figure", float("nan"), ID),
        make_cursor("things", "count", 1 << 31, ID),
        make_cursor("things", "size", 1 << 63, ID),
        make_cursor("things", "count", 0.5, ID),
        make_cursor("things", "made_at", "2026-01-01T00:00:00", ID),
        make_cursor("things", "made_at", "tomorrow", ID),
    ],
)
def test_what_is_no_cursor_is_refused(list_things: ListThings, cursor: str):
    with pytest.raises(Invalid) as refusal:
        list_things(cursor=cursor)
    assert refusal.value.code == "paging.bad_cursor"


@pytest.mark.parametrize(
    "cursor",
    [
        make_cursor("things", "made_at", "0001-01-01T00:00:00+23:59", ID),
        make_cursor("things", "-made_at", "9999-12-31T23:59:59.999999-23:59", ID),
        make_cursor("things", "figure", 1, ID),
        make_cursor("things", "ended_at", None, ID),
        make_cursor("things", "name", "'); DROP TABLE things --", ID),
    ],
)
def test_a_cursor_that_somebody_made_up_does_no_harm(list_things: ListThings, cursor: str):
    list_things(cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 501])
def test_a_page_has_a_size(list_things: ListThings, limit: int):
    with pytest.raises(Invalid) as refusal:
        list_things(limit=limit)
    assert refusal.value.code == "paging.bad_limit"


@pytest.mark.parametrize("sort", ["name", "-made_at", "ended_at", "-figure"])
@pytest.mark.parametrize(
    ("wanted", "share"), [("all", 1), ("half", 2), ("few", 300), ("late", 0), ("none", 0)]
)
def test_filters_choose_the_same_whether_many_pass_or_few(
    database: Database, sort: str, wanted: str, share: int
):
    THINGS.create(database.engine)
    random_ = random.Random(3)  # noqa: S311 - the same things every time
    # More than the head of the order.
    things = [{**make_thing(random_), "size": number} for number in range(2500)]
    conditions = {"late": THINGS.c.size >= 2450, "none": THINGS.c.size < 0}
    expected = {"late": [thing for thing in things if cast("int", thing["size"]) >= 2450], "none": []}
    listed = ListStatement(ORDER, select(THINGS))
    condition = conditions.get(wanted, THINGS.c.size % max(share, 1) == 0)
    passing = expected.get(
        wanted, [thing for thing in things if cast("int", thing["size"]) % max(share, 1) == 0]
    )
    try:
        with database.transaction() as session:
            session.execute(THINGS.insert(), things)
            found: list[object] = []
            cursor = None
            for _ in range(3):
                request = PageRequest(limit=20, sort=sort, cursor=cursor)
                page = listed.fetch(session, request, lambda row: row.id, filters=[Filter(condition)])
                found += page.items
                cursor = page.next
                if cursor is None:
                    break
        assert found == sort_things(passing, sort)[:60]
        assert (cursor is None) == (len(passing) <= 60)
    finally:
        THINGS.drop(database.engine)


def test_a_statement_is_written_once_for_each_combination(
    database: Database, things: list[dict[str, object]]
):
    has_name = Filter(THINGS.c.name == bindparam("wanted"), {"wanted": "a"})
    listed = ListStatement(ORDER, select(THINGS))
    written: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *details: written.append(details[2]))
    expected = {name: [thing for thing in things if thing["name"] == name] for name in ("a", "b-1")}
    with database.transaction() as session:
        for name, limit in (("a", 3), ("b-1", 500), ("a", 500)):
            given = Filter(has_name.condition, {"wanted": name})
            page = listed.fetch(session, PageRequest(limit), lambda row: row.id, filters=[given])
            assert page.items == sort_things(expected[name], ORDER.default)[:limit]
        # Another condition of the same form, which was made where the last one was, is another statement.
        for size in (-5, 1 << 40):
            condition = THINGS.c.size == size
            page = listed.fetch(session, PageRequest(500), lambda row: row.size, filters=[Filter(condition)])
            assert set(page.items) == {size}
            del condition
    assert len(set(written[:3])) == 1
