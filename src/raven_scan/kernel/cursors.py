"""Cursors of lists: where a page ended, in a form that clients hand back and do not look into."""

import base64
import binascii
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from raven_scan.kernel.errors import Invalid

T = TypeVar("T")

LONGEST_CURSOR = 4000


class Cursor(msgspec.Struct, array_like=True):
    list: str
    sort: str
    value: Any
    id: UUID


def make_cursor(list_: str, sort: str, value: Any, id_: UUID) -> str:
    """The cursor of the page that begins after an item.

    Args:
        list_: the name of the list's order.
        sort: what it is sorted by.
        value: that the item has in it.
        id_: of the item.
    """
    content = msgspec.json.encode(Cursor(list_, sort, value, id_))
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def read_cursor(list_: str, sort: str, cursor: str, type_: type[T]) -> tuple[T, UUID]:
    """The value and the id that `make_cursor` put into it.

    Raises:
        Invalid: it is no cursor, one of another list or order, or its value is not of that type.
    """
    content = parse_cursor(cursor)
    if (content.list, content.sort) != (list_, sort):
        raise make_other_cursor(sort)
    try:
        return msgspec.convert(content.value, type_), content.id
    except msgspec.ValidationError:
        raise make_bad_cursor(cursor) from None


def parse_cursor(cursor: str) -> Cursor:
    if len(cursor) > LONGEST_CURSOR:
        raise make_bad_cursor(cursor)
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(content, type=Cursor)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise make_bad_cursor(cursor) from None


def make_other_cursor(sort: str) -> Invalid:
    return Invalid(
        "paging.other_cursor",
        "The cursor is of another list, or of this one in another order.",
        hint="Keep the sort from page to page, or begin again without a cursor.",
        parameters={"sort": sort},
    )


def make_bad_cursor(cursor: str) -> Invalid:
    return Invalid(
        "paging.bad_cursor",
        f"{cursor[:100]!r} is not a cursor.",
        hint="Use the value of 'next' from the page before.",
    )
