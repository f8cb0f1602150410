"""The trash of all slices together."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.errors import NotFound
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.trash import DeletedItem, make_not_in_trash, merge_pages

_EVER = datetime.max.replace(tzinfo=UTC)


class Bin(Protocol):
    """What a slice has deleted, and can restore."""

    @property
    def kind(self) -> str: ...

    @property
    def delete_claim(self) -> Claim: ...

    def list_deleted(self, actor: Actor, page: PageRequest) -> Page[DeletedItem]: ...

    def restore(self, actor: Actor, id_: UUID) -> Any: ...

    def purge(self, actor: Actor, deleted_before: datetime, *, id_: UUID | None = None) -> int: ...


class Stewardships(Protocol):
    """What deletes and restores; the platform has them."""

    @property
    def run_stewardship(self) -> Bin: ...
    @property
    def model_stewardship(self) -> Bin: ...
    @property
    def version_stewardship(self) -> Bin: ...
    @property
    def dataset_stewardship(self) -> Bin: ...


def list_bins(platform: Stewardships) -> list[Bin]:
    """All of them; who names others comes before what they name."""
    return [
        platform.run_stewardship,
        platform.model_stewardship,
        platform.version_stewardship,
        platform.dataset_stewardship,
    ]


class Trash:
    """What users deleted, whatever it is; each sees the kinds that they may delete.

    Args:
        days: how long something stays.
    """

    def __init__(self, bins: Sequence[Bin], *, days: int) -> None:
        self._bins = bins
        self._time = timedelta(days=days)

    def find_purge_time(self, item: DeletedItem) -> datetime:
        """When it goes for good, by itself."""
        return item.deleted_at + self._time

    def list_items(self, actor: Actor, page: PageRequest) -> Page[DeletedItem]:
        """Last deleted first. Raises Forbidden for who may delete nothing."""
        pages = [each.list_deleted(actor, page) for each in self._list_visible(actor)]
        return merge_pages(pages, page.limit)

    def restore(self, actor: Actor, id_: UUID) -> None:
        """Takes something out of the trash. Raises NotFound; Conflict where it cannot be as it was."""
        for each in self._list_visible(actor):
            try:
                each.restore(actor, id_)
            except NotFound:
                continue
            return
        raise make_not_in_trash(id_)

    def purge(self, actor: Actor, id_: UUID) -> None:
        """Removes something for good. Raises NotFound."""
        if not any(each.purge(actor, _EVER, id_=id_) for each in self._list_visible(actor)):
            raise make_not_in_trash(id_)

    def empty(self, actor: Actor) -> dict[str, int]:
        """Removes everything for good that the caller may delete; returns how many of each kind."""
        return {each.kind: each.purge(actor, _EVER) for each in self._list_visible(actor)}

    def _list_visible(self, actor: Actor) -> list[Bin]:
        visible = [each for each in self._bins if actor.may(each.delete_claim)]
        if not visible:
            actor.require(self._bins[0].delete_claim)
        return visible
