"""What signing in at an identity provider speaks of."""

from dataclasses import dataclass

from pydantic import SecretStr

from raven_scan.access.types import OidcIdentity, OpenedSession


@dataclass(frozen=True, slots=True)
class OidcAttempt:
    """A sign-in that has begun; the browser keeps it in a signed cookie until it is back.

    Attributes:
        state: that the answer must name, so that it is of this very attempt in this very browser.
        nonce: that the ID token must hold, so that it was made for this attempt.
        code_verifier: that the code is of no use without (PKCE, RFC 7636).
        return_to: where the browser is sent at the end.
        began_at: seconds since 1970.
    """

    state: str
    nonce: str
    code_verifier: str
    return_to: str
    began_at: int


@dataclass(frozen=True, slots=True)
class OidcAnswer:
    """What the browser brings back from the provider."""

    state: str
    code: str | None = None
    error: str | None = None
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class OidcPerson:
    """Whom the provider vouches for.

    Attributes:
        names: what they might be called here, the best first.
        groups: None where the provider does not say; they count as in none.
    """

    identity: OidcIdentity
    names: tuple[str, ...]
    email: str | None
    groups: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class OidcRedirect:
    """Where to send the browser, and the cookie for the way."""

    url: str
    cookie: SecretStr


@dataclass(frozen=True, slots=True)
class OidcSession:
    """A sign-in that went well, and where the browser is sent."""

    opened: OpenedSession
    return_to: str
