"""What an identity provider must not get away with, nor somebody who stands between: tokens that are not what they say.

A real provider does not lie, so this one is made for it; everything else is tested with a real one.
"""

import json
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from pydantic import SecretStr

from raven_scan.access.oidc_types import OidcAnswer, OidcSession
from raven_scan.access.sessions import Visitor
from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform, build_services
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Unauthenticated, Unavailable
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.settings import Settings

CALLBACK = "http://raven.test/api/v1/session/oidc/callback"
SECRET = "the client's secret, which is long enough"
KEY = RSAKey.generate_key(2048, {"kid": "one"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "one"})
NEXT_KEY = RSAKey.generate_key(2048, {"kid": "two"})


@dataclass
class Liar:
    """An identity provider that says what a test wants it to."""

    claims: dict[str, Any] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    key: Any = field(default_factory=lambda: KEY)
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "RS256", "kid": "one"})
    jwks: list[Any] = field(default_factory=lambda: [KEY])
    metadata: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] | None = None
    change: Callable[[str], str] = str
    status: int = 200
    nonce: str = ""
    issuer: str = ""
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> Any:
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            found = {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
                **({} if self.userinfo is None else {"userinfo_endpoint": f"{self.issuer}/userinfo"}),
            }
            return {**found, **self.metadata}
        if path == "/jwks":
            return {"keys": [key.as_dict(private=False) for key in self.jwks]}
        if path == "/userinfo":
            return self.userinfo
        return {"access_token": "at", "token_type": "Bearer", "id_token": self.change(self._make_token())}

    def _make_token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "mara",
            "aud": "raven",
            "exp": now + 300,
            "iat": now,
            "nonce": self.nonce,
            "preferred_username": "mara",
            **self.claims,
        }
        for name in self.removed:
            del claims[name]
        return jwt.encode(self.header, claims, self.key, algorithms=[self.header["alg"]])


