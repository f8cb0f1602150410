"""Claims and actors."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import SecretStr

from raven_scan.kernel.errors import Forbidden


class Claim(StrEnum):
    """A permission, `noun:verb`. Compared whole, never as a substring."""

    TRAINING_RUN_CREATE = "training_run:create"
    TRAINING_RUN_SCHEDULE = "training_run:schedule"
    TRAINING_RUN_VIEW = "training_run:view"
    TRAINING_RUN_EDIT = "training_run:edit"
    TRAINING_RUN_CANCEL = "training_run:cancel"
    TRAINING_RUN_DELETE = "training_run:delete"
    TRAINING_RUN_EXECUTE = "training_run:execute"
    TRAINED_MODEL_IMPORT = "trained_model:import"
    TRAINED_MODEL_CREATE = "trained_model:create"
    TRAINED_MODEL_VIEW = "trained_model:view"
    TRAINED_MODEL_EDIT = "trained_model:edit"
    TRAINED_MODEL_DELETE = "trained_model:delete"
    TRAINED_MODEL_EXPORT = "trained_model:export"
    TRAINED_MODEL_REVIEW = "trained_model:review"
    TRAINED_MODEL_PUBLISH = "trained_model:publish"
    TRAINED_MODEL_OVERRIDE = "trained_model:override"
    DETECTION_CREATE = "detection:create"
    POLICY_EDIT = "policy:edit"
    DATASET_IMPORT = "dataset:import"
    DATASET_VIEW = "dataset:view"
    DATASET_DELETE = "dataset:delete"
    DATASET_EXPORT = "dataset:export"
    DATASET_EDIT = "dataset:edit"
    NOTIFICATION_SEND = "notification:send"
    USER_VIEW = "user:view"
    USER_EDIT = "user:edit"
    ROLE_EDIT = "role:edit"
    AUDIT_VIEW = "audit:view"
    SETTINGS_VIEW = "settings:view"
    SETTINGS_EDIT = "settings:edit"
    SYSTEM_VIEW = "system:view"


class CredentialKind(StrEnum):
    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - a kind


@dataclass(frozen=True, slots=True)
class Credential:
    """What an account was recognised by.

    Attributes:
        id: of the session, or of the token.
        expires_at: when it ends by itself; None for never.
        is_limited: a token with claims of its own; it cannot hand out more than it has.
        must_change_password: signed in with a one-time password, which lets nobody do anything but change it.
    """

    kind: CredentialKind
    id: UUID
    expires_at: datetime | None = None
    is_limited: bool = False
    must_change_password: bool = False


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for something, with what they may do.

    Attributes:
        via: how they were recognised, such as `session`, `token nightly` or `data folder`; the audit trail keeps it.
        address: the client's network address; empty inside the caller's own process.
        credential: of an account that signed in; None for those who have none, such as the local administrator.
    """

    id: UUID
    name: str
    claims: frozenset[Claim]
    via: str = ""
    address: str = ""
    credential: Credential | None = None

    def may(self, claim: Claim) -> bool:
        return claim in self.claims

    def require(self, claim: Claim) -> None:
        """Raises Forbidden where the claim is missing."""
        self.require_lasting_password()
        if claim not in self.claims:
            raise Forbidden(
                "access.claim_missing",
                f"{self.name} may not do this: the claim {claim} is missing.",
                hint="Ask an administrator for a role with this claim.",
                parameters={"claim": str(claim)},
            )

    def require_lasting_password(self) -> None:
        """Raises Forbidden for who signed in with a one-time password and has not changed it yet."""
        if self.credential is not None and self.credential.must_change_password:
            raise Forbidden(
                "access.password_change_needed",
                f"{self.name} signed in with a one-time password, which has to be changed first.",
                hint="Choose a password: `raven login` asks for it, or PUT /api/v1/session/password.",
            )


