"""Lists come in pages: at most `limit` items in an order, and a cursor for the next page.

A cursor is opaque. It holds where the page ended: the last item's value in the order, and its id. So an item that is
inserted or deleted meanwhile shifts nothing: no other is shown twice or left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    func,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from raven_scan.kernel.cursors import Cursor, make_bad_cursor, make_cursor, make_other_cursor, parse_cursor
from raven_scan.kernel.errors import Invalid

T = TypeVar("T")

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 500

_HEAD_ROWS = 2000
"""Read in a few milliseconds; what is rarer than one in forty is then found by an index as fast."""

_STATEMENTS_KEPT = 300
_WANTED, _AFTER_VALUE, _AFTER_ID = "page_wanted", "page_after_value", "page_after_id"

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
        selected: Select[*tuple[Any, ...]],
        request: PageRequest,
        make_item: Callable[[Any], T],
    ) -> Page[T]:
        """A page of what is selected; see `ListStatement`, which is quicker where that is always the same."""
        return ListStatement(self, selected).fetch(session, request, make_item)

    def list_parts(self, place: "_Place") -> list["_Part"]:
        """What follows a place: the items that have a value, then those that have none."""
        column, after = place.column, place.after
        is_optional = column in self.optional
        parts: list[_Part] = []
        if after is None or after.value is not None:
            parts.append(
                _Part(column, place.descending, has_value=is_optional or None, follows=after is not None)
            )
        if is_optional:
            follows = after is not None and after.value is None
            parts.append(_Part(column, place.descending, has_value=False, follows=follows))
        return parts

    def find_place(self, request: PageRequest) -> "_Place":
        """Where the page begins.

        Raises:
            Invalid: the list has no such order, or the cursor is none of this list in this order.
        """
        cursor = None if request.cursor is None else parse_cursor(request.cursor)
        sort = request.sort or (cursor.sort if cursor else self.default)
        if cursor is not None and (cursor.list, cursor.sort) != (self.name, sort):
            raise make_other_cursor(sort)
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
            raise make_bad_cursor(cursor) from None
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
            raise make_bad_cursor(cursor)
        return value


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition of users, which may be true of all rows, of few or of none.

    Attributes:
        condition: made once, with its values as `bindparam`.
        values: by the names of these.
    """

    condition: ColumnElement[bool]
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])


