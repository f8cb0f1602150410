"""API tokens: what they admit, until when, and who makes and ends them."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event
from tests.access.accounts import ADMIN, Accounts

from raven_scan.access.types import Actor, Claim
from raven_scan.access.users import UserChanges
from raven_scan.kernel.errors import Forbidden, Invalid, NotFound, Unauthenticated
from raven_scan.kernel.masking import TextMask
from raven_scan.kernel.paging import PageRequest

ALL = PageRequest(limit=500)


def recognise(accounts: Accounts, token: str) -> Actor:
    return accounts.authentication.authenticate_token(token, address="192.0.2.1")


def test_a_token_stands_for_its_user(accounts: Accounts):
    accounts.add_user("alice", "Trainer")
    minted = accounts.tokens.create(ADMIN, name="nightly", user="alice")
    secret = minted.secret.get_secret_value()
    assert secret.startswith(minted.token.prefix)
    assert secret not in repr(minted)
    actor = recognise(accounts, secret)
    assert (actor.name, actor.via, actor.address) == ("alice", "token nightly", "192.0.2.1")
    assert actor.claims == accounts.users.get_user(ADMIN, "alice").claims


def test_a_token_has_at_most_its_own_claims(accounts: Accounts):
    accounts.add_user("alice", "Trainer")
    token = accounts.make_token("alice", claims=[Claim.DATASET_VIEW, Claim.TRAINING_RUN_VIEW])
    assert recognise(accounts, token).claims == {Claim.DATASET_VIEW, Claim.TRAINING_RUN_VIEW}
    # It has what both have.
    accounts.roles.create(ADMIN, name="sets", claims=[Claim.DATASET_VIEW, Claim.DATASET_EDIT])
    accounts.users.edit(ADMIN, "alice", UserChanges(roles=["sets"]))
    assert recognise(accounts, token).claims == {Claim.DATASET_VIEW}
    with pytest.raises(Invalid, match="does not have these claims"):
        accounts.make_token("alice", claims=[Claim.TRAINING_RUN_VIEW])
    with pytest.raises(Invalid, match="opens nothing"):
        accounts.make_token("alice", claims=[])


def test_a_token_expires(accounts: Accounts):
    accounts.add_user("alice")
    token = accounts.make_token("alice", expires_in=timedelta(days=30))
    accounts.hands.turn(timedelta(days=30) - timedelta(seconds=1))
    assert recognise(accounts, token).name == "alice"
    accounts.hands.turn(timedelta(seconds=1))
    with pytest.raises(Unauthenticated) as caught:
        recognise(accounts, token)
    assert caught.value.code == "access.token_expired"
    for bad in (timedelta(0), timedelta(days=4000), -timedelta(seconds=1)):
        with pytest.raises(Invalid):
            accounts.make_token("alice", expires_in=bad)


def test_a_token_of_limited_claims_manages_nothing_but_its_own_end(accounts: Accounts):
    accounts.add_user("alice", "Admin")
    other = accounts.tokens.create(ADMIN, name="other", user="alice").token
    limited = accounts.tokens.create(
        ADMIN, name="limited", user="alice", claims=[Claim.DATASET_VIEW, Claim.USER_VIEW, Claim.USER_EDIT]
    )
    actor = recognise(accounts, limited.secret.get_secret_value())
    for refuse in (
        lambda: accounts.tokens.create(actor, name="more"),
        lambda: accounts.tokens.create(actor, name="more", user="alice"),
        lambda: accounts.tokens.create(actor, name="more", claims=[Claim.DATASET_VIEW]),
        lambda: accounts.tokens.revoke(actor, other.id),
        lambda: accounts.sessions.end_other_sessions(actor),
        lambda: accounts.users.reset_password(actor, "alice"),
    ):
        with pytest.raises(Forbidden):
            refuse()
    accounts.tokens.revoke(actor, limited.token.id)
    with pytest.raises(Unauthenticated, match="revoked"):
        recognise(accounts, limited.secret.get_secret_value())


def test_a_token_makes_none_that_outlives_it(accounts: Accounts):
    accounts.add_user("alice")
    actor = recognise(accounts, accounts.make_token("alice", expires_in=timedelta(days=2)))
    with pytest.raises(Forbidden, match="longer than itself"):
        accounts.tokens.create(actor, name="long", expires_in=timedelta(days=3))
    made = accounts.tokens.create(actor, name="same").token
    assert made.expires_at == accounts.hands.now() + timedelta(days=2)
    assert accounts.tokens.create(actor, name="short", expires_in=timedelta(days=1)).token.expires_at
    lasting = recognise(accounts, accounts.make_token("alice"))
    assert accounts.tokens.create(lasting, name="lasting").token.expires_at is None


def test_ones_own_tokens_are_listed_and_others_by_claim_alone(accounts: Accounts):
    for name in ("alice", "bob"):
        accounts.add_user(name)
        accounts.make_token(name)
    alice = accounts.sign_in("alice")
    viewing = accounts.act_as(Claim.USER_VIEW, name="viewing")
    bobs = accounts.tokens.list_tokens(ADMIN, ALL, user="bob").items[0]
    assert [each.user for each in accounts.tokens.list_tokens(alice, ALL).items] == ["alice"]
    assert [each.user for each in accounts.tokens.list_tokens(alice, ALL, user="ALICE").items] == ["alice"]
    with pytest.raises(NotFound):
        accounts.tokens.list_tokens(alice, ALL, user="bob")
    for call in (accounts.tokens.get_token, accounts.tokens.revoke):
        for missing in (bobs.id, uuid4()):
            with pytest.raises(NotFound):
                call(alice, missing)
    assert len(accounts.tokens.list_tokens(viewing, ALL).items) == 3
    assert accounts.tokens.get_token(viewing, bobs.id) == bobs
    with pytest.raises(Forbidden):
        accounts.tokens.revoke(viewing, bobs.id)
    accounts.tokens.revoke(ADMIN, bobs.id)
    accounts.tokens.revoke(ADMIN, bobs.id)
    assert [each.user for each in accounts.tokens.list_tokens(ADMIN, ALL, user="bob").items] == []
    (ended,) = accounts.tokens.list_tokens(ADMIN, ALL, user="bob", with_ended=True).items
    assert ended.revoked_at == accounts.hands.now()


def test_the_local_administrator_has_no_account_to_make_tokens_for(accounts: Accounts):
    with pytest.raises(Forbidden, match="no account"):
        accounts.tokens.create(ADMIN, name="x")


@pytest.mark.parametrize("token", ["", "raven_", "raven_" + "x" * 43, "x\0", "\udcff", "raven_\u20ac"])
def test_what_is_no_token_is_refused(accounts: Accounts, token: str):
    with pytest.raises(Unauthenticated) as caught:
        accounts.authentication.authenticate_token(token)
    assert caught.value.code == "access.token_wrong"


def test_a_request_costs_one_query(accounts: Accounts, monkeypatch: pytest.MonkeyPatch):
    accounts.add_user("alice", "Trainer", "Reviewer")
    token, cookie = accounts.make_token("alice"), accounts.get_cookie("alice")
    recognise(accounts, token)  # its first use is noted
    statements: list[str] = []

    def note(*details: object) -> None:
        statements.append(str(details[2]))

    for engine in accounts.database.list_engines():
        event.listen(engine, "before_cursor_execute", note)
    look_up = accounts.database.look_up
    monkeypatch.setattr(
        accounts.database,
        "look_up",
        lambda query, parameters: (note(0, 0, query), look_up(query, parameters))[1],
    )
    accounts.hasher.checked.clear()
    recognise(accounts, token)
    accounts.authentication.authenticate_cookie(cookie)
    assert [statement.partition(" ")[0] for statement in statements] == ["SELECT", "SELECT"]
    # Once a minute, it is noted when it was used last.
    accounts.hands.turn(timedelta(minutes=1))
    recognise(accounts, token)
    assert [statement.partition(" ")[0] for statement in statements[2:]] == ["SELECT", "UPDATE"]
    assert accounts.hasher.checked == []
    (listed,) = accounts.tokens.list_tokens(ADMIN, ALL, user="alice").items
    assert listed.last_used_at == accounts.hands.now()


def test_no_log_shows_a_token(accounts: Accounts):
    accounts.add_user("alice")
    tokens = [accounts.make_token("alice") for _ in range(20)]
    for token in tokens:
        masked = TextMask()(f"GET /x?token={token} by {token}, '{token}'")
        assert masked == f"GET /x?token={token[:10]}*** by {token[:10]}***, '{token[:10]}***'"
    assert TextMask()("raven_session raven_scan.access") == "raven_session raven_scan.access"
