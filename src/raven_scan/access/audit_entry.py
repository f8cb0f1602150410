"""The hash that ties an entry of the audit trail to the one before, and what may be in an entry."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from raven_scan.kernel.masking import TextMask

FIRST_PREVIOUS_HASH = "0" * 64
"""What the first entry has in place of the hash of the one before."""

_LONGEST_TEXT = 1000
"""Characters; what is longer is cut, for somebody outside may have chosen it."""

_mask = TextMask()


def format_time(at: datetime) -> str:
    """As PostgreSQL's `to_char` writes it for the form that is hashed."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


HASHED_COLUMNS = (
    "number",
    "at",
    "actor_id",
    "actor_name",
    "actor_via",
    "actor_address",
    "action",
    "target_kind",
    "target_id",
    "target_name",
    "details",
    "previous_hash",
)
"""Every column but the hash itself, in the order in which they are hashed."""


def compute_hash(values: Mapping[str, Any]) -> str:
    """The sha256 of an entry; since the hash of the one before is in it, of all before it too.

    It is of a JSON array of the columns: keys sorted, no spaces, in ASCII. No two different entries are written the
    same, since JSON marks where each value ends.

    Args:
        values: by column; `at` as `format_time` writes it, `details` as `make_storable` leaves them.
    """
    return hashlib.sha256(make_canonical(values)).hexdigest()


def make_canonical(values: Mapping[str, Any]) -> bytes:
    """The bytes that are hashed."""
    columns = [values[column] for column in HASHED_COLUMNS]
    # Ids become text.
    return json.dumps(columns, ensure_ascii=True, separators=(",", ":"), sort_keys=True, default=str).encode()


def make_storable(value: Any) -> Any:
    """A value as it comes back from PostgreSQL's jsonb, so that it is hashed the same before and after.

    Numbers without a fraction become integers, since jsonb keeps no sign of zero and no exponent; what JSON cannot
    say becomes its text; text is cut, and passwords in addresses are masked.
    """
    if value is None or isinstance(value, bool | int):
        stored = value
    elif isinstance(value, float) and math.isfinite(value):
        stored = int(value) if value.is_integer() else value
    elif isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        stored = {make_storable_text(str(key)): make_storable(inner) for key, inner in pairs}
    elif isinstance(value, set | frozenset):
        inners = cast("set[Any] | frozenset[Any]", value)
        stored = sorted((make_storable(inner) for inner in inners), key=json.dumps)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        stored = [make_storable(inner) for inner in cast("Sequence[Any]", value)]
    else:
        stored = make_storable_text(str(value))
    return stored


def make_storable_text(text: str) -> str:
    """Text as PostgreSQL takes it: without NUL and halves of surrogate pairs, and not too long."""
    if len(text) > _LONGEST_TEXT:
        text = text[:_LONGEST_TEXT] + "…"
    return _mask(text).encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
