# Made from asynchronous/session.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Signing in and out, from outside."""

from raven_scan.access.schemas import SessionPage, WhoAmI
from raven_scan.client.answers import quote_ref
from raven_scan.client.synchronous.connection import Connection

_PATH = "/api/v1/session"


class SessionClient:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def sign_in(self, name: str, password: str) -> WhoAmI:
        """Signs this client in; for programs, a token is the better choice."""
        body = {"name": name, "password": password}
        # Sent once: a try that was wrong is not to be counted twice.
        answer = self._connection.post(_PATH, body, has_key=False)
        signed_in = WhoAmI.model_validate(answer)
        self._connection.use_session(signed_in.csrf_token or "")
        return signed_in

    def who_am_i(self) -> WhoAmI:
        """Who this client is signed in as, and what that user may do."""
        return WhoAmI.model_validate(self._connection.get(_PATH))

    def sign_out(self) -> None:
        """Ends the session, or the token, that this client uses."""
        self._connection.delete(_PATH)

    def change_password(self, *, current: str, new: str) -> None:
        """Changes one's own password; other sessions of the account end."""
        body = {"current_password": current, "new_password": new}
        self._connection.put(f"{_PATH}/password", body)

    def list_sessions(self, *, user: str | None = None) -> SessionPage:
        """Where one is signed in, or where another is."""
        return SessionPage.model_validate(self._connection.get(f"{_PATH}s", {"user": user}))

    def end_sessions(self, *, user: str | None = None) -> int:
        """Signs out everywhere but here; tells how many sessions that were."""
        return int((self._connection.delete(f"{_PATH}s", {"user": user}))["ended"])

    def end_session(self, session_id: str) -> None:
        self._connection.delete(f"{_PATH}s/{quote_ref(session_id)}")