ActorDependency = Callable[..., Actor | Awaitable[Actor]]
"""What tells a router who asks; an asynchronous one costs no turn of another thread."""

WORKER_CLAIMS = frozenset({Claim.TRAINING_RUN_EXECUTE, Claim.TRAINED_MODEL_CREATE})
"""What only a worker does; no user may, whatever their roles."""

GRANTABLE_CLAIMS = frozenset(Claim) - WORKER_CLAIMS
"""What roles and tokens may hold."""

LOCAL_ADMINISTRATOR = Actor(
    id=UUID("00000000-0000-7000-8000-000000000001"),
    name="local administrator",
    claims=GRANTABLE_CLAIMS,
    via="data folder",
)
"""The owner of the data folder."""

WORKER = Actor(
    id=UUID("00000000-0000-7000-8000-000000000002"),
    name="worker",
    claims=frozenset(
        {
            Claim.TRAINING_RUN_EXECUTE,
            Claim.TRAINING_RUN_VIEW,
            Claim.TRAINED_MODEL_CREATE,
            Claim.TRAINED_MODEL_VIEW,
            Claim.DATASET_VIEW,
            Claim.NOTIFICATION_SEND,
        }
    ),
)
"""The actor that a worker's job acts as."""

HOUSEKEEPER = Actor(
    id=UUID("00000000-0000-7000-8000-000000000004"),
    name="housekeeper",
    claims=frozenset(
        {
            Claim.TRAINING_RUN_VIEW,
            Claim.TRAINING_RUN_DELETE,
            Claim.TRAINED_MODEL_VIEW,
            Claim.TRAINED_MODEL_DELETE,
            Claim.DATASET_VIEW,
            Claim.DATASET_DELETE,
        }
    ),
)
"""The actor that empties the trash of what was in it for its time."""

STRANGER = Actor(id=UUID("00000000-0000-7000-8000-000000000003"), name="not signed in", claims=frozenset())
"""Who failed to sign in; the audit trail names them so."""


class SignInMethod(StrEnum):
    PASSWORD = "password"  # noqa: S105 - a method
    OIDC = "oidc"


@dataclass(frozen=True, slots=True)
class OidcIdentity:
    """An account elsewhere: the issuer's address, and what it calls the person, which never changes."""

    issuer: str
    subject: str


@dataclass(frozen=True, slots=True)
class RoleView:
    """`user_count`: of those who have it."""

    id: UUID
    name: str
    description: str
    claims: tuple[Claim, ...]
    is_builtin: bool
    user_count: int
    revision: int


@dataclass(frozen=True, slots=True)
class UserView:
    """An account, with the names of its roles and the claims that they give."""

    id: UUID
    name: str
    email: str | None
    roles: tuple[str, ...]
    claims: frozenset[Claim]
    has_password: bool
    must_change_password: bool
    oidc: OidcIdentity | None
    disabled_at: datetime | None
    created_at: datetime
    created_by: str
    last_sign_in_at: datetime | None
    revision: int


@dataclass(frozen=True, slots=True)
class UserWithPassword:
    """`one_time_password`: to be shown once, and handed over; None where the account has none."""

    user: UserView
    one_time_password: SecretStr | None


@dataclass(frozen=True, slots=True)
class TokenView:
    """`prefix`: how the token begins; `claims`: None for all that its user has."""

    id: UUID
    user: str
    name: str
    prefix: str
    claims: tuple[Claim, ...] | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class MintedToken:
    """`secret`: the token itself, to be shown once; nobody can read it again."""

    token: TokenView
    secret: SecretStr


@dataclass(frozen=True, slots=True)
class SessionView:
    id: UUID
    method: SignInMethod
    address: str
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    is_current: bool


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A sign-in that went well.

    Attributes:
        actor: whom the session's requests come from.
        cookie: the signed secret that they show.
        expires_at: when it ends, however much it is used.
    """

    actor: Actor
    cookie: SecretStr
    expires_at: datetime
