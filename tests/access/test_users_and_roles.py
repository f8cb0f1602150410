"""Users and roles: names, revisions, the last administrator, and that nobody comes by claims through others."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from tests.access.accounts import ADMIN, OFFICE, Accounts

from raven_scan.access.builtin_roles import BUILTIN_ROLES
from raven_scan.access.types import GRANTABLE_CLAIMS, WORKER_CLAIMS, Claim
from raven_scan.access.users import UserChanges
from raven_scan.kernel.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RavenError,
    Stale,
    Unauthenticated,
)
from raven_scan.kernel.paging import PageRequest

ALL = PageRequest(limit=500)


def test_a_user_without_a_role_is_a_viewer(accounts: Accounts):
    created = accounts.users.create(ADMIN, name="alice", email="alice@example.org")
    assert created.user.roles == ("Viewer",)
    assert created.user.claims == {
        Claim.TRAINING_RUN_VIEW,
        Claim.TRAINED_MODEL_VIEW,
        Claim.DATASET_VIEW,
        Claim.SYSTEM_VIEW,
        Claim.DETECTION_CREATE,
    }
    assert (created.user.created_by, created.user.must_change_password) == ("local administrator", True)
    assert accounts.users.get_user(ADMIN, str(created.user.id)) == created.user


@pytest.mark.parametrize("name", ["ALICE", "alice", "Alice"])
def test_case_does_not_tell_users_apart(accounts: Accounts, name: str):
    accounts.users.create(ADMIN, name="Alice")
    with pytest.raises(Conflict, match="named"):
        accounts.users.create(ADMIN, name=name)
    assert accounts.users.get_user(ADMIN, name).name == "Alice"


@pytest.mark.parametrize(
    "name",
    [
        "",
        " a",
        "a b",
        "a/b",
        "a\0",
        "-a",
        "a.",
        "x" * 65,
        "ﬁnn",
        "worker",
        "01a201c0-5ddb-7788-a48d-b78f957c7249",
    ],
)
def test_what_users_cannot_be_called(accounts: Accounts, name: str):
    with pytest.raises(Invalid) as caught:
        accounts.users.create(ADMIN, name=name)
    assert caught.value.code == "user.bad_name"


@pytest.mark.parametrize("name", ["a", "jürgen", "alice@example.org", "first.last+test", "李雷", "x" * 64])
def test_what_users_can_be_called(accounts: Accounts, name: str):
    assert accounts.users.create(ADMIN, name=name).user.name == name


def test_an_edit_of_what_somebody_else_has_edited_is_refused(accounts: Accounts):
    user = accounts.users.create(ADMIN, name="alice").user
    changed = accounts.users.edit(
        ADMIN, "alice", UserChanges(email="a@example.org"), expected_revision=user.revision
    )
    assert changed.revision == user.revision + 1
    for stale in (
        lambda: accounts.users.edit(ADMIN, "alice", UserChanges(name="b"), expected_revision=user.revision),
        lambda: accounts.users.delete(ADMIN, "alice", expected_revision=user.revision),
    ):
        with pytest.raises(Stale):
            stale()
    # What changes nothing is no change.
    same = accounts.users.edit(ADMIN, "alice", UserChanges(name="alice", email="a@example.org"))
    assert same == changed
    assert accounts.users.edit(ADMIN, "alice", UserChanges(email="")).email is None
    with pytest.raises(Invalid, match="e-mail"):
        accounts.users.edit(ADMIN, "alice", UserChanges(email="nowhere"))
    assert accounts.users.edit(ADMIN, "alice", UserChanges(name="Alicia")).name == "Alicia"
    with pytest.raises(NotFound):
        accounts.users.get_user(ADMIN, "alice")
    with pytest.raises(NotFound, match="role"):
        accounts.users.edit(ADMIN, "Alicia", UserChanges(roles=["nothing"]))


def test_roles_count_at_once(accounts: Accounts):
    accounts.add_user("alice", "Viewer")
    cookie, token = accounts.get_cookie("alice"), accounts.make_token("alice")

    def may_publish() -> set[bool]:
        return {
            accounts.authentication.authenticate_cookie(cookie).may(Claim.TRAINED_MODEL_PUBLISH),
            accounts.authentication.authenticate_token(token).may(Claim.TRAINED_MODEL_PUBLISH),
        }

    assert may_publish() == {False}
    accounts.users.edit(ADMIN, "alice", UserChanges(roles=["viewer", "REVIEWER", "Reviewer"]))
    assert may_publish() == {True}
    accounts.users.edit(ADMIN, "alice", UserChanges(roles=[]))
    assert accounts.authentication.authenticate_token(token).claims == frozenset()
    accounts.roles.create(ADMIN, name="own", claims=[Claim.AUDIT_VIEW])
    accounts.users.edit(ADMIN, "alice", UserChanges(roles=["own"]))
    assert not may_publish() & {True}
    accounts.roles.edit(ADMIN, "own", claims=[Claim.TRAINED_MODEL_PUBLISH])
    assert may_publish() == {True}
    accounts.roles.delete(ADMIN, "own", even_if_in_use=True)
    assert may_publish() == {False}


def test_a_disabled_account_is_out_at_once_and_what_it_had_stays_ended(accounts: Accounts):
    accounts.add_user("alice")
    cookie, token = accounts.get_cookie("alice"), accounts.make_token("alice")
    accounts.users.disable(ADMIN, "alice")
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            accounts.authentication.authenticate_cookie(cookie)
        with pytest.raises(Unauthenticated):
            accounts.authentication.authenticate_token(token)
        accounts.users.disable(ADMIN, "alice")
    with pytest.raises(Unauthenticated, match="disabled"):
        accounts.sign_in("alice")
    with pytest.raises(Conflict, match="disabled"):
        accounts.make_token("alice")
    accounts.users.enable(ADMIN, "alice")
    with pytest.raises(Unauthenticated, match="ended"):
        accounts.authentication.authenticate_cookie(cookie)
    with pytest.raises(Unauthenticated, match="revoked"):
        accounts.authentication.authenticate_token(token)
    assert accounts.sign_in("alice").name == "alice"


def test_deleting_leaves_nothing_to_sign_in_with(accounts: Accounts):
    accounts.add_user("alice")
    cookie, token = accounts.get_cookie("alice"), accounts.make_token("alice")
    accounts.users.delete(ADMIN, "alice")
    with pytest.raises(Unauthenticated):
        accounts.authentication.authenticate_cookie(cookie)
    with pytest.raises(Unauthenticated, match="not this server's"):
        accounts.authentication.authenticate_token(token)
    with pytest.raises(NotFound):
        accounts.users.get_user(ADMIN, "alice")
    assert accounts.add_user("alice").name == "alice"


def test_a_reset_password_ends_sessions_and_tokens_where_asked(accounts: Accounts):
    accounts.add_user("alice")
    cookie, token = accounts.get_cookie("alice"), accounts.make_token("alice")
    accounts.users.reset_password(ADMIN, "alice")
    with pytest.raises(Unauthenticated):
        accounts.authentication.authenticate_cookie(cookie)
    assert accounts.authentication.authenticate_token(token).claims
    accounts.users.reset_password(ADMIN, "alice", revoke_tokens=True)
    with pytest.raises(Unauthenticated, match="revoked"):
        accounts.authentication.authenticate_token(token)


@pytest.mark.parametrize("way", ["disable", "delete", "strip"])
def test_the_last_administrator_stays(accounts: Accounts, way: str):
    accounts.add_user("alice", "Admin", "Viewer")
    accounts.add_user("bob", "Admin")
    take: Callable[[str], object] = {
        "disable": lambda name: accounts.users.disable(ADMIN, name),
        "delete": lambda name: accounts.users.delete(ADMIN, name),
        "strip": lambda name: accounts.users.edit(ADMIN, name, UserChanges(roles=["Viewer"])),
    }[way]
    take("bob")
    for _ in range(2):
        with pytest.raises(Conflict, match="last administrator"):
            take("alice")
    assert "Admin" in accounts.users.get_user(ADMIN, "alice").roles
    # Other roles may be taken.
    accounts.users.edit(ADMIN, "alice", UserChanges(roles=["Admin"]))


def test_two_administrators_cannot_disable_each_other_at_once(accounts: Accounts):
    accounts.add_user("alice", "Admin")
    accounts.add_user("bob", "Admin")
    alice, bob = accounts.sign_in("alice"), accounts.sign_in("bob")
    start = threading.Barrier(2)
    refused: list[RavenError] = []

    def disable(actor_name: str) -> None:
        actor, other = (alice, "bob") if actor_name == "alice" else (bob, "alice")
        start.wait()
        try:
            accounts.users.disable(actor, other)
        except RavenError as error:
            refused.append(error)

    threads = [threading.Thread(target=disable, args=(name,)) for name in ("alice", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [error.code for error in refused] == ["user.last_administrator"]
    states = [accounts.users.get_user(ADMIN, name).disabled_at for name in ("alice", "bob")]
    assert states.count(None) == 1


def test_nobody_disables_or_deletes_their_own_account(accounts: Accounts):
    accounts.add_user("alice", "Admin")
    accounts.add_user("bob", "Admin")
    alice = accounts.sign_in("alice")
    for take in (accounts.users.disable, accounts.users.delete):
        with pytest.raises(Conflict) as caught:
            take(alice, "alice")
        assert caught.value.code == "user.own_account"


def test_who_edits_users_gives_and_takes_no_more_than_they_have(accounts: Accounts):
    editor = accounts.act_as(
        Claim.USER_VIEW, Claim.USER_EDIT, Claim.ROLE_EDIT, Claim.DATASET_VIEW, name="eve"
    )
    accounts.add_user("admin", "Admin")
    accounts.add_user("viewer", "Viewer")
    accounts.roles.create(ADMIN, name="looker", claims=[Claim.DATASET_VIEW])
    accounts.roles.create(ADMIN, name="strong", claims=[Claim.SETTINGS_EDIT])
    created = accounts.users.create(editor, name="new", roles=["looker"])
    assert created.user.claims == {Claim.DATASET_VIEW}
    refused: list[Callable[[], object]] = [
        lambda: accounts.users.create(editor, name="a", roles=["Admin"]),
        lambda: accounts.users.create(editor, name="a"),
        lambda: accounts.users.edit(editor, "eve", UserChanges(roles=["Admin"])),
        lambda: accounts.users.edit(editor, "new", UserChanges(roles=["strong"])),
        lambda: accounts.users.edit(editor, "viewer", UserChanges(roles=[])),
        lambda: accounts.users.edit(editor, "admin", UserChanges(email="eve@example.org")),
        lambda: accounts.users.reset_password(editor, "admin"),
        lambda: accounts.users.disable(editor, "admin"),
        lambda: accounts.users.delete(editor, "viewer"),
        lambda: accounts.roles.create(editor, name="r", claims=[Claim.SETTINGS_EDIT]),
        lambda: accounts.roles.edit(editor, "role of eve", claims=GRANTABLE_CLAIMS),
        lambda: accounts.roles.edit(editor, "strong", claims=[Claim.DATASET_VIEW]),
        lambda: accounts.roles.delete(editor, "strong"),
        lambda: accounts.tokens.create(editor, name="t", user="new"),
        lambda: accounts.tokens.create(editor, name="t", user="viewer", claims=[Claim.SYSTEM_VIEW]),
        lambda: accounts.sessions.end_other_sessions(editor, "admin"),
    ]
    for number, refuse in enumerate(refused):
        with pytest.raises(Forbidden) as caught:
            refuse()
        assert caught.value.code in {"access.claims_beyond_own", "access.unlimited_token"}, number
    minted = accounts.tokens.create(editor, name="t", user="new", claims=[Claim.DATASET_VIEW])
    assert minted.token.claims == (Claim.DATASET_VIEW,)
    assert accounts.users.reset_password(editor, "new").one_time_password is not None


def test_what_somebody_may_not_see_is_not_found_and_what_they_may_not_do_forbidden(accounts: Accounts):
    accounts.add_user("bob")
    blind = accounts.act_as(Claim.USER_EDIT, Claim.ROLE_EDIT, name="blind")
    viewing = accounts.act_as(Claim.USER_VIEW, name="viewing")
    users, roles = accounts.users, accounts.roles
    for actor, expected in ((blind, NotFound), (viewing, Forbidden)):
        for call in (
            lambda actor=actor: users.edit(actor, "bob", UserChanges(name="rob")),
            lambda actor=actor: users.disable(actor, "bob"),
            lambda actor=actor: users.enable(actor, "bob"),
            lambda actor=actor: users.reset_password(actor, "bob"),
            lambda actor=actor: users.delete(actor, "bob"),
            lambda actor=actor: roles.edit(actor, "role of blind", description="x"),
            lambda actor=actor: roles.delete(actor, "role of blind"),
            lambda actor=actor: accounts.tokens.create(actor, name="x", user="bob"),
        ):
            with pytest.raises(expected):
                call()
    for call in (lambda: users.get_user(blind, "bob"), lambda: roles.get_role(blind, "Viewer")):
        with pytest.raises(NotFound):
            call()
    for call in (
        lambda: users.list_users(blind, ALL),
        lambda: roles.list_roles(blind, ALL),
        lambda: users.create(blind, name="x"),
        lambda: roles.create(blind, name="x", claims=[Claim.ROLE_EDIT]),
        lambda: users.create(viewing, name="x"),
        lambda: roles.create(viewing, name="x", claims=[Claim.USER_VIEW]),
    ):
        with pytest.raises(Forbidden):
            call()
    # One's own account is there for everybody.
    assert users.get_user(blind, "blind").name == "blind"
    assert users.get_user(viewing, "bob").name == "bob"


def test_users_are_listed_by_what_is_asked(accounts: Accounts):
    for name, role in (("Bob", "Trainer"), ("alice", "Viewer"), ("carol_x", "Trainer")):
        accounts.users.create(ADMIN, name=name, roles=[role], email=f"{name.lower()}@example.org")
    accounts.users.disable(ADMIN, "bob")

    def names(page: PageRequest = ALL, **chosen: str | bool) -> list[str]:
        return [user.name for user in accounts.users.list_users(ADMIN, page, **chosen).items]  # type: ignore[arg-type]

    assert names() == ["alice", "Bob", "carol_x"]
    assert names(PageRequest(sort="-name")) == ["carol_x", "Bob", "alice"]
    assert names(q="O") == ["alice", "Bob", "carol_x"]
    assert names(q="_") == ["carol_x"]
    assert names(q="%") == []
    assert names(q="BOB@") == ["Bob"]
    assert names(role="trainer") == ["Bob", "carol_x"]
    assert names(is_disabled=True) == ["Bob"]
    assert names(is_disabled=False, role="Trainer") == ["carol_x"]
    first = accounts.users.list_users(ADMIN, PageRequest(limit=2))
    assert names(PageRequest(limit=2, cursor=first.next)) == ["carol_x"]


def test_builtin_roles_are_the_codes(accounts: Accounts):
    listed = {role.name: role for role in accounts.roles.list_roles(ADMIN, ALL).items}
    assert {name: set(role.claims) for name, role in listed.items()} == {
        role.name: role.claims for role in BUILTIN_ROLES
    }
    assert set(listed["Admin"].claims) == set(Claim) - WORKER_CLAIMS
    publishing = {name for name, role in listed.items() if Claim.TRAINED_MODEL_PUBLISH in role.claims}
    assert publishing == {"Admin", "Reviewer"}
    for change in (
        lambda: accounts.roles.edit(ADMIN, "viewer", claims=[Claim.AUDIT_VIEW]),
        lambda: accounts.roles.delete(ADMIN, "Viewer", even_if_in_use=True),
    ):
        with pytest.raises(Conflict, match="built in"):
            change()
    # What another release, or a hand, has written into them is put right at the next start.
    with accounts.database.transaction() as session:
        session.execute(text("UPDATE roles SET claims = '{audit:view,of:another}' WHERE name = 'Viewer'"))
        session.execute(text("DELETE FROM roles WHERE name = 'Trainer'"))
    assert accounts.roles.get_role(ADMIN, "Viewer").claims == (Claim.AUDIT_VIEW,)
    accounts.roles.ensure_builtins()
    assert accounts.roles.get_role(ADMIN, "Viewer").claims == listed["Viewer"].claims
    assert accounts.roles.get_role(ADMIN, "Viewer").revision == listed["Viewer"].revision + 1
    assert accounts.roles.get_role(ADMIN, "Trainer").claims == listed["Trainer"].claims


def test_own_roles(accounts: Accounts):
    role = accounts.roles.create(
        ADMIN, name="Inspector", claims=[Claim.DATASET_VIEW, Claim.DATASET_VIEW], description="Looks."
    )
    assert (role.claims, role.is_builtin, role.user_count) == ((Claim.DATASET_VIEW,), False, 0)
    with pytest.raises(Conflict, match="named"):
        accounts.roles.create(ADMIN, name="INSPECTOR", claims=[Claim.DATASET_VIEW])
    with pytest.raises(Conflict, match="named"):
        accounts.roles.create(ADMIN, name="admin", claims=[Claim.DATASET_VIEW])
    with pytest.raises(Invalid, match="without a claim"):
        accounts.roles.create(ADMIN, name="nothing", claims=[])
    for claim in WORKER_CLAIMS:
        with pytest.raises(Invalid, match="Only workers"):
            accounts.roles.create(ADMIN, name="robot", claims=[claim])
    accounts.users.create(ADMIN, name="alice", roles=["inspector"])
    with pytest.raises(Conflict, match="alice"):
        accounts.roles.delete(ADMIN, "Inspector")
    with pytest.raises(Stale):
        accounts.roles.edit(ADMIN, "Inspector", description="x", expected_revision=role.revision + 1)
    renamed = accounts.roles.edit(
        ADMIN, "Inspector", name="Looker", description="", expected_revision=role.revision
    )
    assert (renamed.name, renamed.revision, renamed.user_count) == ("Looker", role.revision + 1, 1)
    accounts.roles.delete(ADMIN, "looker", even_if_in_use=True)
    assert accounts.users.get_user(ADMIN, "alice").roles == ()


def test_the_first_administrator_is_made_once(accounts: Accounts):
    made: list[object] = []
    threads = [
        threading.Thread(target=lambda: made.append(accounts.users.create_first_administrator(ADMIN)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (created,) = [each for each in made if each is not None]
    assert accounts.users.create_first_administrator(ADMIN) is None
    password = getattr(created, "one_time_password", None)
    assert isinstance(password, SecretStr)
    signed_in = accounts.sessions.sign_in("admin", password, OFFICE)
    assert signed_in.actor.credential is not None
    assert signed_in.actor.credential.must_change_password
    assert accounts.users.get_user(ADMIN, "admin").roles == ("Admin",)


def test_what_is_done_to_accounts_is_in_the_trail(accounts: Accounts):
    accounts.users.create(ADMIN, name="alice")
    accounts.users.edit(ADMIN, "alice", UserChanges(roles=["Trainer"]))
    accounts.users.disable(ADMIN, "alice")
    accounts.users.enable(ADMIN, "alice")
    accounts.users.reset_password(ADMIN, "alice")
    minted = accounts.tokens.create(ADMIN, name="nightly", user="alice", expires_in=timedelta(days=1))
    accounts.tokens.revoke(ADMIN, minted.token.id)
    accounts.roles.create(ADMIN, name="own", claims=[Claim.AUDIT_VIEW])
    accounts.roles.edit(ADMIN, "own", description="x")
    accounts.roles.delete(ADMIN, "own")
    accounts.users.delete(ADMIN, "alice")
    assert [f"{action} {target}" for _, action, target in accounts.list_actions()] == [
        "user.created alice",
        "user.edited alice",
        "user.disabled alice",
        "user.enabled alice",
        "user.password_reset alice",
        "token.created nightly",
        "token.revoked nightly",
        "role.created own",
        "role.edited own",
        "role.deleted own",
        "user.deleted alice",
    ]
