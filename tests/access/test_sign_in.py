"""Signing in: right and wrong passwords, waits after failures, one-time passwords, sessions."""

from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from tests.access.accounts import ADMIN, OFFICE, PASSWORD, Accounts, CountingHasher

from raven_scan.access.sessions import Visitor
from raven_scan.access.throttling import ACCOUNT_LIMIT, ADDRESS_LIMIT
from raven_scan.access.types import Claim
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RavenError,
    Throttled,
    Unauthenticated,
)


def fail(accounts: Accounts, name: str, visitor: Visitor = OFFICE) -> RavenError:
    with pytest.raises((Unauthenticated, Throttled)) as caught:
        accounts.sessions.sign_in(name, SecretStr("not the password"), visitor)
    return caught.value


def test_a_session_has_the_claims_of_its_user(accounts: Accounts):
    accounts.add_user("Alice", "Trainer", "Reviewer")
    for name in ("Alice", "alice", "ALICE"):
        actor = accounts.sign_in(name)
        assert (actor.name, actor.via) == ("Alice", "session")
        assert actor.may(Claim.TRAINED_MODEL_PUBLISH)
        assert actor.may(Claim.TRAINING_RUN_CREATE)
        assert not actor.may(Claim.USER_VIEW)
    assert accounts.users.get_user(ADMIN, "alice").last_sign_in_at == accounts.hands.now()


def test_whoever_fails_the_steps_are_the_same(accounts: Accounts):
    accounts.add_user("alice")
    accounts.add_user("mallory")
    accounts.users.disable(ADMIN, "mallory")
    accounts.users.create(ADMIN, name="robot", has_password=False)
    for name in ("alice", "nobody", "mallory", "robot", "", "a\0b", "x" * 500, "\udcff"):
        accounts.hasher.checked.clear()
        error = fail(accounts, name, Visitor())
        assert (error.code, error.parameters) == ("access.sign_in_failed", {}), name
        (checked,) = accounts.hasher.checked
        assert checked.startswith("$argon2id$v=19$m=64,t=1,p=1$"), name


def test_an_id_is_no_name_to_sign_in_by(accounts: Accounts):
    user = accounts.add_user("alice")
    assert fail(accounts, str(user.id)).code == "access.sign_in_failed"


def test_an_account_waits_longer_after_each_failure_and_a_restart_changes_nothing(
    accounts: Accounts, database: Database
):
    accounts.add_user("alice")
    for _ in range(ACCOUNT_LIMIT.free):
        assert fail(accounts, "alice").code == "access.sign_in_failed"
    waits: list[int] = []
    for _ in range(11):
        assert fail(accounts, "ALICE", Visitor()).code == "access.sign_in_failed"
        restarted = Accounts(database, accounts.hands)
        error = fail(restarted, "alice", Visitor(address="198.51.100.1"))
        assert isinstance(error, Throttled)
        waits.append(error.parameters["retry_after_s"])
        # The right password waits too.
        with pytest.raises(Throttled):
            restarted.sign_in("alice")
        accounts.hands.turn(timedelta(seconds=waits[-1]))
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert accounts.sign_in("alice").name == "alice"
    # All is forgotten.
    assert fail(accounts, "alice").code == "access.sign_in_failed"
    assert accounts.sign_in("alice").name == "alice"


def test_unknown_names_wait_too(accounts: Accounts):
    for _ in range(ACCOUNT_LIMIT.free + 1):
        assert fail(accounts, "nobody").code == "access.sign_in_failed"
    assert fail(accounts, "nobody").code == "access.sign_in_throttled"


def test_an_address_waits_whatever_names_it_tries(accounts: Accounts):
    accounts.add_user("alice")
    for number in range(ADDRESS_LIMIT.free + 1):
        assert fail(accounts, f"guess{number}", OFFICE).code == "access.sign_in_failed"
    assert fail(accounts, "another", OFFICE).code == "access.sign_in_throttled"
    # Those of other addresses do not.
    assert accounts.sign_in("alice", visitor=Visitor(address="198.51.100.9")).name == "alice"
    accounts.hands.turn(timedelta(seconds=1))
    assert accounts.sign_in("alice").name == "alice"
    # Signing in does not wipe out what the address did before.
    assert fail(accounts, "another", OFFICE).code == "access.sign_in_failed"
    assert fail(accounts, "another2", OFFICE).code == "access.sign_in_throttled"


def test_a_network_of_ipv6_is_one_address(accounts: Accounts):
    for number in range(ADDRESS_LIMIT.free + 1):
        fail(accounts, f"guess{number}", Visitor(address=f"2001:db8::{number:x}"))
    assert fail(accounts, "more", Visitor(address="2001:db8::ffff")).code == "access.sign_in_throttled"
    assert fail(accounts, "more", Visitor(address="2001:db8:0:1::1")).code == "access.sign_in_failed"


