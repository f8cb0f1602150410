# Made from asynchronous/trash.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""The trash, from outside: what was deleted in the last days, and can be restored."""

from collections.abc import Iterator

from raven_scan.client.answers import quote_ref
from raven_scan.client.synchronous.connection import Connection
from raven_scan.kernel.trash_schemas import PurgedOut, TrashItemOut, TrashPage

_PATH = "/api/v1/trash"


class TrashClient:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> TrashPage:
        """What was deleted, of the kinds that you may delete, last deleted first."""
        return TrashPage.model_validate(self._connection.get(_PATH, {"limit": limit, "cursor": cursor}))

    def iterate(self) -> Iterator[TrashItemOut]:
        """All of it; a page is asked for when the one before is used up."""
        return self._connection.iterate(_PATH, TrashItemOut.model_validate)

    def restore(self, item_id: object) -> None:
        """Raises Conflict where another thing has its name by now."""
        self._connection.post(f"{_PATH}/{quote_ref(item_id)}/restore")

    def purge(self, item_id: object) -> None:
        """Removes something for good, now."""
        self._connection.delete(f"{_PATH}/{quote_ref(item_id)}")

    def empty(self) -> PurgedOut:
        """Removes everything for good that you may delete, now."""
        return PurgedOut.model_validate(self._connection.delete(_PATH))
