"""Which runs a list has, and in what order."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict


class RunsChosen(TypedDict, total=False):
    """All that is said is true of a run that is listed.

    Attributes:
        search: words, or their beginnings, of name, notes, dataset, base model, architecture or creator.
        status: one, or any of several.
        dataset: name, name@version, or id.
        base_model: name or id.
        architecture: name.
        created_by: a user's name.
        created_since: with a time zone, as all times.
        created_until: this moment is left out.
        ended_since: as for `created_since`.
        ended_until: this moment is left out.
        sort: name, status, created_at, scheduled_at, ended_at, priority or best_map50; with `-` before it from the
            highest to the lowest. Newest first, where it is not said.
    """

    search: str | None
    status: str | Sequence[str] | None
    dataset: str | None
    base_model: str | None
    architecture: str | None
    created_by: str | None
    created_since: datetime | None
    created_until: datetime | None
    ended_since: datetime | None
    ended_until: datetime | None
    sort: str | None


def describe_chosen(chosen: RunsChosen) -> dict[str, Any]:
    """As the query of a request."""
    names = {"search": "q"}
    return {
        names.get(name, name): value.isoformat() if isinstance(value, datetime) else value
        for name, value in chosen.items()
    }