def test_failures_are_forgotten_after_an_hour(accounts: Accounts):
    for _ in range(ACCOUNT_LIMIT.free + 1):
        fail(accounts, "nobody")
    accounts.hands.turn(timedelta(hours=1, seconds=1))
    for _ in range(ACCOUNT_LIMIT.free):
        assert fail(accounts, "nobody").code == "access.sign_in_failed"


def test_an_administrator_ends_the_wait(accounts: Accounts):
    accounts.add_user("alice")
    for _ in range(ACCOUNT_LIMIT.free + 1):
        fail(accounts, "alice", Visitor())
    password = accounts.users.reset_password(ADMIN, "alice").one_time_password
    assert password is not None
    assert accounts.sessions.sign_in("alice", password, OFFICE).actor.name == "alice"


def test_failures_are_in_the_trail_and_no_name_that_nobody_has(accounts: Accounts):
    accounts.add_user("alice")
    fail(accounts, "alice")
    fail(accounts, "my secret password")
    assert accounts.list_actions()[-2:] == [
        ("not signed in", "session.sign_in_failed", "alice"),
        ("not signed in", "session.sign_in_failed", "unknown"),
    ]


def test_a_one_time_password_lets_nobody_do_anything_but_change_it(accounts: Accounts):
    created = accounts.users.create(ADMIN, name="alice", roles=["Admin"])
    assert created.one_time_password is not None
    assert created.one_time_password.get_secret_value() not in repr(created)
    cookie = accounts.get_cookie("alice", created.one_time_password.get_secret_value())
    actor = accounts.authentication.authenticate_cookie(cookie)
    assert actor.claims == frozenset()
    for refused in (
        lambda: actor.require(Claim.TRAINING_RUN_VIEW),
        lambda: accounts.users.get_user(actor, "alice"),
        lambda: accounts.tokens.create(actor, name="sly"),
        lambda: accounts.sessions.list_sessions(actor),
        lambda: accounts.sessions.end_other_sessions(actor),
    ):
        with pytest.raises(Forbidden, match="one-time password"):
            refused()
    accounts.sessions.change_password(actor, current=created.one_time_password, new=SecretStr(PASSWORD))
    assert accounts.authentication.authenticate_cookie(cookie).may(Claim.USER_EDIT)
    assert fail(accounts, "alice").code == "access.sign_in_failed"
    assert accounts.sign_in("alice").may(Claim.USER_EDIT)


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("short", "has 5 characters"),
        ("x" * 300, "more than 256"),
        (PASSWORD, "is the one that you have"),
        ("alice in wonder", "your name is in it"),
        ("abababababababab", "repeats"),
    ],
)
def test_a_password_that_is_guessed_is_refused(accounts: Accounts, new: str, said: str):
    accounts.add_user("alice")
    actor = accounts.sign_in("alice")
    with pytest.raises(Invalid, match=said) as caught:
        accounts.sessions.change_password(actor, current=SecretStr(PASSWORD), new=SecretStr(new))
    assert new not in repr(caught.value.describe())
    assert accounts.sign_in("alice").name == "alice"


def test_a_new_password_ends_the_other_sessions(accounts: Accounts):
    accounts.add_user("alice")
    here, there = accounts.get_cookie("alice"), accounts.get_cookie("alice")
    token = accounts.make_token("alice")
    actor = accounts.authentication.authenticate_cookie(here)
    new = "an altogether new one"
    accounts.sessions.change_password(actor, current=SecretStr(PASSWORD), new=SecretStr(new))
    assert accounts.authentication.authenticate_cookie(here).name == "alice"
    assert accounts.authentication.authenticate_token(token).name == "alice"
    with pytest.raises(Unauthenticated):
        accounts.authentication.authenticate_cookie(there)
    assert accounts.sign_in("alice", new).name == "alice"


def test_guessing_the_current_password_is_slowed_down_too(accounts: Accounts):
    accounts.add_user("alice")
    actor = accounts.sign_in("alice")
    for _ in range(ACCOUNT_LIMIT.free + 1):
        with pytest.raises(Invalid, match="current password"):
            accounts.sessions.change_password(
                actor, current=SecretStr("a guess"), new=SecretStr("whatever it may be")
            )
    with pytest.raises(Throttled):
        accounts.sessions.change_password(actor, current=SecretStr(PASSWORD), new=SecretStr("what it may be"))


def test_letters_that_are_written_in_two_ways_are_one_password(accounts: Accounts):
    accounts.add_user("alice")
    actor = accounts.sign_in("alice")
    accounts.sessions.change_password(actor, current=SecretStr(PASSWORD), new=SecretStr("Ångström Å über"))
    assert accounts.sign_in("alice", "A\u030angstro\u0308m \u212b u\u0308ber").name == "alice"


