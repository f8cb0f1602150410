"""Who a request comes from. Every request pays this: one query, and no slow hash."""

from datetime import datetime, timedelta

from raven_scan.access import errors
from raven_scan.access.repository import sessions, tokens
from raven_scan.access.repository.sessions import KnownSession, KnownToken
from raven_scan.access.secret_text import hash_secret
from raven_scan.access.signing import ServerSigner
from raven_scan.access.types import Actor, Credential, CredentialKind, SignInMethod
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database

SESSION_LIFETIME = timedelta(days=14)
SESSION_IDLE = timedelta(hours=24)
"""A session that nobody has used for so long has ended."""

_NOTED_EVERY = timedelta(minutes=1)
"""How exactly it is kept when something was last used: writing at every request would cost more than all else."""

COOKIE_PURPOSE = "session"


class Authentication:
    """Recognises accounts by what their requests show."""

    def __init__(self, database: Database, clock: Clock, signer: ServerSigner) -> None:
        self._database = database
        self._clock = clock
        self._signer = signer

    def authenticate_token(self, token: str, *, address: str = "") -> Actor:
        """The actor that an API token stands for, with the claims that its user has now and it admits.

        Raises:
            Unauthenticated: it is unknown, has ended, or its account is disabled.
        """
        known = sessions.find_known_token(self._database, hash_secret(token))
        if known is None:
            raise errors.token_wrong()
        now = self._clock.now()
        # Who knows the token may know what became of it.
        if known.disabled_at is not None:
            raise errors.account_disabled()
        if known.revoked_at is not None:
            raise errors.token_ended("revoked")
        if known.expires_at is not None and known.expires_at <= now:
            raise errors.token_ended("expired")
        if known.last_used_at is None or known.last_used_at <= now - _NOTED_EVERY:
            with self._database.transaction() as session:
                tokens.note_use(session, known.id, now, not_since=now - _NOTED_EVERY)
        return _make_token_actor(known, address)

    def authenticate_cookie(self, cookie: str, *, address: str = "") -> Actor:
        """The actor of a session, with the claims that its user has now.

        Raises:
            Unauthenticated: the cookie is not ours, the session has ended, or the account is disabled.
        """
        secret = self._signer.find_signed(COOKIE_PURPOSE, cookie)
        if secret is None:
            raise errors.session_ended()
        known = sessions.find_known_session(self._database, hash_secret(secret))
        now = self._clock.now()
        if known is None or has_ended(known.expires_at, known.last_seen_at, now):
            raise errors.session_ended()
        if known.disabled_at is not None:
            raise errors.account_disabled()
        if known.last_seen_at <= now - _NOTED_EVERY:
            with self._database.transaction() as session:
                sessions.note_sight(session, known.id, now, address, not_since=now - _NOTED_EVERY)
        return make_session_actor(known, address)

    def get_csrf_token(self, actor: Actor) -> str | None:
        """What unsafe requests of the actor's session have to show beside its cookie; None where there is none."""
        credential = actor.credential
        if credential is None or credential.kind is not CredentialKind.SESSION:
            return None
        return self._signer.make_csrf_token(credential.id)

    def is_csrf_token(self, actor: Actor, given: str) -> bool:
        credential = actor.credential
        return credential is not None and self._signer.is_csrf_token(credential.id, given)


def has_ended(expires_at: datetime, last_seen_at: datetime, now: datetime) -> bool:
    return now >= expires_at or now >= last_seen_at + SESSION_IDLE


def make_session_actor(known: KnownSession, address: str) -> Actor:
    must_change = known.must_change_password and known.method == SignInMethod.PASSWORD
    return Actor(
        id=known.user_id,
        name=known.user_name,
        claims=frozenset() if must_change else known.claims,
        via="session",
        address=address,
        credential=Credential(
            CredentialKind.SESSION, known.id, known.expires_at, must_change_password=must_change
        ),
    )


def _make_token_actor(known: KnownToken, address: str) -> Actor:
    return Actor(
        id=known.user_id,
        name=known.user_name,
        claims=known.claims,
        via=f"token {known.name}",
        address=address,
        credential=Credential(CredentialKind.TOKEN, known.id, known.expires_at, is_limited=known.is_limited),
    )
