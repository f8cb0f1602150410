# Made from asynchronous/policy.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""The quality requirements, from outside."""

from collections.abc import Mapping, Sequence
from typing import Any

from raven_scan.client.synchronous.connection import Connection
from raven_scan.kernel.revisions import format_etag
from raven_scan.publishing.schemas import PolicyChangePage, PolicyOut

_PATH = "/api/v1/policy"


class PolicyClient:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self) -> PolicyOut:
        return PolicyOut.model_validate(self._connection.get(_PATH))

    def change(
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
        return PolicyOut.model_validate(self._connection.patch(_PATH, body, etag=etag))

    def list_changes(self, *, limit: int | None = None, cursor: str | None = None) -> PolicyChangePage:
        """Newest first."""
        return PolicyChangePage.model_validate(
            self._connection.get(f"{_PATH}/history", {"limit": limit, "cursor": cursor})
        )
