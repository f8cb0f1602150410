"""The use case of signing in at an identity provider.

An account is found by the provider's address and what it calls the person, and by nothing else: names and e-mail
addresses can be chosen, so an account is never joined to one that is here already.
"""

import base64
import hmac
import re
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import structlog
from pydantic import SecretStr

from raven_scan.access.audit import Target, record
from raven_scan.access.names import LONGEST_EMAIL, LONGEST_USER_NAME, check_email, check_user_name
from raven_scan.access.oidc_errors import (
    account_not_enabled,
    attempt_lost,
    bad_return_path,
    not_configured,
    provider_refused,
    token_refused,
)
from raven_scan.access.oidc_types import OidcAnswer, OidcAttempt, OidcPerson, OidcRedirect, OidcSession
from raven_scan.access.repository import roles, users
from raven_scan.access.sessions import SessionService, Visitor
from raven_scan.access.signing import ServerSigner
from raven_scan.access.types import GRANTABLE_CLAIMS, STRANGER, Actor, SignInMethod, UserView
from raven_scan.access.users import UserChanges, UserService
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Conflict, Invalid, RavenError
from raven_scan.kernel.settings import Settings

if TYPE_CHECKING:  # a quick command does without Authlib
    from raven_scan.access.oidc_provider import OidcProvider

ATTEMPT_LIFETIME_S = 600
"""How long somebody may take to sign in there."""

_PURPOSE = "oidc"
_LONGEST_PATH = 500
_PATH = re.compile(r"/(?![/\\])[^\\\s\x00-\x1f\x7f]*")
_HIGHEST_NUMBER = 20

_log = structlog.get_logger(__name__)


