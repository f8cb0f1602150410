"""What is above needs what is below: a folder asks those above it through what wiring hands down to it.

So a model can say which runs need it, and runs learn its new name, though a folder imports only those below it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from raven_scan.kernel.errors import Conflict

USES_LISTED = 100
"""More are counted, and not named."""

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Use:
    """Something that needs another thing.

    Attributes:
        kind: the noun of codes, such as `training_run`.
        note: how it stands, such as `Waiting`; may be empty.
    """

    kind: str
    id: UUID
    name: str
    note: str = ""


class Dependents(Protocol):
    """Those above that name things of a slice."""

    def list_uses(self, session: Session, ids: Collection[UUID]) -> list[Use]:
        """Who needs any of these to stay."""
        ...

    def follow_renames(self, session: Session, names: Mapping[UUID, str]) -> None:
        """Takes over the new names of things, by their ids."""
        ...


def make_in_use(
    noun: str, name: str, uses: Iterable[Use], *, visible_kinds: Collection[str], more: int = 0
) -> Conflict:
    """The refusal to delete what is needed, with the list of what needs it.

    Args:
        noun: the thing's name in codes, such as `trained_model`.
        name: of the thing.
        uses: what needs it.
        visible_kinds: kinds that the caller may see; others are counted only.
        more: uses that are not among `uses`.
    """
    uses = list(uses)
    count = len(uses) + more
    visible = [use for use in uses if use.kind in visible_kinds][:USES_LISTED]
    shown = [_describe(use) for use in visible[:_NAMED]]
    if count > len(shown):
        shown.append(f"{count - len(shown)} more" if shown else f"{count} things that you may not see")
    thing = noun.replace("_", " ")
    return Conflict(
        f"{noun}.in_use",
        f"The {thing} {name!r} is needed by {', '.join(shown)}.",
        hint="Delete those first, cancel runs that have not ended, or keep it.",
        parameters={
            "name": name,
            "use_count": count,
            "uses": [{**asdict(use), "id": str(use.id)} for use in visible],
        },
    )


def _describe(use: Use) -> str:
    note = f" ({use.note})" if use.note else ""
    return f"the {use.kind.replace('_', ' ')} {use.name!r}{note}"
