"""What was deleted stays in the trash for a while: invisible to everything else, and it can be restored.

Every slice that has a trash lists it in the same order, so that a cursor of one is one of all, and their pages can be
merged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import InstrumentedAttribute

from raven_scan.kernel.cursors import make_cursor
from raven_scan.kernel.errors import NotFound, RavenError
from raven_scan.kernel.paging import ListOrder, Page

_LIST = "trash"
_SORT = "-deleted_at"


@dataclass(frozen=True, slots=True)
class DeletedItem:
    """Something in the trash.

    Attributes:
        kind: the noun of codes, such as `trained_model`.
        deleted_by: who deleted it.
    """

    kind: str
    id: UUID
    name: str
    deleted_at: datetime
    deleted_by: str


def make_trash_order(
    deleted_at: InstrumentedAttribute[datetime | None], id_: InstrumentedAttribute[UUID]
) -> ListOrder:
    """The order of a slice's trash: last deleted first."""
    return ListOrder(_LIST, {"deleted_at": deleted_at}, id_, _SORT)


def merge_pages(pages: Sequence[Page[DeletedItem]], limit: int) -> Page[DeletedItem]:
    """One page of several slices' pages, which were asked for with the same cursor and limit."""
    items = sorted(
        (item for page in pages for item in page.items),
        key=lambda item: (item.deleted_at, item.id),
        reverse=True,
    )
    shown = items[:limit]
    is_last = len(shown) == len(items) and all(page.next is None for page in pages)
    cursor = None if is_last else make_cursor(_LIST, _SORT, shown[-1].deleted_at, shown[-1].id)
    return Page(shown, cursor)


def make_not_in_trash(id_: UUID | str) -> RavenError:
    return NotFound(
        "trash.not_found",
        f"There is nothing with the id {str(id_)[:100]!r} in the trash.",
        hint="`raven trash list` shows what is there; what was there for its time is gone for good.",
        parameters={"id": ascii(str(id_)[:100])},
    )
