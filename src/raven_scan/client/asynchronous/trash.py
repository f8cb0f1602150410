"""The trash, from outside: what was deleted in the last days, and can be restored."""

from collections.abc import AsyncIterator

from raven_scan.client.answers import quote_ref
from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.kernel.trash_schemas import PurgedOut, TrashItemOut, TrashPage

_PATH = "/api/v1/trash"


class AsyncTrashClient:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(self, *, limit: int | None = None, cursor: str | None = None) -> TrashPage:
        """What was deleted, of the kinds that you may delete, last deleted first."""
        return TrashPage.model_validate(await self._connection.get(_PATH, {"limit": limit, "cursor": cursor}))

    def iterate(self) -> AsyncIterator[TrashItemOut]:
        """All of it; a page is asked for when the one before is used up."""
        return self._connection.iterate(_PATH, TrashItemOut.model_validate)

    async def restore(self, item_id: object) -> None:
        """Raises Conflict where another thing has its name by now."""
        await self._connection.post(f"{_PATH}/{quote_ref(item_id)}/restore")

    async def purge(self, item_id: object) -> None:
        """Removes something for good, now."""
        await self._connection.delete(f"{_PATH}/{quote_ref(item_id)}")

    async def empty(self) -> PurgedOut:
        """Removes everything for good that you may delete, now."""
        return PurgedOut.model_validate(await self._connection.delete(_PATH))
