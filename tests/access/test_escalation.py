"""Somebody who may edit users and roles, but not publish models, tries everything; nothing of it makes them publish.

Hypothesis draws what the adversary does, with whatever came into their hands so far: tokens, one-time passwords,
sessions. All the while an administrator works beside them. However that goes, nothing that the adversary holds ever
has a claim that the adversary did not have, and an active administrator is left.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import text
from tests.access.accounts import ADMIN, PASSWORD, Accounts

from raven_scan.access.sessions import Visitor
from raven_scan.access.types import Actor, Claim
from raven_scan.access.users import UserChanges
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.paging import PageRequest

OWN = frozenset({Claim.USER_VIEW, Claim.USER_EDIT, Claim.ROLE_EDIT, Claim.DATASET_VIEW, Claim.AUDIT_VIEW})
ALL = PageRequest(limit=500)
_ROLES = ("Admin", "Viewer", "Reviewer", "editing", "looking", "made")
_USERS = ("root", "eve", "helper", "other")
_CLAIMS = (*sorted(OWN), Claim.TRAINED_MODEL_PUBLISH, Claim.SETTINGS_EDIT)

users, roles, claims = st.sampled_from(_USERS), st.sampled_from(_ROLES), st.sampled_from(_CLAIMS)
some_roles, some_claims = st.lists(roles, max_size=2), st.lists(claims, min_size=1, max_size=2)
Step = tuple[Any, ...]
steps = st.one_of(
    st.tuples(st.just("create"), users, some_roles),
    st.tuples(st.just("edit"), users, some_roles),
    st.tuples(st.just("rename"), users, users),
    st.tuples(st.just("disable"), users),
    st.tuples(st.just("enable"), users),
    st.tuples(st.just("reset"), users),
    st.tuples(st.just("delete"), users),
    st.tuples(st.just("token"), users | st.none(), some_claims | st.none()),
    st.tuples(st.just("make role"), roles, some_claims),
    st.tuples(st.just("edit role"), roles, some_claims),
    st.tuples(st.just("delete role"), roles),
)


class Adversary:
    """With everything that came into their hands."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._tokens: list[str] = []
        self._cookies: list[str] = []
        self._numbers = count()

    def get_hold_of(self, token: str) -> None:
        self._tokens.append(token)

    def list_actors(self) -> list[Actor]:
        """All that the adversary can be at this moment."""
        found: list[Actor] = []
        recognise = self._accounts.authentication
        for token in self._tokens:
            with suppress(RavenError):
                found.append(recognise.authenticate_token(token))
        for cookie in self._cookies:
            with suppress(RavenError):
                found.append(recognise.authenticate_cookie(cookie))
        return found

    def take(self, actor: Actor, step: Step) -> None:
        """One step as the actor; what it yields is the adversary's."""
        accounts, (verb, *given_) = self._accounts, step
        match verb:
            case "create":
                name, its_roles = given_
                created = accounts.users.create(actor, name=name, roles=its_roles)
                self._use(name, created.one_time_password)
            case "reset":
                changed = accounts.users.reset_password(actor, given_[0])
                self._use(given_[0], changed.one_time_password)
            case "token":
                user, its_claims = given_
                minted = accounts.tokens.create(
                    actor, name="t", user=user, claims=its_claims, expires_in=timedelta(days=1)
                )
                self._tokens.append(minted.secret.get_secret_value())
            case _:
                administer(accounts, actor, step)

    def _use(self, name: str, password: SecretStr | None) -> None:
        assert password is not None
        opened = self._accounts.sessions.sign_in(name, password, Visitor())
        chosen = SecretStr(f"{PASSWORD} {next(self._numbers)}")
        self._accounts.sessions.change_password(opened.actor, current=password, new=chosen)
        self._cookies.append(opened.cookie.get_secret_value())


def administer(accounts: Accounts, actor: Actor, step: Step) -> None:
    """A step whose yield, if it has one, stays with who takes it."""
    verb, *given_ = step
    services = accounts.users, accounts.roles
    calls: dict[str, Callable[..., object]] = {
        "create": lambda name, its_roles: services[0].create(actor, name=name, roles=its_roles),
        "edit": lambda name, its_roles: services[0].edit(actor, name, UserChanges(roles=its_roles)),
        "rename": lambda name, other: services[0].edit(actor, name, UserChanges(name=other)),
        "disable": lambda name: services[0].disable(actor, name),
        "enable": lambda name: services[0].enable(actor, name),
        "reset": lambda name: services[0].reset_password(actor, name),
        "delete": lambda name: services[0].delete(actor, name),
        "token": lambda name, its_claims: accounts.tokens.create(
            actor, name="t", user=name, claims=its_claims
        ),
        "make role": lambda name, its_claims: services[1].create(actor, name=name, claims=its_claims),
        "edit role": lambda name, its_claims: services[1].edit(actor, name, claims=its_claims),
        "delete role": lambda name: services[1].delete(actor, name, even_if_in_use=True),
    }
    calls[verb](*given_)


def begin(accounts: Accounts) -> Adversary:
    with accounts.database.transaction() as session:
        session.execute(text("DELETE FROM users"))
        session.execute(text("DELETE FROM roles WHERE NOT is_builtin"))
    accounts.roles.create(ADMIN, name="editing", claims=OWN)
    accounts.roles.create(ADMIN, name="looking", claims=[Claim.DATASET_VIEW])
    accounts.users.create(ADMIN, name="root", roles=["Admin"])
    accounts.users.create(ADMIN, name="eve", roles=["editing"])
    adversary = Adversary(accounts)
    adversary.get_hold_of(accounts.make_token("eve"))
    adversary.get_hold_of(accounts.make_token("eve", claims=[Claim.USER_VIEW, Claim.USER_EDIT]))
    return adversary


_WHO = st.tuples(st.sampled_from(["adversary", "adversary", "adversary", "administrator"]), st.integers(0, 9))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(taken=st.lists(st.tuples(_WHO, steps), min_size=4, max_size=20))
def test_nobody_comes_by_claims_that_they_were_not_given(
    database: Database, taken: list[tuple[tuple[str, int], Step]]
):
    accounts = Accounts(database)
    adversary = begin(accounts)
    for (who, number), step in taken:
        actors = adversary.list_actors()
        with suppress(RavenError):
            if who == "administrator":
                # They give none of the adversary's accounts more: that would be theirs to do.
                if step[0] not in {"edit", "edit role"}:
                    administer(accounts, ADMIN, step)
            elif actors:
                adversary.take(actors[number % len(actors)], step)
        for actor in adversary.list_actors():
            assert actor.claims <= OWN, (step, actor)
        listed = accounts.users.list_users(ADMIN, ALL, role="Admin", is_disabled=False).items
        assert listed, step
