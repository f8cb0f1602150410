"""Lists come in pages: at most `limit` items in an order, and a cursor for the next page.

A cursor is opaque. It holds where the page ended: the last item's value in the order, and its id. So an item that is
inserted or deleted meanwhile shifts nothing: no other is shown twice or left out.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Row,
    Select,
    and_,
    func,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from raven_scan.kernel.errors import Invalid

T = TypeVar("T")

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 500
LONGEST_CURSOR = 4000

_HEAD_ROWS = 2000
"""Read in a few milliseconds; what is rarer than one in forty is then found by an index as fast."""

_LARGEST_INTEGER = 1 << 31
_LARGEST_BIG_INTEGER = 1 << 63

_Column = InstrumentedAttribute[Any] | ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What a caller asks of a list.

    Attributes:
        cursor: `next` of the page before; None for the first.
        sort: a name of the list's order, with `-` before it for descending; None for the cursor's, or the default.
    """

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    sort: str | None = None

    @classmethod
    def parse(
        cls, limit: int = DEFAULT_LIMIT, cursor: str | None = None, sort: str | None = None
    ) -> "PageRequest":
        if not 1 <= limit <= LARGEST_LIMIT:
            raise Invalid(
                "paging.bad_limit",
                f"A page holds 1 to {LARGEST_LIMIT} items, not {limit}.",
                hint="Ask for less and follow 'next'.",
            )
        return cls(limit=limit, cursor=cursor, sort=sort)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: list[T]
    next: str | None


