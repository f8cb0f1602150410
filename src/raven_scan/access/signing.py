"""Signatures over what others keep for the server: session cookies, their CSRF tokens, links in mails."""

import hashlib
import secrets
import threading
from uuid import UUID

from itsdangerous import BadSignature, Signer

from raven_scan.access.repository import sessions
from raven_scan.kernel.database import Database

_KEY_BYTES = 32


class ServerSigner:
    """Signs with the database's key, which is made at first need and the same for all servers of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._key: bytes | None = None
        self._lock = threading.Lock()

    def sign(self, purpose: str, value: str) -> str:
        """`value` with its signature; one of another purpose is none."""
        return self._make_signer(purpose).sign(value).decode()

    def find_signed(self, purpose: str, signed: str) -> str | None:
        """The value, None where the signature is not ours."""
        try:
            return self._make_signer(purpose).unsign(signed.encode("utf-8", "replace")).decode()
        except BadSignature:
            return None

    def make_csrf_token(self, session_id: UUID) -> str:
        """What a page of ours can know and a foreign one cannot."""
        return self._make_signer("csrf").get_signature(str(session_id)).decode()

    def is_csrf_token(self, session_id: UUID, given: str) -> bool:
        return secrets.compare_digest(
            self.make_csrf_token(session_id).encode(), given.encode("utf-8", "replace")
        )

    def _make_signer(self, purpose: str) -> Signer:
        with self._lock:
            if self._key is None:
                with self._database.transaction() as session:
                    self._key = sessions.ensure_signing_key(session, secrets.token_bytes(_KEY_BYTES))
        return Signer(
            self._key, salt=f"raven-scan.{purpose}", key_derivation="hmac", digest_method=hashlib.sha256
        )
