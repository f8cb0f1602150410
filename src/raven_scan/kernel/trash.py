"""What was deleted stays in the trash for a while: invisible to everything else, and it can be restored."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from raven_scan.kernel.errors import NotFound, RavenError


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


def make_not_in_trash(id_: UUID | str) -> RavenError:
    return NotFound(
        "trash.not_found",
        f"There is nothing with the id {str(id_)[:100]!r} in the trash.",
        hint="`raven trash list` shows what is there; what was there for its time is gone for good.",
        parameters={"id": ascii(str(id_)[:100])},
    )
