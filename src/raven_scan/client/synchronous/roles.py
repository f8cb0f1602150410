# Made from asynchronous/roles.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Roles, from outside."""

from collections.abc import Sequence

from raven_scan.access.schemas import RoleOut, RolePage
from raven_scan.client.answers import quote_ref
from raven_scan.client.synchronous.connection import Connection
from raven_scan.kernel.revisions import format_etag

_PATH = "/api/v1/roles"


class RolesClient:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, *, name: str, claims: Sequence[str], description: str = "") -> RoleOut:
        """Creates a role of claims that one has oneself."""
        body = {"name": name, "claims": list(claims), "description": description}
        return RoleOut.model_validate(self._connection.post(_PATH, body))

    def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: str | None = None,
        q: str | None = None,
    ) -> RolePage:
        """By name; `q`: part of it."""
        parameters = {"limit": limit, "cursor": cursor, "sort": sort, "q": q}
        return RolePage.model_validate(self._connection.get(_PATH, parameters))

    def get(self, ref: str) -> RoleOut:
        """By name or id."""
        return RoleOut.model_validate(self._connection.get(f"{_PATH}/{quote_ref(ref)}"))

    def edit(
        self,
        ref: str,
        *,
        name: str | None = None,
        claims: Sequence[str] | None = None,
        description: str | None = None,
        revision: int | None = None,
    ) -> RoleOut:
        """Changes what is not None; `claims` are all that the role is to have.

        Args:
            ref: name or id.
            name: the new one.
            claims: the new ones.
            description: the new one.
            revision: that was read; what was changed since is refused.
        """
        body = {
            "name": name,
            "claims": None if claims is None else list(claims),
            "description": description,
        }
        etag = None if revision is None else format_etag(revision)
        path = f"{_PATH}/{quote_ref(ref)}"
        return RoleOut.model_validate(self._connection.patch(path, body, etag=etag))

    def delete(self, ref: str, *, force: bool = False) -> None:
        """`force`: also where users have it, who lose it."""
        self._connection.delete(f"{_PATH}/{quote_ref(ref)}", {"force": str(force).lower()})
