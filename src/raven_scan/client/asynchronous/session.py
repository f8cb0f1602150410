"""Signing in and out, from outside."""

from raven_scan.access.schemas import SessionPage, WhoAmI
from raven_scan.client.answers import quote_ref
from raven_scan.client.asynchronous.connection import AsyncConnection

_PATH = "/api/v1/session"


class AsyncSessionClient:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def sign_in(self, name: str, password: str) -> WhoAmI:
        """Signs this client in; for programs, a token is the better choice."""
        body = {"name": name, "password": password}
        # Sent once: a try that was wrong is not to be counted twice.
        answer = await self._connection.post(_PATH, body, has_key=False)
        signed_in = WhoAmI.model_validate(answer)
        self._connection.use_session(signed_in.csrf_token or "")
        return signed_in

    async def who_am_i(self) -> WhoAmI:
        """Who this client is signed in as, and what that user may do."""
        return WhoAmI.model_validate(await self._connection.get(_PATH))

    async def sign_out(self) -> None:
        """Ends the session, or the token, that this client uses."""
        await self._connection.delete(_PATH)

    async def change_password(self, *, current: str, new: str) -> None:
        """Changes one's own password; other sessions of the account end."""
        body = {"current_password": current, "new_password": new}
        await self._connection.put(f"{_PATH}/password", body)

    async def list_sessions(self, *, user: str | None = None) -> SessionPage:
        """Where one is signed in, or where another is."""
        return SessionPage.model_validate(await self._connection.get(f"{_PATH}s", {"user": user}))

    async def end_sessions(self, *, user: str | None = None) -> int:
        """Signs out everywhere but here; tells how many sessions that were."""
        return int((await self._connection.delete(f"{_PATH}s", {"user": user}))["ended"])

    async def end_session(self, session_id: str) -> None:
        await self._connection.delete(f"{_PATH}s/{quote_ref(session_id)}")