class ListStatement:
    """What a list selects, in its order.

    A statement is written once for each order and combination of conditions: for a page, putting it together takes
    longer than PostgreSQL takes to answer it.

    Args:
        order: of the list.
        selected: without order and limit; its own conditions are true of most rows.
    """

    def __init__(self, order: ListOrder, selected: Select[*tuple[Any, ...]]) -> None:
        self._order = order
        self._selected = selected
        self._written: dict[tuple[Any, ...], tuple[Select[*tuple[Any, ...]], tuple[object, ...]]] = {}

    def fetch(
        self,
        session: Session,
        request: PageRequest,
        make_item: Callable[[Any], T],
        *,
        filters: Sequence[Filter] = (),
    ) -> Page[T]:
        """A page of it.

        Args:
            session: to ask.
            request: what the caller asked for.
            make_item: makes an item of a row; two values, of no interest, follow those that were selected.
            filters: what a row has to pass.

        Raises:
            Invalid: the list has no such order, or the cursor is none of this list in this order.
        """
        place = self._order.find_place(request)
        wanted = request.limit + 1
        values = {name: value for each in filters for name, value in each.values.items()}
        conditions = tuple(each.condition for each in filters)
        rows: list[Row[*tuple[Any, ...]]] = []
        for part in self._order.list_parts(place):
            if len(rows) == wanted:
                break
            bound = values | {_WANTED: wanted - len(rows)}
            if part.follows and place.after is not None:
                bound |= {_AFTER_VALUE: place.after.value, _AFTER_ID: place.after.id}
            rows += session.execute(self._get_written(part, conditions), bound).all()
        shown = rows[: request.limit]
        cursor = None
        if len(rows) > len(shown):
            value, id_ = shown[-1][-2:]
            cursor = make_cursor(self._order.name, place.sort, value, id_)
        return Page([make_item(row) for row in shown], cursor)

    def _get_written(
        self, part: "_Part", conditions: tuple[ColumnElement[bool], ...]
    ) -> Select[*tuple[Any, ...]]:
        # By identity: SQLAlchemy makes a condition of two that are compared. What is kept beside keeps it true.
        key = (part, *map(id, conditions))
        if key not in self._written:
            if len(self._written) == _STATEMENTS_KEPT:
                self._written.clear()
            self._written[key] = (self._write(part, conditions), conditions)
        return self._written[key][0]

    def _write(self, part: "_Part", conditions: Sequence[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
        column, id_ = self._order.columns[part.column], self._order.id
        statement = self._selected.add_columns(column.label("page_value"), id_.label("page_id"))
        statement = statement.order_by(*part.sort(column, id_))
        if part.has_value is not None:
            statement = statement.where(column.is_not(None) if part.has_value else column.is_(None))
        if part.follows:
            end_id = bindparam(_AFTER_ID, type_=id_.type)
            if part.has_value is False:
                statement = statement.where(id_ < end_id if part.descending else id_ > end_id)
            else:
                position = tuple_(column, id_)
                end = tuple_(bindparam(_AFTER_VALUE, type_=column.type), end_id)
                statement = statement.where(position < end if part.descending else position > end)
        if conditions:
            return self._filter(statement, part, conditions)
        return statement.limit(bindparam(_WANTED, type_=Integer))

    def _filter(
        self,
        statement: Select[*tuple[Any, ...]],
        part: "_Part",
        conditions: Sequence[ColumnElement[bool]],
    ) -> Select[*tuple[Any, ...]]:
        """The first rows of an ordered statement that pass the filters.

        PostgreSQL cannot know how many rows have a word that begins so, or have two things at once. Taken for many,
        what few rows have is looked for along the whole order; taken for few, what all have is sorted. So it is
        looked for at the beginning of the order first, and where too few are found there, by the filters' own indexes:
        in one statement, whose second part PostgreSQL leaves out where the first finds enough.
        """
        value = self._order.columns[part.column].label("page_value")
        id_ = self._order.id.label("page_id")
        wanted = bindparam(_WANTED, type_=Integer)
        head = (
            statement.with_only_columns(id_, and_(*conditions).label("passes"))
            .limit(_HEAD_ROWS)
            .subquery("head")
        )
        found = (
            select(head.c.page_id).where(head.c.passes).limit(wanted).cte("found").prefix_with("MATERIALIZED")
        )
        is_enough = select(func.count() == wanted).select_from(found).scalar_subquery()
        passing = (
            statement.with_only_columns(value, id_)
            .where(*conditions, ~is_enough)
            .order_by(None)
            .cte("passing")
            .prefix_with("MATERIALIZED")
        )
        by_index = (
            select(passing.c.page_id)
            .order_by(*part.sort(passing.c.page_value, passing.c.page_id))
            .limit(wanted)
            .subquery("by_index")
        )
        chosen = union_all(select(found.c.page_id).where(is_enough), select(by_index.c.page_id))
        return statement.where(self._order.id.in_(chosen))


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of an order that one statement reads.

    Attributes:
        column: that is sorted by.
        descending: from the highest to the lowest.
        has_value: whether those with a value are meant, or those without; None where all have one.
        follows: whether it goes on where a page ended.
    """

    column: str
    descending: bool
    has_value: bool | None
    follows: bool

    def sort(self, *columns: ColumnElement[Any] | InstrumentedAttribute[Any]) -> list[ColumnElement[Any]]:
        return [each.desc() if self.descending else each.asc() for each in columns]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page begins. `after`: the last item of the page before."""

    sort: str
    column: str
    descending: bool
    after: Cursor | None