@pytest.fixture
def liar() -> Generator[Liar]:
    liar = Liar()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self._answer()

        def _answer(self) -> None:
            content = json.dumps(liar.answer(self.path)).encode()
            self.send_response(liar.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    liar.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield liar
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def platform(database: Database, settings: Settings, liar: Liar) -> Platform:
    given = {
        "oidc_issuer": liar.issuer,
        "oidc_client_id": "raven",
        "oidc_client_secret": SecretStr(SECRET),
        "oidc_default_role": "Viewer",
        "oidc_roles": {"staff": "Trainer"},
        "oidc_groups_claim": "realm.groups",
    }
    return build_services(settings.model_copy(update=given), database, None)


def sign_in(platform: Platform, liar: Liar) -> OidcSession:
    redirect = platform.oidc.begin(CALLBACK, "/models")
    sent = parse_qs(urlsplit(redirect.url).query)
    liar.nonce = sent["nonce"][0]
    answer = OidcAnswer(state=sent["state"][0], code="a code")
    return platform.oidc.finish(CALLBACK, redirect.cookie.get_secret_value(), answer, Visitor())


_NOW = int(time.time())
LIES: dict[str, dict[str, Any]] = {
    "forged with another key of that name": {"key": OTHER_KEY},
    "signed with a key that is not the provider's": {
        "key": NEXT_KEY,
        "header": {"alg": "RS256", "kid": "two"},
    },
    "signed with the client's secret": {
        "key": OctKey.import_key(SECRET),
        "header": {"alg": "HS256", "kid": "one"},
    },
    "a changed body": {"change": lambda token: ".".join([token.split(".")[0], "e30", token.split(".")[2]])},
    "no signature": {"change": lambda token: "eyJhbGciOiJub25lIn0." + token.split(".")[1] + "."},
    "no token": {"change": lambda _: "nonsense"},
    "expired": {"claims": {"exp": _NOW - 3600, "iat": _NOW - 7200}},
    "not valid yet": {"claims": {"nbf": _NOW + 3600}},
    "made in the future": {"claims": {"iat": _NOW + 3600}},
    "of another issuer": {"claims": {"iss": "https://evil.example"}},
    "for another client": {"claims": {"aud": "somebody else"}},
    "for two clients, handed to the other": {"claims": {"aud": ["raven", "other"], "azp": "other"}},
    "of another attempt": {"claims": {"nonce": "another"}},
    "of an access token that is another": {"claims": {"at_hash": "x" * 22}},
    "without a nonce": {"removed": {"nonce"}},
    "without an end": {"removed": {"exp"}},
    "without an audience": {"removed": {"aud"}},
    "without an issuer": {"removed": {"iss"}},
    "without a subject": {"removed": {"sub"}},
    "of nobody": {"claims": {"sub": ""}},
    "of a number": {"claims": {"sub": 7}},
    "of too long a name": {"claims": {"sub": "x" * 256}},
}


def test_no_lie_is_believed(platform: Platform, liar: Liar):
    honest = dict(vars(liar))
    for what, lie in LIES.items():
        vars(liar).update({**honest, "asked": liar.asked, **lie})
        with pytest.raises(Unauthenticated) as refusal:
            sign_in(platform, liar)
        assert refusal.value.code == "access.oidc_token_wrong", what
        assert SECRET not in str(refusal.value.describe())
    vars(liar).update({**honest, "asked": liar.asked})
    done = sign_in(platform, liar)
    assert (done.opened.actor.name, done.return_to) == ("mara", "/models")
    page = platform.users.list_users(LOCAL_ADMINISTRATOR, PageRequest())
    assert [user.name for user in page.items] == ["mara"]


def test_a_provider_may_change_its_key(platform: Platform, liar: Liar):
    sign_in(platform, liar)
    liar.key, liar.header, liar.jwks = NEXT_KEY, {"alg": "RS256", "kid": "two"}, [KEY, NEXT_KEY]
    sign_in(platform, liar)
    assert liar.asked.count("/jwks") == 2
    assert liar.asked.count("/.well-known/openid-configuration") == 1


def test_groups_may_be_told_where_they_are_asked_for(platform: Platform, liar: Liar):
    liar.userinfo = {"sub": "mara", "realm": {"groups": ["staff", 7]}, "preferred_username": "other"}
    user = platform.users.get_user(LOCAL_ADMINISTRATOR, sign_in(platform, liar).opened.actor.name)
    assert (user.name, user.roles) == ("mara", ("Trainer",))
    # Who is in no group any more, and of whom nothing is told, loses what the group gave.
    liar.userinfo = {"sub": "mara"}
    sign_in(platform, liar)
    assert platform.users.get_user(LOCAL_ADMINISTRATOR, "mara").roles == ()


def test_what_is_told_of_somebody_else_is_not_believed(platform: Platform, liar: Liar):
    liar.userinfo = {"sub": "tom", "realm": {"groups": ["staff"]}}
    with pytest.raises(Unauthenticated) as refusal:
        sign_in(platform, liar)
    assert refusal.value.code == "access.oidc_token_wrong"


@pytest.mark.parametrize(
    "wrong",
    [
        {"metadata": {"issuer": "https://evil.example"}},
        {"metadata": {"token_endpoint": "http://evil.example/token"}},
        {"metadata": {"jwks_uri": "file:///etc/passwd"}},
        {"metadata": {"authorization_endpoint": "javascript:alert(1)"}},
        {"status": 500},
        {"status": 404},
    ],
    ids=str,
)
def test_a_provider_that_is_not_what_it_should_be(platform: Platform, liar: Liar, wrong: dict[str, Any]):
    vars(liar).update(wrong)
    with pytest.raises(Unavailable) as refusal:
        sign_in(platform, liar)
    assert refusal.value.code == "access.oidc_unavailable"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"preferred_username": "Mara Ång!"}, "Mara.Ång"),
        ({"preferred_username": "worker", "email": "w@example.org"}, "w@example.org"),
        ({"preferred_username": "../../etc"}, "etc"),
        ({"preferred_username": ["a"], "sub": "0195b7c2-5f3e-7a10-8d1e-3c5d7e9f1a2b"}, "user"),
        ({"preferred_username": "\u202e\u202e", "sub": "!!"}, "user"),
    ],
)
def test_names_become_what_a_name_can_be(platform: Platform, liar: Liar, told: dict[str, Any], expected: str):
    liar.claims = told
    assert sign_in(platform, liar).opened.actor.name == expected
    liar.claims = {**told, "sub": "another person"}
    assert sign_in(platform, liar).opened.actor.name != expected
