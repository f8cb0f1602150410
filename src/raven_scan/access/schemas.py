"""Users, roles, tokens and sessions over REST."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from raven_scan.access.types import Claim, SignInMethod

_LONGEST_TEXT = 1000
_MOST_ITEMS = 200
_LONGEST_EXPIRY_S = 400_000_000

Text = Annotated[str, Field(max_length=_LONGEST_TEXT)]
Password = Annotated[SecretStr, Field(max_length=_LONGEST_TEXT)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class UserCreate(_In):
    """`roles`: names or ids; none gives Viewer. `has_password`: false for an account that uses tokens alone."""

    name: Text
    roles: Annotated[list[Text], Field(max_length=_MOST_ITEMS)] = []
    email: Text | None = None
    has_password: bool = True


class UserEdit(_In):
    """What is left out stays. An empty `email` removes it; `roles` are all that the user is to have."""

    name: Text | None = None
    email: Text | None = None
    roles: Annotated[list[Text], Field(max_length=_MOST_ITEMS)] | None = None


class PasswordReset(_In):
    """`revoke_tokens`: end the account's tokens too."""

    revoke_tokens: bool = False


class OidcOut(_Out):
    issuer: str
    subject: str


class UserOut(_Out):
    """An account. `claims`: what its roles give; `oidc`: who it is at the identity provider."""

    id: UUID
    name: str
    email: str | None
    roles: list[str]
    claims: list[Claim]
    has_password: bool
    must_change_password: bool
    oidc: OidcOut | None
    disabled_at: datetime | None
    created_at: datetime
    created_by: str
    last_sign_in_at: datetime | None
    revision: int


class UserPage(_Out):
    items: list[UserOut]
    next: str | None


class UserWithPasswordOut(_Out):
    """`one_time_password`: shown this once; it has to be changed at the first sign-in."""

    user: UserOut
    one_time_password: str | None


class RoleCreate(_In):
    name: Text
    claims: Annotated[list[Claim], Field(max_length=_MOST_ITEMS)]
    description: Text = ""


class RoleEdit(_In):
    """What is left out stays; `claims` are all that the role is to have."""

    name: Text | None = None
    claims: Annotated[list[Claim], Field(max_length=_MOST_ITEMS)] | None = None
    description: Text | None = None


class RoleOut(_Out):
    """`user_count`: how many have it."""

    id: UUID
    name: str
    description: str
    claims: list[Claim]
    is_builtin: bool
    user_count: int
    revision: int


class RolePage(_Out):
    items: list[RoleOut]
    next: str | None


class TokenCreate(_In):
    """`user`: name or id, else one's own account. `claims`: left out for all that the user has."""

    name: Text
    user: Text | None = None
    claims: Annotated[list[Claim], Field(max_length=_MOST_ITEMS)] | None = None
    expires_in_s: Annotated[int, Field(ge=1, le=_LONGEST_EXPIRY_S)] | None = None


class TokenOut(_Out):
    """`prefix`: how the token begins; `claims`: null for all that its user has."""

    id: UUID
    user: str
    name: str
    prefix: str
    claims: list[Claim] | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class MintedTokenOut(TokenOut):
    """`token`: the secret itself, shown this once."""

    token: str


class TokenPage(_Out):
    items: list[TokenOut]
    next: str | None


class SignIn(_In):
    name: Text
    password: Password


class PasswordChange(_In):
    current_password: Password
    new_password: Password


class WhoAmI(_Out):
    """Who asks, and what they may do.

    `via`: how they were recognised. `csrf_token`: of a session, to be sent as `X-CSRF-Token` with every request that
    changes something. `must_change_password`: nothing else is allowed before.
    """

    id: UUID
    name: str
    has_account: bool
    via: str
    claims: list[Claim]
    must_change_password: bool
    expires_at: datetime | None
    csrf_token: str | None


class SessionOut(_Out):
    id: UUID
    method: SignInMethod
    address: str
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    is_current: bool


class SessionPage(_Out):
    items: list[SessionOut]
    next: str | None


class EndedSessions(_Out):
    ended: int