@dataclass(frozen=True)
class ListOrder:
    """The orders that a list can be had in.

    What has no value comes last, ascending and descending. An index on `(column, id)` serves both directions.

    Attributes:
        name: of the list, such as `training_runs`; a cursor of another one is refused.
        columns: what it can be sorted by, under the names that users write.
        id: unique, never null; it decides between equals.
        default: what is sorted by where nobody says, such as `-created_at`.
        optional: names of those columns that may be null.
    """

    name: str
    columns: Mapping[str, _Column]
    id: _Column
    default: str
    optional: frozenset[str] = field(default_factory=frozenset[str])

    @property
    def sorts(self) -> list[str]:
        """Every value that `sort` may have."""
        return [sort for name in self.columns for sort in (name, f"-{name}")]

    def fetch(
        self,
        session: Session,
        statement: Select[*tuple[Any, ...]],
        request: PageRequest,
        make_item: Callable[[Any], T],
        *,
        filters: Sequence[ColumnElement[bool]] = (),
    ) -> Page[T]:
        """A page of what `statement` selects.

        Args:
            session: to ask.
            statement: without order and limit; its own conditions are true of most rows.
            request: what the caller asked for.
            make_item: makes an item of a row; two values, of no interest, follow those that were selected.
            filters: conditions of users, which may be true of all rows, of few or of none.

        Raises:
            Invalid: the list has no such order, or the cursor is none of this list in this order.
        """
        place = self._find_place(request)
        column, wanted = self.columns[place.column], request.limit + 1
        statement = statement.add_columns(column.label("page_value"), self.id.label("page_id"))
        order = (column, self.id)
        statement = statement.order_by(*(each.desc() if place.descending else each.asc() for each in order))
        is_optional = place.column in self.optional
        rows: list[Row[*tuple[Any, ...]]] = []
        if place.after is None or place.after.value is not None:
            known = statement.where(column.is_not(None)) if is_optional else statement
            if place.after is not None:
                position = tuple_(*order)
                end = tuple_(literal(place.after.value, column.type), literal(place.after.id, self.id.type))
                known = known.where(position < end if place.descending else position > end)
            rows += self._fetch_first(session, known, place, filters, wanted)
        if is_optional and len(rows) < wanted:
            unknown = statement.where(column.is_(None))
            if place.after is not None and place.after.value is None:
                end = place.after.id
                unknown = unknown.where(self.id < end if place.descending else self.id > end)
            rows += self._fetch_first(session, unknown, place, filters, wanted - len(rows))
        return self._cut(rows, request, place, make_item)

    def _fetch_first(
        self,
        session: Session,
        statement: Select[*tuple[Any, ...]],
        place: "_Place",
        filters: Sequence[ColumnElement[bool]],
        wanted: int,
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """The first rows of an ordered statement that pass the filters.

        PostgreSQL cannot know how many rows have a word that begins so, or have two things at once. Taken for many,
        what few rows have is looked for along the whole order; taken for few, what all have is sorted. So it is
        looked for at the beginning of the order first, and where too few are found there, by the filters' own indexes:
        in one statement, whose second part PostgreSQL leaves out where the first finds enough.
        """
        if not filters:
            return session.execute(statement.limit(wanted)).all()
        value = self.columns[place.column].label("page_value")
        id_ = self.id.label("page_id")
        head = (
            statement.with_only_columns(id_, and_(*filters).label("passes"))
            .limit(_HEAD_ROWS)
            .subquery("head")
        )
        found = (
            select(head.c.page_id).where(head.c.passes).limit(wanted).cte("found").prefix_with("MATERIALIZED")
        )
        is_enough = select(func.count() == wanted).select_from(found).scalar_subquery()
        passing = (
            statement.with_only_columns(value, id_)
            .where(*filters, ~is_enough)
            .order_by(None)
            .cte("passing")
            .prefix_with("MATERIALIZED")
        )
        order = (passing.c.page_value, passing.c.page_id)
        by_index = (
            select(passing.c.page_id)
            .order_by(*(each.desc() if place.descending else each.asc() for each in order))
            .limit(wanted)
            .subquery("by_index")
        )
        chosen = union_all(select(found.c.page_id).where(is_enough), select(by_index.c.page_id))
        return session.execute(statement.where(self.id.in_(chosen))).all()

    def _cut(
        self,
        rows: list[Row[*tuple[Any, ...]]],
        request: PageRequest,
        place: "_Place",
        make_item: Callable[[Any], T],
    ) -> Page[T]:
        shown = rows[: request.limit]
        cursor = None
        if len(rows) > len(shown):
            value, id_ = shown[-1][-2:]
            cursor = make_cursor(self.name, place.sort, value, id_)
        return Page([make_item(row) for row in shown], cursor)

    def _find_place(self, request: PageRequest) -> "_Place":
        cursor = None if request.cursor is None else _read_cursor(request.cursor)
        sort = request.sort or (cursor.sort if cursor else self.default)
        if cursor is not None and (cursor.list, cursor.sort) != (self.name, sort):
            raise _make_other_cursor(sort)
        name = sort.removeprefix("-")
        if name not in self.columns:
            raise Invalid(
                "paging.bad_sort",
                f"This list cannot be sorted by {name[:100]!r}.",
                hint=f"Sort by {', '.join(self.columns)}; with '-' before it from the highest to the lowest.",
                parameters={"sorts": self.sorts},
            )
        place = _Place(sort, name, sort.startswith("-"), cursor)
        if cursor is not None:
            cursor.value = self._read_value(name, cursor.value, request.cursor or "")
        return place

    def _read_value(self, name: str, value: Any, cursor: str) -> Any:
        """What PostgreSQL compares with the column; a cursor may come from anybody."""
        type_ = self.columns[name].type
        if value is None and name in self.optional:
            return None
        try:
            value = msgspec.convert(value, type_.python_type)
        except msgspec.ValidationError:
            raise _make_bad_cursor(cursor) from None
        is_known = True
        if isinstance(type_, Integer):
            is_known = abs(value) < (
                _LARGEST_BIG_INTEGER if isinstance(type_, BigInteger) else _LARGEST_INTEGER
            )
        elif isinstance(value, datetime):
            is_known = value.tzinfo is not None
        elif isinstance(value, str):
            is_known = "\0" not in value
        if not is_known:
            raise _make_bad_cursor(cursor)
        return value


class _Cursor(msgspec.Struct, array_like=True):
    list: str
    sort: str
    value: Any
    id: UUID


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page begins. `after`: the last item of the page before."""

    sort: str
    column: str
    descending: bool
    after: _Cursor | None


def make_cursor(list_: str, sort: str, value: Any, id_: UUID) -> str:
    """The cursor of the page that begins after an item.

    Args:
        list_: the name of the list's order.
        sort: what it is sorted by.
        value: that the item has in it.
        id_: of the item.
    """
    content = msgspec.json.encode(_Cursor(list_, sort, value, id_))
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def read_cursor(list_: str, sort: str, cursor: str, type_: type[T]) -> tuple[T, UUID]:
    """The value and the id that `make_cursor` put into it.

    Raises:
        Invalid: it is no cursor, one of another list or order, or its value is not of that type.
    """
    content = _read_cursor(cursor)
    if (content.list, content.sort) != (list_, sort):
        raise _make_other_cursor(sort)
    try:
        return msgspec.convert(content.value, type_), content.id
    except msgspec.ValidationError:
        raise _make_bad_cursor(cursor) from None


def _read_cursor(cursor: str) -> _Cursor:
    if len(cursor) > LONGEST_CURSOR:
        raise _make_bad_cursor(cursor)
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(content, type=_Cursor)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise _make_bad_cursor(cursor) from None


def _make_other_cursor(sort: str) -> Invalid:
    return Invalid(
        "paging.other_cursor",
        "The cursor is of another list, or of this one in another order.",
        hint="Keep the sort from page to page, or begin again without a cursor.",
        parameters={"sort": sort},
    )


def _make_bad_cursor(cursor: str) -> Invalid:
    return Invalid(
        "paging.bad_cursor",
        f"{cursor[:100]!r} is not a cursor.",
        hint="Use the value of 'next' from the page before.",
    )
