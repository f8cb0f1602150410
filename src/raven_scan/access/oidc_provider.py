"""The identity provider: where it asks people who they are, and what it says of them (OpenID Connect Core 1.0).

Imported only where one is set and somebody signs in: Authlib takes as long as the rest of a quick command.
"""

import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from raven_scan.access.oidc_errors import provider_refused, provider_unavailable, token_refused
from raven_scan.access.oidc_types import OidcAttempt, OidcPerson
from raven_scan.access.types import OidcIdentity
from raven_scan.kernel.addresses import is_loopback
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.settings import Settings

_TIMEOUT_S = 10.0
_KEPT_FOR_S = 3600.0
_LEEWAY_S = 60
_LONGEST_SUBJECT = 255

_SIGNATURES = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
"""Those of a key that the provider alone has. The client's secret is known to two, and `none` is no signature."""

_NAMES = ("preferred_username", "nickname", "email", "name", "sub")


class OidcProvider:
    """Talks to the provider that the settings name.

    What it says of itself, and its keys, are kept for an hour; an unknown key is asked for at once.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        assert settings.oidc_issuer is not None  # noqa: S101 - only made where it is set
        self._settings = settings
        self._issuer = settings.oidc_issuer
        self._clock = clock
        self._lock = threading.Lock()
        self._metadata: dict[str, Any] = {}
        self._keys: Any = None
        self._read_at = -_KEPT_FOR_S

    @property
    def name(self) -> str:
        return self._settings.oidc_name

    def begin(self, redirect_uri: str, return_to: str) -> tuple[str, OidcAttempt]:
        """The address to send the browser to, and the attempt that its answer must be of.

        Raises:
            Unavailable: the provider does not answer, or not as one does.
        """
        metadata = self._get_metadata()
        nonce, verifier = generate_token(43), generate_token(64)
        with self._open_client(metadata, redirect_uri) as client:
            url, state = client.create_authorization_url(
                metadata["authorization_endpoint"], nonce=nonce, code_verifier=verifier
            )
        now = int(self._clock.now().timestamp())
        return url, OidcAttempt(state, nonce, verifier, return_to, now)

    def finish(self, attempt: OidcAttempt, redirect_uri: str, code: str) -> OidcPerson:
        """Whom the code stands for.

        Raises:
            Unauthenticated: the provider does not take the code, or its ID token is not signed by it, not for us, not
                of this attempt, or over.
            Unavailable: the provider does not answer, or not as one does.
        """
        metadata = self._get_metadata()
        with self._open_client(metadata, redirect_uri) as client:
            try:
                token = client.fetch_token(
                    metadata["token_endpoint"], code=code, code_verifier=attempt.code_verifier
                )
            except OAuthError as error:
                raise provider_refused(self.name, str(error.error)) from error
            claims = self._read_id_token(metadata, token, attempt.nonce)
            if self._needs_more(claims) and "userinfo_endpoint" in metadata:
                claims = {**self._ask_more(client, metadata["userinfo_endpoint"], claims), **claims}
        return self._describe(claims)

    def _read_id_token(
        self, metadata: dict[str, Any], token: Mapping[str, Any], nonce: str
    ) -> dict[str, Any]:
        if not isinstance(token.get("id_token"), str):
            raise token_refused(self.name, "there is no ID token")
        offered = metadata.get("id_token_signing_alg_values_supported", ["RS256"])
        # Authlib's and joserfc's types say too little for ours.
        registry = JWSRegistry(
            algorithms=sorted(_SIGNATURES.intersection(offered)), strict_check_header=False
        )
        try:
            try:
                decoded: Any = jwt.decode(token["id_token"], key=self._get_keys(), registry=registry)
            except InvalidKeyIdError:
                decoded = jwt.decode(token["id_token"], key=self._get_keys(is_fresh=True), registry=registry)
            claims: Any = CodeIDToken(
                decoded.claims,
                decoded.header,
                {
                    "iss": {"essential": True, "value": metadata["issuer"]},
                    "aud": {"essential": True, "value": self._settings.oidc_client_id or ""},
                    "sub": {"essential": True},
                    "exp": {"essential": True},
                },
                {
                    "nonce": nonce,
                    "client_id": self._settings.oidc_client_id,
                    "access_token": token.get("access_token"),
                },
            )
            claims.validate(now=int(self._clock.now().timestamp()), leeway=_LEEWAY_S)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            reason = getattr(error, "description", "") or getattr(error, "error", "") or type(error).__name__
            raise token_refused(self.name, str(reason).rstrip(".")) from error
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or "\0" in subject:
            raise token_refused(self.name, "it names nobody")
        return dict(claims)

    def _needs_more(self, claims: dict[str, Any]) -> bool:
        """Many providers say little in the ID token, and the rest where it is asked for."""
        wants_groups = bool(self._settings.oidc_roles) and self._find_groups(claims) is None
        return wants_groups or not any(name in claims for name in _NAMES[:-1])

    def _ask_more(self, client: Any, address: str, claims: dict[str, Any]) -> dict[str, Any]:
        with self._translate_failures():
            answer = client.get(address)
            answer.raise_for_status()
            told = answer.json()
        # Section 5.3.2: else somebody else's may have been put in its place.
        if not isinstance(told, dict) or cast("dict[str, Any]", told).get("sub") != claims["sub"]:
            raise token_refused(self.name, "it speaks of somebody else")
        return cast("dict[str, Any]", told)

    def _describe(self, claims: dict[str, Any]) -> OidcPerson:
        names = [claims.get(name) for name in _NAMES]
        email = claims.get("email")
        is_vouched_for = isinstance(email, str) and claims.get("email_verified") is not False
        return OidcPerson(
            OidcIdentity(self._issuer, claims["sub"]),
            tuple(name for name in names if isinstance(name, str) and name),
            email if is_vouched_for else None,
            self._find_groups(claims),
        )

    def _find_groups(self, claims: dict[str, Any]) -> frozenset[str] | None:
        """Also one claim inside another, as `realm_access.roles`."""
        name = self._settings.oidc_groups_claim
        found: Any = claims.get(name)
        if found is None:
            found = claims
            for part in name.split("."):
                found = cast("dict[str, Any]", found).get(part) if isinstance(found, dict) else None
        if isinstance(found, str):
            return frozenset({found})
        if not isinstance(found, list):
            return None
        return frozenset(each for each in cast("list[Any]", found) if isinstance(each, str))

    def _get_metadata(self) -> dict[str, Any]:
        with self._lock:
            if time.monotonic() - self._read_at < _KEPT_FOR_S:
                return self._metadata
            metadata = self._fetch(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            if str(metadata.get("issuer")).rstrip("/") != self._issuer.rstrip("/"):
                raise provider_unavailable(self.name, "it goes by another name than RAVEN_OIDC_ISSUER")
            for endpoint in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                parts = urlsplit(str(metadata.get(endpoint, "")))
                if parts.scheme != "https" and not (
                    parts.scheme == "http" and is_loopback(parts.hostname or "")
                ):
                    raise provider_unavailable(self.name, f"its {endpoint} is no address with https")
            self._metadata, self._keys, self._read_at = metadata, None, time.monotonic()
            return metadata

    def _get_keys(self, *, is_fresh: bool = False) -> Any:
        metadata = self._get_metadata()
        with self._lock:
            if self._keys is None or is_fresh:
                found = self._fetch(metadata["jwks_uri"])
                try:
                    self._keys = KeySet.import_key_set(cast("Any", found))
                except (JoseError, ValueError, TypeError, KeyError) as error:
                    raise provider_unavailable(self.name, "its keys cannot be read") from error
            return self._keys

    def _fetch(self, address: str) -> dict[str, Any]:
        with self._translate_failures(), httpx2.Client(timeout=_TIMEOUT_S) as http:
            answer = http.get(address, headers={"Accept": "application/json"})
            answer.raise_for_status()
            found = answer.json()
        if not isinstance(found, dict):
            raise provider_unavailable(self.name, "it does not answer as an identity provider does")
        return cast("dict[str, Any]", found)

    @contextmanager
    def _open_client(self, metadata: dict[str, Any], redirect_uri: str) -> Generator[Any]:
        secret = self._settings.oidc_client_secret
        ways = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if secret is None:
            way = "none"
        else:
            way = "client_secret_basic" if "client_secret_basic" in ways else "client_secret_post"
        client: Any = OAuth2Client(
            client_id=self._settings.oidc_client_id,
            client_secret=None if secret is None else secret.get_secret_value(),
            token_endpoint_auth_method=way,
            scope=self._settings.oidc_scopes,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=_TIMEOUT_S,
        )
        with self._translate_failures(), client:
            yield client

    @contextmanager
    def _translate_failures(self) -> Generator[None]:
        try:
            yield
        except httpx2.TimeoutException as error:
            raise provider_unavailable(self.name, f"it did not answer within {_TIMEOUT_S:.0f} s") from error
        except httpx2.HTTPStatusError as error:
            raise provider_unavailable(self.name, f"it answered {error.response.status_code}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise provider_unavailable(self.name, "it does not answer") from error
        except ValueError as error:
            # What is no JSON.
            raise provider_unavailable(
                self.name, "it does not answer as an identity provider does"
            ) from error