class OidcSignIn:
    """Sends people to the identity provider, and opens sessions for those who come back."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        *,
        accounts: UserService,
        sessions: SessionService,
        signer: ServerSigner,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._accounts = accounts
        self._sessions = sessions
        self._signer = signer
        self._provider: OidcProvider | None = None

    @property
    def provider_name(self) -> str | None:
        """What users are shown; None where no provider is set."""
        return None if self._settings.oidc_issuer is None else self._settings.oidc_name

    def begin(self, redirect_uri: str, return_to: str) -> OidcRedirect:
        """Begins a sign-in.

        Args:
            redirect_uri: where the provider sends the browser back to; it knows it already.
            return_to: a path of this server, where the browser is sent at the end.

        Raises:
            NotFound: no provider is set.
            Invalid: `return_to` is no path of this server.
            Unavailable: the provider does not answer.
        """
        provider = self._get_provider()
        if _PATH.fullmatch(return_to) is None or len(return_to) > _LONGEST_PATH or urlsplit(return_to).netloc:
            raise bad_return_path()
        url, attempt = provider.begin(redirect_uri, return_to)
        kept = base64.urlsafe_b64encode(msgspec.json.encode(asdict(attempt))).decode()
        return OidcRedirect(url, SecretStr(self._signer.sign(_PURPOSE, kept)))

    def finish(
        self, redirect_uri: str, cookie: str | None, answer: OidcAnswer, visitor: Visitor
    ) -> OidcSession:
        """Opens a session for whom the provider vouches; who is new gets an account.

        Args:
            redirect_uri: as when it began.
            cookie: that it began with.
            answer: of the provider.
            visitor: who comes back.

        Raises:
            NotFound: no provider is set.
            Unauthenticated: the answer is of no attempt of this browser, the provider refused, what it says cannot be
                believed, or the account is disabled.
            Unavailable: the provider does not answer.
        """
        provider = self._get_provider()
        attempt = self._read_attempt(cookie)
        if attempt is None or not _is_same(attempt.state, answer.state):
            raise attempt_lost()
        # RFC 9207: another provider's answer to this attempt.
        if answer.issuer is not None and answer.issuer.rstrip("/") != (
            self._settings.oidc_issuer or ""
        ).rstrip("/"):
            raise token_refused(provider.name, "the answer is another provider's")
        if answer.error is not None or answer.code is None:
            raise provider_refused(provider.name, (answer.error or "no code")[:100])
        person = provider.finish(attempt, redirect_uri, answer.code)
        user = self._find_account(person) or self._create_account(person)
        user = self._give_roles(user, person)
        if user.disabled_at is not None:
            self._note_refusal(user, visitor)
            raise account_not_enabled(user.name)
        with self._database.transaction() as session:
            row = users.find_user(session, str(user.id), lock=True)
            if row is None:
                raise attempt_lost()  # deleted in this very moment
            opened = self._sessions.open_session(session, row, SignInMethod.OIDC, visitor)
        return OidcSession(opened, attempt.return_to)

    def _get_provider(self) -> "OidcProvider":
        if self._settings.oidc_issuer is None:
            raise not_configured()
        if self._provider is None:
            from raven_scan.access.oidc_provider import OidcProvider  # noqa: PLC0415

            self._provider = OidcProvider(self._settings, self._clock)
        return self._provider

    def _read_attempt(self, cookie: str | None) -> OidcAttempt | None:
        kept = None if cookie is None else self._signer.find_signed(_PURPOSE, cookie)
        if kept is None:
            return None
        attempt = msgspec.json.decode(base64.urlsafe_b64decode(kept), type=OidcAttempt)
        age_s = self._clock.now().timestamp() - attempt.began_at
        return attempt if age_s <= ATTEMPT_LIFETIME_S else None

    def _find_account(self, person: OidcPerson) -> UserView | None:
        with self._database.transaction() as session:
            row = users.find_user_of_identity(session, person.identity)
            return None if row is None else users.get_view(session, row.id)

    def _create_account(self, person: OidcPerson) -> UserView:
        """An account under a name that nobody has; disabled where neither a group nor the settings give a role."""
        given = self._list_given_roles(person) or self._keep_known([self._settings.oidc_default_role])
        for name in _list_free_names(person):
            try:
                with self._database.transaction():
                    user = self._accounts.create(
                        self._actor,
                        name=name,
                        roles=given,
                        email=_find_email(person),
                        has_password=False,
                        oidc=person.identity,
                    ).user
                    return user if given else self._accounts.disable(self._actor, str(user.id))
            except Conflict as error:
                # In two windows at once, perhaps.
                if (user := self._find_account(person)) is not None:
                    return user
                if error.code != "user.name_taken":
                    raise
        raise AssertionError

    def _give_roles(self, user: UserView, person: OidcPerson) -> UserView:
        """Of the roles that groups give, exactly those that theirs do; what else they have stays."""
        if not self._settings.oidc_roles:
            return user
        governed = set(self._keep_known(self._settings.oidc_roles.values()))
        wanted = (set(user.roles) - governed) | set(self._list_given_roles(person))
        if wanted == set(user.roles):
            return user
        try:
            return self._accounts.edit(self._actor, str(user.id), UserChanges(roles=sorted(wanted)))
        except RavenError as error:
            # Better to let the last administrator in as they were than to have none.
            _log.warning("access.oidc_roles_not_given", user=user.name, code=error.code)
            return user

    def _list_given_roles(self, person: OidcPerson) -> list[str]:
        mapped = self._settings.oidc_roles
        return self._keep_known({mapped[group] for group in person.groups or () if group in mapped})

    def _keep_known(self, names: Iterable[str | None]) -> list[str]:
        """Roles by the names that they have here; a slip of the pen in a setting keeps nobody out."""
        found: list[str] = []
        with self._database.transaction() as session:
            for name in names:
                role = None if name is None else roles.find_role(session, name)
                if role is not None:
                    found.append(role.name)
                elif name is not None:
                    _log.error("access.oidc_role_unknown", role=name)
        return found

    def _note_refusal(self, user: UserView, visitor: Visitor) -> None:
        stranger = replace(STRANGER, via="oidc", address=visitor.address)
        with self._database.transaction() as session:
            target = Target("user", user.id, user.name)
            record(session, stranger, "session.sign_in_failed", target, reason="account disabled")

    @property
    def _actor(self) -> Actor:
        """Who creates accounts and changes their roles: the provider, by what the settings allow it."""
        return Actor(
            UUID("00000000-0000-7000-8000-000000000004"),
            self._settings.oidc_name,
            GRANTABLE_CLAIMS,
            via="oidc",
        )


def _is_same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


def _find_email(person: OidcPerson) -> str | None:
    if person.email is None or len(person.email) > LONGEST_EMAIL:
        return None
    try:
        check_email(person.email)
    except Invalid:
        return None
    return person.email


def _list_free_names(person: OidcPerson) -> list[str]:
    """What the account might be called, the best first; the last is one that nobody has."""
    plain = [name for name in map(_make_user_name, person.names) if name is not None] or ["user"]
    first = plain[0][: LONGEST_USER_NAME - 4]
    numbered = [f"{first}-{number}" for number in range(2, _HIGHEST_NUMBER)]
    return [*plain, *numbered, f"user-{secrets.token_hex(8)}"]


def _make_user_name(text: str) -> str | None:
    """The text as the name of a user can be written; None where nothing of it is left."""
    normal = unicodedata.normalize("NFKC", text)[:LONGEST_USER_NAME]
    name = re.sub(r"[^\w.@+-]+", ".", normal).strip("._@+-")
    try:
        check_user_name(name)
    except Invalid:
        return None
    return name
