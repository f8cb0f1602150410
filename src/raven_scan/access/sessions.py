"""The use cases of signing in and out, and of one's own password and sessions."""

from dataclasses import dataclass
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy.orm import Session

from raven_scan.access import errors
from raven_scan.access.audit import Target, record
from raven_scan.access.authentication import (
    COOKIE_PURPOSE,
    SESSION_IDLE,
    SESSION_LIFETIME,
    has_ended,
    make_session_actor,
)
from raven_scan.access.granting import require_account, require_claims, require_whole_account
from raven_scan.access.models import User, UserSession
from raven_scan.access.names import make_name_key
from raven_scan.access.passwords import PasswordKeeper, check_new_password
from raven_scan.access.repository import sessions, tokens, users
from raven_scan.access.secret_text import hash_secret, make_secret
from raven_scan.access.signing import ServerSigner
from raven_scan.access.throttling import SignInThrottling
from raven_scan.access.types import (
    STRANGER,
    Actor,
    Claim,
    CredentialKind,
    OpenedSession,
    SessionView,
    SignInMethod,
)
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Unauthenticated
from raven_scan.kernel.ids import make_id

_LONGEST_USER_AGENT = 200


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where somebody signs in from, as far as the server can see."""

    address: str = ""
    user_agent: str = ""


class SessionService:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        passwords: PasswordKeeper,
        signer: ServerSigner,
        throttling: SignInThrottling,
    ) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._signer = signer
        self._throttling = throttling

    def sign_in(self, name: str, password: SecretStr, visitor: Visitor) -> OpenedSession:
        """Opens a session for who knows the password.

        An unknown name, an account without a password and a wrong password take the same steps, and as long.

        Raises:
            Unauthenticated: the name or the password is wrong, or the account is disabled.
            Throttled: too many tries have failed.
        """
        key = make_name_key(name)
        self._throttling.charge(key, visitor.address)
        with self._database.transaction() as session:
            user = users.find_user_of_name(session, name)
        is_right, better_hash = self._passwords.check(password, None if user is None else user.password_hash)
        if user is None or not is_right:
            raise self._refuse(user, visitor, "wrong password", errors.sign_in_failed())
        with self._database.transaction() as session:
            known = users.find_user(session, str(user.id), lock=True)
            if known is not None and known.disabled_at is None and known.password_hash == user.password_hash:
                if better_hash is not None:
                    known.password_hash = better_hash
                self._throttling.clear(session, key, visitor.address)
                return self.open_session(session, known, SignInMethod.PASSWORD, visitor)
        if known is not None and known.disabled_at is not None:
            raise self._refuse(user, visitor, "account disabled", errors.account_disabled())
        # Right a moment ago, but reset or deleted meanwhile.
        raise self._refuse(user, visitor, "password changed meanwhile", errors.sign_in_failed())

    def open_session(
        self, session: Session, user: User, method: SignInMethod, visitor: Visitor
    ) -> OpenedSession:
        """Opens a session for somebody who has proved who they are; inside the caller's transaction.

        Raises:
            Unauthenticated: the account is disabled.
        """
        if user.disabled_at is not None:
            raise errors.account_disabled()
        now = self._clock.now()
        sessions.delete_ended(session, now, now - SESSION_IDLE)
        secret, session_id = make_secret(), make_id()
        sessions.insert_session(
            session,
            {
                "id": session_id,
                "user_id": user.id,
                "secret_hash": hash_secret(secret.get_secret_value()),
                "method": method,
                "address": visitor.address,
                "user_agent": _clean(visitor.user_agent),
                "created_at": now,
                "last_seen_at": now,
                "expires_at": now + SESSION_LIFETIME,
            },
        )
        user.last_sign_in_at = now
        session.flush()
        known = sessions.find_known_session(self._database, hash_secret(secret.get_secret_value()))
        assert known is not None, "it was just inserted"  # noqa: S101
        actor = make_session_actor(known, visitor.address)
        record(session, actor, "session.signed_in", _target(user), method=str(method))
        cookie = SecretStr(self._signer.sign(COOKIE_PURPOSE, secret.get_secret_value()))
        return OpenedSession(actor, cookie, known.expires_at)

    def sign_out(self, actor: Actor) -> None:
        """Ends the session, or the token, that the actor came with.

        Raises:
            Forbidden: the actor has no account.
        """
        user_id = require_account(actor)
        credential = actor.credential
        if credential is None:
            raise errors.no_account(actor.name)
        with self._database.transaction() as session:
            if credential.kind is CredentialKind.SESSION:
                sessions.end_sessions(session, user_id, only=credential.id)
            else:
                tokens.revoke(session, credential.id, self._clock.now())
            record(session, actor, "session.signed_out", Target("user", user_id, actor.name))

    def change_password(self, actor: Actor, *, current: SecretStr, new: SecretStr) -> None:
        """Changes one's own password; ends the account's other sessions, and leaves its tokens.

        Args:
            actor: has an account.
            current: the password that is to be no more; tries that fail slow down sign-ins.
            new: the next one.

        Raises:
            Invalid: the current one is wrong, or the new one is guessed too easily.
            Conflict: the account has no password.
            Throttled: too many tries have failed.
        """
        user_id = require_whole_account(actor)
        with self._database.transaction() as session:
            user = users.find_user(session, str(user_id))
        if user is None:
            raise errors.session_ended()
        if user.password_hash is None:
            raise errors.no_password(user.name)
        check_new_password(new, user_name=user.name, current=current)
        self._throttling.charge(user.name_key, actor.address)
        is_right, _ = self._passwords.check(current, user.password_hash)
        if not is_right:
            with self._database.transaction() as session:
                record(session, actor, "user.password_change_failed", _target(user))
            raise errors.wrong_password()
        password_hash = self._passwords.hash(new)
        with self._database.transaction() as session:
            known = users.find_user(session, str(user_id), lock=True)
            if known is None or known.password_hash != user.password_hash:
                raise errors.wrong_password()
            known.password_hash = password_hash
            known.must_change_password = False
            known.revision += 1
            session.flush()
            ended = sessions.end_sessions(session, user_id, all_but=_get_session_id(actor))
            self._throttling.clear(session, known.name_key, actor.address)
            record(session, actor, "user.password_changed", _target(known), sessions=ended)

    def list_sessions(self, actor: Actor, user: str | None = None) -> list[SessionView]:
        """Sessions that go on, those seen last first.

        Args:
            actor: sees their own; those of others with `user:view`.
            user: name or id; None for the actor's own.

        Raises:
            NotFound: the user, also for who may not see their sessions.
        """
        actor.require_lasting_password()
        now = self._clock.now()
        with self._database.reading() as session:
            if user is None:
                user_id = require_account(actor)
            else:
                found = users.find_user(session, user)
                if found is None or not (actor.may(Claim.USER_VIEW) or found.id == actor.id):
                    raise errors.user_not_found(user)
                user_id = found.id
            return [
                _make_view(each, is_current=each.id == _get_session_id(actor))
                for each in sessions.list_sessions(session, user_id)
                if not has_ended(each.expires_at, each.last_seen_at, now)
            ]

    def end_session(self, actor: Actor, session_id: UUID) -> None:
        """Signs a client out.

        Args:
            actor: ends their own; those of others with `user:edit` and every claim of the user.
            session_id: of the session.

        Raises:
            NotFound: also for another's without `user:view`.
        """
        actor.require_lasting_password()
        with self._database.transaction() as session:
            user = users.find_user_of_session(session, session_id)
            if user is None or not (user.id == actor.id or actor.may(Claim.USER_VIEW)):
                raise errors.session_not_found(session_id)
            self._require_power(session, actor, user)
            sessions.end_sessions(session, user.id, only=session_id)
            record(session, actor, "session.ended", _target(user))

    def end_other_sessions(self, actor: Actor, user: str | None = None) -> int:
        """Ends all sessions of an account but the one that asks.

        Args:
            actor: ends their own; those of others with `user:edit` and every claim of the user.
            user: name or id; None for the actor's own account.

        Returns:
            How many there were.
        """
        actor.require_lasting_password()
        with self._database.transaction() as session:
            ref = str(require_account(actor)) if user is None else user
            found = users.find_user(session, ref)
            if found is None or not (actor.may(Claim.USER_VIEW) or found.id == actor.id):
                raise errors.user_not_found(ref)
            self._require_power(session, actor, found)
            ended = sessions.end_sessions(session, found.id, all_but=_get_session_id(actor))
            if ended:
                record(session, actor, "session.ended", _target(found), sessions=ended)
            return ended

    def _require_power(self, session: Session, actor: Actor, user: User) -> None:
        if user.id == actor.id:
            require_whole_account(actor)
        else:
            actor.require(Claim.USER_EDIT)
            require_claims(actor, users.get_view(session, user.id).claims)

    def _refuse(
        self, user: User | None, visitor: Visitor, reason: str, refusal: Unauthenticated
    ) -> Unauthenticated:
        """Notes a sign-in that failed, in a transaction of its own, so that it stays."""
        stranger = Actor(STRANGER.id, STRANGER.name, STRANGER.claims, via="password", address=visitor.address)
        # A name that nobody has is not noted: it may be a password in the wrong field.
        target = Target("user", None, "unknown") if user is None else _target(user)
        with self._database.transaction() as session:
            record(session, stranger, "session.sign_in_failed", target, reason=reason)
        return refusal


def _get_session_id(actor: Actor) -> UUID | None:
    credential = actor.credential
    is_session = credential is not None and credential.kind is CredentialKind.SESSION
    return credential.id if credential is not None and is_session else None


def _make_view(row: UserSession, *, is_current: bool) -> SessionView:
    return SessionView(
        id=row.id,
        method=SignInMethod(row.method),
        address=row.address,
        user_agent=row.user_agent,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        expires_at=row.expires_at,
        is_current=is_current,
    )


def _clean(user_agent: str) -> str:
    return "".join(character for character in user_agent if character.isprintable())[:_LONGEST_USER_AGENT]


def _target(user: User) -> Target:
    return Target("user", user.id, user.name)
