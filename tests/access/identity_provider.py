"""A real identity provider, Canaille, as a process of its own; its data is in a folder.

Usage: identity_provider.py REDIRECT_URI CLIENT_SECRET FOLDER; it tells its port.
"""

import secrets
import sys
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from canaille import create_app
from canaille.app import models as known_models
from canaille.backends import Backend
from canaille.oidc import provider
from joserfc.jwk import RSAKey

CLIENT_ID = "raven"
PASSWORDS = {"mara": "correct horse", "tom": "battery staple", "admin": "red herring", "vera": "no thanks"}
GROUPS = {"staff": ["mara"], "bosses": ["mara"]}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _make_access_token(**_: object) -> str:
    return secrets.token_urlsafe(32)


def main(redirect_uri: str, client_secret: str, folder: str) -> None:
    server = make_server("127.0.0.1", 0, None, server_class=_Server, handler_class=_Quiet)  # pyright: ignore[reportArgumentType] - set below
    port = server.server_port
    # Its own are JWTs without anything random: two of one person and second are alike, and it cannot store the second.
    provider.generate_access_token = _make_access_token
    app = create_app(
        config={
            "SECRET_KEY": "only of this process",
            "SERVER_NAME": f"127.0.0.1:{port}",
            "PREFERRED_URL_SCHEME": "http",
            "CANAILLE": {"DATABASE": "sql", "HTMX": False, "JAVASCRIPT": False},
            # Not its own memory, which takes any code of a client for the one that is asked for.
            "CANAILLE_SQL": {
                "DATABASE_URI": f"sqlite:///{folder}/provider.sqlite",
                "AUTO_MIGRATE": True,
                "PASSWORD_HASH_PARAMS": {"pbkdf2_sha512__rounds": 1000},
            },
            "CANAILLE_OIDC": {
                "ACTIVE_JWKS": [RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)],
                "USERINFO_MAPPING": {"PREFERRED_USERNAME": "{{ user.user_name }}"},
            },
        }
    )
    with app.app_context():
        models: Any = known_models
        save = Backend.instance.save
        people = {}
        for name, password in PASSWORDS.items():
            person = models.User(
                formatted_name=name.title(),
                family_name=name.title(),
                user_name=name,
                emails=[f"{name}@example.org"],
                password=password,
            )
            save(person)
            people[name] = person
        for name, members in GROUPS.items():
            save(models.Group(display_name=name, members=[people[member] for member in members]))
        client = models.Client(
            client_id=CLIENT_ID,
            client_secret=client_secret,
            client_name="Raven Scan",
            client_uri="https://raven.example.org",
            redirect_uris=[redirect_uri],
            scope=["openid", "profile", "email", "groups"],
            grant_types=["authorization_code"],
            response_types=["code"],
            token_endpoint_auth_method="client_secret_basic",
        )
        save(client)
        client.audience = [client]
        save(client)
    server.set_app(app)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
