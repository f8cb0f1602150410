"""The quality requirements, from outside."""

from collections.abc import Mapping, Sequence
from typing import Any

from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.kernel.revisions import format_etag
from raven_scan.publishing.schemas import PolicyChangePage, PolicyOut

_PATH = "/api/v1/policy"


class AsyncPolicyClient:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self) -> PolicyOut:
        return PolicyOut.model_validate(await self._connection.get(_PATH))

    async def change(
        self,
        changes: Mapping[str, Any] | None = None,
        *,
        unset: Sequence[str] = (),
        version: int | None = None,
    ) -> PolicyOut:
        """Changes requirements.

        Args:
            changes: new values by key, such as `min_map50`; None or False asks for nothing.
            unset: keys that get their default again.
            version: of the policy that was read; where somebody has changed it since, it is refused.

        Raises:
            Invalid: a key is not known, or a value is out of its bounds.
            Stale: it has another version.
        """
        body = {"set": dict(changes or {}), "unset": list(unset)}
        etag = None if version is None else format_etag(version)
        return PolicyOut.model_validate(await self._connection.patch(_PATH, body, etag=etag))

    async def list_changes(self, *, limit: int | None = None, cursor: str | None = None) -> PolicyChangePage:
        """Newest first."""
        return PolicyChangePage.model_validate(
            await self._connection.get(f"{_PATH}/history", {"limit": limit, "cursor": cursor})
        )
