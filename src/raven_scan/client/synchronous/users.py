# Made from asynchronous/users.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Users, from outside."""

from collections.abc import Sequence

from raven_scan.access.schemas import UserOut, UserPage, UserWithPasswordOut
from raven_scan.client.answers import quote_ref
from raven_scan.client.synchronous.connection import Connection
from raven_scan.kernel.revisions import format_etag

_PATH = "/api/v1/users"


class UsersClient:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self, *, name: str, roles: Sequence[str] = (), email: str | None = None, has_password: bool = True
    ) -> UserWithPasswordOut:
        """Creates an account; its one-time password is told this once.

        Args:
            name: unique, upper and lower case being the same.
            roles: names or ids; none gives Viewer.
            email: where the user is reached.
            has_password: False for an account that uses tokens alone.
        """
        body = {"name": name, "roles": list(roles), "email": email, "has_password": has_password}
        # No key: what is kept for repeating an answer must not hold a password.
        return UserWithPasswordOut.model_validate(self._connection.post(_PATH, body, has_key=False))

    def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: str | None = None,
        q: str | None = None,
        role: str | None = None,
        disabled: bool | None = None,
    ) -> UserPage:
        """By name; `q`: part of the name or the e-mail address."""
        parameters = {
            "limit": limit,
            "cursor": cursor,
            "sort": sort,
            "q": q,
            "role": role,
            "disabled": None if disabled is None else str(disabled).lower(),
        }
        return UserPage.model_validate(self._connection.get(_PATH, parameters))

    def get(self, ref: str) -> UserOut:
        """By name or id."""
        return UserOut.model_validate(self._connection.get(f"{_PATH}/{quote_ref(ref)}"))

    def edit(
        self,
        ref: str,
        *,
        name: str | None = None,
        email: str | None = None,
        roles: Sequence[str] | None = None,
        revision: int | None = None,
    ) -> UserOut:
        """Changes what is not None.

        Args:
            ref: name or id.
            name: the new one.
            email: the new one; empty for none.
            roles: all that the user is to have.
            revision: that was read; what was changed since is refused.
        """
        body = {"name": name, "email": email, "roles": None if roles is None else list(roles)}
        etag = None if revision is None else format_etag(revision)
        path = f"{_PATH}/{quote_ref(ref)}"
        return UserOut.model_validate(self._connection.patch(path, body, etag=etag))

    def disable(self, ref: str) -> UserOut:
        """Ends the account's sessions and tokens for good, and lets nobody sign in to it."""
        return UserOut.model_validate(self._connection.post(f"{_PATH}/{quote_ref(ref)}/disable"))

    def enable(self, ref: str) -> UserOut:
        return UserOut.model_validate(self._connection.post(f"{_PATH}/{quote_ref(ref)}/enable"))

    def reset_password(self, ref: str, *, revoke_tokens: bool = False) -> UserWithPasswordOut:
        """Gives the account a one-time password, which is told this once, and ends its sessions."""
        path = f"{_PATH}/{quote_ref(ref)}/reset-password"
        body = {"revoke_tokens": revoke_tokens}
        return UserWithPasswordOut.model_validate(self._connection.post(path, body, has_key=False))

    def delete(self, ref: str) -> None:
        """For good; what the account has made stays."""
        self._connection.delete(f"{_PATH}/{quote_ref(ref)}")
