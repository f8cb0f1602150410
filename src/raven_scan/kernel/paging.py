"""Lists come in pages: at most `limit` items, and a cursor for the next page that holds under inserts.

A cursor is the id of the last item that was shown. Ids sort by creation, newest first, so a row that is
inserted meanwhile shifts nothing.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.ids import parse_id

T = TypeVar("T")

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 500


@dataclass(frozen=True, slots=True)
class PageRequest:
    limit: int = DEFAULT_LIMIT
    after: UUID | None = None

    @classmethod
    def parse(cls, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> "PageRequest":
        after = None
        if cursor is not None:
            after = parse_id(cursor)
            if after is None:
                raise Invalid(
                    "paging.bad_cursor",
                    f"{cursor!r} is not a cursor.",
                    hint="Use the value of 'next' from the page before.",
                )
        if not 1 <= limit <= LARGEST_LIMIT:
            raise Invalid(
                "paging.bad_limit",
                f"A page holds 1 to {LARGEST_LIMIT} items, not {limit}.",
                hint="Ask for less and follow 'next'.",
            )
        return cls(limit=limit, after=after)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: list[T]
    next: str | None


def cut_page(rows: list[T], request: PageRequest, ids: list[UUID]) -> Page[T]:
    """Cut `limit + 1` fetched rows to a page; the extra row tells that there is a next one."""
    more = len(rows) > request.limit
    return Page(rows[: request.limit], str(ids[request.limit - 1]) if more else None)