def test_an_account_without_a_password_has_none_to_change(accounts: Accounts):
    accounts.users.create(ADMIN, name="robot", has_password=False)
    actor = accounts.authentication.authenticate_token(accounts.make_token("robot"))
    with pytest.raises(Conflict, match="without a password"):
        accounts.sessions.change_password(actor, current=SecretStr("x"), new=SecretStr("y"))
    with pytest.raises(Forbidden, match="no account"):
        accounts.sessions.change_password(ADMIN, current=SecretStr("x"), new=SecretStr("y"))


def test_parameters_of_hashing_that_changed_are_caught_up_with(accounts: Accounts, database: Database):
    accounts.add_user("alice")

    def get_hash() -> str:
        with database.transaction() as session:
            return str(session.scalar(text("SELECT password_hash FROM users")))

    before = get_hash()
    later = Accounts(database, accounts.hands, CountingHasher(time_cost=2))
    assert later.sign_in("alice").name == "alice"
    assert before.startswith("$argon2id$v=19$m=64,t=1")
    assert get_hash().startswith("$argon2id$v=19$m=64,t=2")


def test_a_session_ends_unused_and_at_last(accounts: Accounts):
    accounts.add_user("alice")
    cookie = accounts.get_cookie("alice")
    for _ in range(14):
        accounts.hands.turn(timedelta(hours=23, minutes=59))
        assert accounts.authentication.authenticate_cookie(cookie).name == "alice"
    accounts.hands.turn(timedelta(minutes=20))
    with pytest.raises(Unauthenticated, match="ended"):
        accounts.authentication.authenticate_cookie(cookie)
    cookie = accounts.get_cookie("alice")
    accounts.hands.turn(timedelta(hours=24))
    with pytest.raises(Unauthenticated, match="ended"):
        accounts.authentication.authenticate_cookie(cookie)
    assert accounts.sessions.list_sessions(ADMIN, "alice") == []
    # What has ended is removed when somebody signs in.
    accounts.get_cookie("alice")
    with accounts.database.transaction() as session:
        assert session.scalar(text("SELECT count(*) FROM user_sessions")) == 1


def test_a_cookie_that_was_touched_is_none_and_no_query_is_made_for_it(accounts: Accounts):
    accounts.add_user("alice")
    cookie = accounts.get_cookie("alice")
    secret, _, signature = cookie.partition(".")
    flipped = ("A" if secret[0] != "A" else "B") + secret[1:]
    for touched in (
        "",
        ".",
        secret,
        f"{flipped}.{signature}",
        f"{secret}.{signature[:-2]}",
        "é.ü",
        "\udcff.",
    ):
        with pytest.raises(Unauthenticated, match="ended"):
            accounts.authentication.authenticate_cookie(touched)
    assert accounts.authentication.authenticate_cookie(cookie).name == "alice"


def test_the_database_holds_no_secret(accounts: Accounts):
    accounts.add_user("alice")
    secrets = [accounts.get_cookie("alice").partition(".")[0], accounts.make_token("alice"), PASSWORD]
    with accounts.database.transaction() as session:
        tables = session.scalars(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        )
        kept = "\n".join(
            str(session.execute(text(f'SELECT to_jsonb(t) FROM "{table}" t')).all())  # noqa: S608 - ours
            for table in tables
        )
    assert "alice" in kept
    for secret in secrets:
        assert secret not in kept
        assert secret.encode().hex() not in kept


def test_sessions_are_listed_and_ended(accounts: Accounts):
    accounts.add_user("alice", "Viewer")
    accounts.add_user("bob", "Admin")
    here, there = accounts.get_cookie("alice"), accounts.get_cookie("alice")
    actor = accounts.authentication.authenticate_cookie(here)
    listed = accounts.sessions.list_sessions(actor)
    assert [each.is_current for each in listed].count(True) == 1
    assert {(each.address, each.user_agent) for each in listed} == {("192.0.2.7", "a browser")}
    (other,) = (each for each in listed if not each.is_current)
    accounts.sessions.end_session(actor, other.id)
    with pytest.raises(Unauthenticated):
        accounts.authentication.authenticate_cookie(there)
    with pytest.raises(NotFound):
        accounts.sessions.end_session(actor, other.id)
    # Of others, only those who may.
    bob = accounts.sign_in("bob")
    with pytest.raises(NotFound):
        accounts.sessions.list_sessions(actor, "bob")
    with pytest.raises(NotFound):
        accounts.sessions.end_other_sessions(actor, "bob")
    assert accounts.sessions.end_other_sessions(bob, "alice") == 1
    with pytest.raises(Unauthenticated):
        accounts.authentication.authenticate_cookie(here)


def test_signing_out_ends_the_session(accounts: Accounts):
    accounts.add_user("alice")
    cookie = accounts.get_cookie("alice")
    accounts.sessions.sign_out(accounts.authentication.authenticate_cookie(cookie))
    with pytest.raises(Unauthenticated):
        accounts.authentication.authenticate_cookie(cookie)
    assert [action for _, action, _ in accounts.list_actions()][-2:] == [
        "session.signed_in",
        "session.signed_out",
    ]
