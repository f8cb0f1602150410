"""Identifiers: UUIDs of version 7, so that rows sort by when they were made (RFC 9562)."""

from uuid import UUID

from uuid_utils.compat import uuid7


def make_id() -> UUID:
    return uuid7()


def parse_id(text: str) -> UUID | None:
    """The id that `text` spells, or None where it is a name."""
    try:
        return UUID(text)
    except ValueError:
        return None
