"""All services of accounts over one database, with a clock whose hands a test turns."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr
from sqlalchemy import text

from raven_scan.access.authentication import Authentication
from raven_scan.access.passwords import PasswordKeeper
from raven_scan.access.roles import RoleService
from raven_scan.access.sessions import SessionService, Visitor
from raven_scan.access.signing import ServerSigner
from raven_scan.access.throttling import SignInThrottling
from raven_scan.access.tokens import TokenService
from raven_scan.access.types import LOCAL_ADMINISTRATOR, Actor, Claim, UserView
from raven_scan.access.users import UserService
from raven_scan.kernel.database import Database

ADMIN = LOCAL_ADMINISTRATOR
PASSWORD = "correct horse battery"
OFFICE = Visitor(address="192.0.2.7", user_agent="a browser")


@dataclass
class Hands:
    """A clock."""

    time: datetime = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def turn(self, by: timedelta) -> None:
        self.time += by


class CountingHasher(Argon2Hasher):
    """Argon2 with little work, which counts what it was asked."""

    def __init__(self, *, time_cost: int = 1) -> None:
        super().__init__(time_cost=time_cost, memory_cost=64, parallelism=1)
        self.checked: list[str] = []

    def verify(self, password: str | bytes, hash: str | bytes) -> bool:  # noqa: A002 - its own name
        self.checked.append(str(hash))
        return super().verify(password, hash)


@dataclass
class Accounts:
    database: Database
    hands: Hands = field(default_factory=Hands)
    hasher: CountingHasher = field(default_factory=CountingHasher)

    def __post_init__(self) -> None:
        passwords = PasswordKeeper(self.hasher)
        throttling = SignInThrottling(self.database, self.hands)
        signer = ServerSigner(self.database)
        self.users = UserService(self.database, self.hands, passwords, throttling)
        self.roles = RoleService(self.database)
        self.roles.ensure_builtins()
        self.tokens = TokenService(self.database, self.hands)
        self.sessions = SessionService(self.database, self.hands, passwords, signer, throttling)
        self.authentication = Authentication(self.database, self.hands, signer)

    def add_user(self, name: str, *roles: str) -> UserView:
        """One who has the password of these tests, and nothing to change."""
        created = self.users.create(ADMIN, name=name, roles=roles or ["Viewer"])
        assert created.one_time_password is not None
        signed_in = self.sessions.sign_in(name, created.one_time_password, Visitor())
        self.sessions.change_password(
            signed_in.actor, current=created.one_time_password, new=SecretStr(PASSWORD)
        )
        self.sessions.sign_out(signed_in.actor)
        return self.users.get_user(ADMIN, name)

    def sign_in(self, name: str, password: str = PASSWORD, visitor: Visitor = OFFICE) -> Actor:
        return self.authentication.authenticate_cookie(self.get_cookie(name, password, visitor))

    def get_cookie(self, name: str, password: str = PASSWORD, visitor: Visitor = OFFICE) -> str:
        return self.sessions.sign_in(name, SecretStr(password), visitor).cookie.get_secret_value()

    def make_token(self, user: str, **options: Any) -> str:
        return self.tokens.create(ADMIN, name="test", user=user, **options).secret.get_secret_value()

    def act_as(self, *claims: Claim, name: str = "somebody") -> Actor:
        """A user with a role of these claims, by a token."""
        return self.authentication.authenticate_token(self.make_token(self.add_with(claims, name).name))

    def add_with(self, claims: Collection[Claim], name: str) -> UserView:
        role = self.roles.create(ADMIN, name=f"role of {name}", claims=claims)
        return self.users.create(ADMIN, name=name, roles=[role.name], has_password=False).user

    def list_actions(self) -> list[tuple[str, str, str]]:
        """Who did what to whom, by the audit trail, the oldest first."""
        with self.database.transaction() as session:
            rows = session.execute(
                text("SELECT actor_name, action, target_name FROM audit_entries ORDER BY number")
            )
            return [(row[0], row[1], row[2]) for row in rows]
