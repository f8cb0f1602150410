"""Who asked to hear of a run's end hears of it, once, as long as they may."""

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from tests.notifications.receivers import MailBox, WebhookReceiver
from tests.notifications.steps import SECRET, change_settings, list_all

from raven_scan.access.directory import AccountDirectory
from raven_scan.access.passwords import PasswordKeeper
from raven_scan.access.roles import RoleService
from raven_scan.access.throttling import SignInThrottling
from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER, Actor, Claim
from raven_scan.access.users import UserChanges, UserService
from raven_scan.kernel.clock import SystemClock
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Stale
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.settings import Settings
from raven_scan.notifications.service import NotificationService
from raven_scan.notifications.subscribers import Subscribers
from raven_scan.notifications.subscriptions import MOST_SUBSCRIPTIONS, SubscriptionService, Wish
from raven_scan.notifications.types import (
    NamedRun,
    NotificationState,
    RunEnded,
    SubscribedEnds,
    SubscribedRuns,
)

RUN = UUID("01900000-0000-7000-8000-000000000001")
ALL = SubscribedRuns.ALL


@pytest.fixture
def users(database: Database) -> UserService:
    RoleService(database).ensure_builtins()
    clock = SystemClock()
    return UserService(database, clock, PasswordKeeper(), SignInThrottling(database, clock))


@pytest.fixture
def make_user(users: UserService) -> Callable[..., Actor]:
    def make(name: str, role: str = "Trainer", email: str | None = "") -> Actor:
        address = f"{name}@example.org" if email == "" else email
        made = users.create(
            LOCAL_ADMINISTRATOR, name=name, roles=[role], email=address, has_password=False
        ).user
        return Actor(id=made.id, name=made.name, claims=made.claims)

    return make


@pytest.fixture
def ana(make_user: Callable[..., Actor]) -> Actor:
    return make_user("ana")


@pytest.fixture
def all_settings(email_settings: Settings, receiver: WebhookReceiver) -> Settings:
    """Nobody is in the settings; users may name this machine, where the receiver is."""
    del receiver
    return change_settings(
        email_settings, notify_emails=(), webhook_secret=SECRET, allow_private_webhooks=True
    )


@pytest.fixture
def make_subscriptions(database: Database, users: UserService) -> Callable[[Settings], SubscriptionService]:
    def find_run(_: Actor, ref: str) -> NamedRun:
        if ref != "first":
            raise NotFound("training_run.not_found", "There is no such run.")
        return NamedRun(RUN, "first")

    return lambda settings: SubscriptionService(
        database,
        settings,
        SystemClock(),
        users=users,
        subscribers=Subscribers(AccountDirectory(database), settings),
        find_run=find_run,
    )


@pytest.fixture
def subscriptions(
    make_subscriptions: Callable[[Settings], SubscriptionService], all_settings: Settings
) -> SubscriptionService:
    return make_subscriptions(all_settings)


@pytest.fixture
def service(
    make_service: Callable[[Settings], NotificationService], all_settings: Settings
) -> NotificationService:
    return make_service(all_settings)


def deliver_all(service: NotificationService) -> None:
    for each in list_all(service):
        service.deliver(WORKER, each.id)


def list_recipients(service: NotificationService) -> list[str]:
    return sorted(each.recipient for each in list_all(service))


def test_who_created_the_run_is_told_at_their_own_address(
    service: NotificationService,
    subscriptions: SubscriptionService,
    make_user: Callable[..., Actor],
    ana: Actor,
    mailbox: MailBox,
    make_run: Callable[..., RunEnded],
):
    made = subscriptions.subscribe(ana, Wish())
    assert (made.subscription.recipient, made.subscription.is_own_email, made.secret) == (
        "ana@example.org",
        True,
        None,
    )
    subscriptions.subscribe(make_user("ben"), Wish())
    service.announce(WORKER, make_run(created_by_id=make_id()))
    assert list_all(service) == []
    service.announce(WORKER, make_run(created_by_id=ana.id))
    deliver_all(service)
    assert mailbox.recipients == [["ana@example.org"]]


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (Wish(runs=ALL), ["success", "error", "other"]),
        (Wish(runs=ALL, ends=SubscribedEnds.SUCCESS), ["success", "other"]),
        (Wish(runs=ALL, ends=SubscribedEnds.ERROR), ["error"]),
        (Wish(runs=SubscribedRuns.ONE, run="first"), ["success", "error"]),
        (Wish(runs=SubscribedRuns.MINE), []),
    ],
)
def test_only_what_was_asked_for_is_told(
    service: NotificationService,
    subscriptions: SubscriptionService,
    ana: Actor,
    make_run: Callable[..., RunEnded],
    failed_run: RunEnded,
    wish: Wish,
    told: list[str],
):
    subscriptions.subscribe(ana, wish)
    ended = {"success": make_run(), "error": failed_run, "other": make_run(id=make_id())}
    for name, run in ended.items():
        before = len(list_all(service))
        service.announce(WORKER, run)
        assert (len(list_all(service)) - before == 1) == (name in told), name


def test_an_address_is_told_once_however_many_named_it(
    make_service: Callable[[Settings], NotificationService],
    subscriptions: SubscriptionService,
    all_settings: Settings,
    make_user: Callable[..., Actor],
    ana: Actor,
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
):
    service = make_service(change_settings(all_settings, notify_emails="Ana@Example.org"))
    for actor in (ana, make_user("ben", email="BEN@example.org")):
        subscriptions.subscribe(actor, Wish(runs=ALL))
        subscriptions.subscribe(actor, Wish(runs=SubscribedRuns.ONE, run="first"))
        subscriptions.subscribe(actor, Wish(runs=ALL, email="team@example.org"))
        subscriptions.subscribe(actor, Wish(runs=ALL, webhook=SecretStr(f"{receiver.url}/hook")))
    service.announce(WORKER, make_run())
    recipients = list_recipients(service)
    assert recipients[:2] == ["Ana@Example.org", "BEN@example.org"]
    assert recipients[2].startswith(receiver.url)
    assert recipients[3:] == ["team@example.org"]


@pytest.mark.parametrize("what", ["disabled", "without_claim", "removed", "resting"])
def test_who_may_not_hear_of_it_any_more_does_not(
    service: NotificationService,
    subscriptions: SubscriptionService,
    users: UserService,
    ana: Actor,
    mailbox: MailBox,
    make_run: Callable[..., RunEnded],
    database: Database,
    what: str,
):
    made = subscriptions.subscribe(ana, Wish(runs=ALL)).subscription
    service.announce(WORKER, make_run())
    match what:
        case "disabled":
            users.disable(LOCAL_ADMINISTRATOR, "ana")
        case "without_claim":
            RoleService(database).create(LOCAL_ADMINISTRATOR, name="Nothing", claims=[Claim.SYSTEM_VIEW])
            users.edit(LOCAL_ADMINISTRATOR, "ana", UserChanges(roles=["Nothing"]))
        case "removed":
            subscriptions.unsubscribe(ana, made.id)
        case _:
            subscriptions.edit(ana, made.id, is_active=False)
    deliver_all(service)
    (waiting,) = list_all(service)
    assert (waiting.state, waiting.tries) == (NotificationState.FAILED, 1)
    assert "has ended" in waiting.reason
    service.announce(WORKER, make_run())
    assert len(list_all(service)) == 1
    assert mailbox.mails == []


def test_webhooks_are_signed_with_a_secret_of_their_own(
    service: NotificationService,
    subscriptions: SubscriptionService,
    database: Database,
    ana: Actor,
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
):
    address = f"{receiver.url}/hooks/T0KEN-of-the-path"
    made = subscriptions.subscribe(ana, Wish(runs=ALL, webhook=SecretStr(address)))
    other = subscriptions.subscribe(ana, Wish(runs=ALL, webhook=SecretStr(f"{address}/2")))
    assert made.secret is not None
    assert other.secret is not None
    secret = made.secret.get_secret_value()
    assert secret not in {SECRET, other.secret.get_secret_value()}
    service.announce(WORKER, make_run())
    deliver_all(service)
    posted = {each.path: each for each in receiver.posts}["/hooks/T0KEN-of-the-path"]
    signed = f"{posted.headers['webhook-id']}.{posted.headers['webhook-timestamp']}.".encode() + posted.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert posted.headers["webhook-signature"] == f"v1,{expected}"
    # Neither the secret nor the address can be read from what is stored or shown.
    with database.transaction() as session:
        stored = "".join(
            str(session.execute(text(f"SELECT array_agg(row_to_json(t)) FROM {table} t")).scalar())  # noqa: S608
            for table in ("subscriptions", "notifications", "audit_entries")
        )
    shown = repr(subscriptions.list_subscriptions(ana, PageRequest()).items) + repr(made)
    for hidden in ("T0KEN", secret):
        assert hidden not in stored
        assert hidden not in shown
    assert "subscription.created" in stored


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/hook",
        "http://localhost:8700/api/v1/system",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
        "http://0.0.0.0/",
        "http://10.1.2.3/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[64:ff9b::a00:1]/",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
    ],
)
def test_users_do_not_reach_into_the_servers_own_network(
    make_subscriptions: Callable[[Settings], SubscriptionService],
    all_settings: Settings,
    ana: Actor,
    address: str,
):
    subscriptions = make_subscriptions(change_settings(all_settings, allow_private_webhooks=False))
    with pytest.raises(Invalid) as refusal:
        subscriptions.subscribe(ana, Wish(webhook=SecretStr(address)))
    assert refusal.value.code == "subscription.private_address"


def test_a_name_that_leads_inside_later_reaches_nobody(
    make_service: Callable[[Settings], NotificationService],
    make_subscriptions: Callable[[Settings], SubscriptionService],
    subscriptions: SubscriptionService,
    all_settings: Settings,
    ana: Actor,
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
):
    address = SecretStr(receiver.url.replace("127.0.0.1", "localhost"))
    made = subscriptions.subscribe(ana, Wish(runs=ALL, webhook=address)).subscription
    strict = change_settings(all_settings, allow_private_webhooks=False)
    service = make_service(strict)
    service.announce(WORKER, make_run())
    deliver_all(service)
    assert "not an address of the internet" in list_all(service)[0].reason
    told = make_subscriptions(strict).send_test(ana, made.id)
    assert not told.is_sent
    assert receiver.posts == []


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("ftp://example.org", "subscription.bad_address"),
        ("https://user:password@example.org/", "subscription.bad_address"),
        ("https://example.org/#x", "subscription.bad_address"),
        ("https://no-such-name.invalid/", "subscription.bad_address"),
        ("https://example.org/" + 2000 * "x", "subscription.bad_address"),
    ],
)
def test_an_address_that_is_none_is_refused_without_being_told(
    make_subscriptions: Callable[[Settings], SubscriptionService],
    all_settings: Settings,
    ana: Actor,
    address: str,
    code: str,
):
    subscriptions = make_subscriptions(change_settings(all_settings, allow_private_webhooks=False))
    with pytest.raises(Invalid) as refusal:
        subscriptions.subscribe(ana, Wish(webhook=SecretStr(address)))
    assert refusal.value.code == code
    assert "password" not in refusal.value.message.replace("a name and password before its host", "")


def test_what_the_server_cannot_send_is_refused(
    make_subscriptions: Callable[[Settings], SubscriptionService],
    settings: Settings,
    subscriptions: SubscriptionService,
    make_user: Callable[..., Actor],
    ana: Actor,
):
    bare = make_subscriptions(settings)
    for wish in (Wish(), Wish(webhook=SecretStr("https://example.org/"))):
        with pytest.raises(Conflict) as refusal:
            bare.subscribe(ana, wish)
        assert refusal.value.code == "subscription.channel_not_set_up"
    with pytest.raises(Conflict) as refusal:
        subscriptions.subscribe(make_user("ben", email=None), Wish())
    assert refusal.value.code == "subscription.no_email"
    with pytest.raises(Invalid):
        subscriptions.subscribe(ana, Wish(email="nobody"))
    with pytest.raises(NotFound):
        subscriptions.subscribe(ana, Wish(runs=SubscribedRuns.ONE, run="second"))


def test_another_secret_of_the_server_voids_webhooks(
    make_service: Callable[[Settings], NotificationService],
    make_subscriptions: Callable[[Settings], SubscriptionService],
    subscriptions: SubscriptionService,
    all_settings: Settings,
    ana: Actor,
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
):
    made = subscriptions.subscribe(ana, Wish(runs=ALL, webhook=SecretStr(receiver.url)))
    changed = change_settings(all_settings, webhook_secret=f"whsec_{base64.b64encode(bytes(32)).decode()}")
    told = make_subscriptions(changed).send_test(ana, made.subscription.id)
    assert (told.is_sent, "RAVEN_WEBHOOK_SECRET" in told.reason) == (False, True)
    service = make_service(changed)
    service.announce(WORKER, make_run())
    assert list_all(service) == []


def test_a_test_message_goes_to_the_subscriber_alone(
    subscriptions: SubscriptionService,
    make_user: Callable[..., Actor],
    ana: Actor,
    mailbox: MailBox,
    receiver: WebhookReceiver,
):
    subscriptions.subscribe(make_user("ben"), Wish())
    for wish in (Wish(), Wish(webhook=SecretStr(receiver.url))):
        made = subscriptions.subscribe(ana, wish).subscription
        assert subscriptions.send_test(ana, made.id).is_sent
    assert mailbox.recipients == [["ana@example.org"]]
    assert json.loads(receiver.posts[0].body)["type"] == "test"


def test_everybody_looks_after_their_own(
    subscriptions: SubscriptionService, make_user: Callable[..., Actor], ana: Actor
):
    mine = subscriptions.subscribe(ana, Wish()).subscription
    ben, chief = make_user("ben", "Viewer"), make_user("chief", "Admin")
    calls: list[Callable[[Actor], Any]] = [
        lambda actor: subscriptions.get_subscription(actor, mine.id),
        lambda actor: subscriptions.edit(actor, mine.id, ends=SubscribedEnds.ERROR),
        lambda actor: subscriptions.send_test(actor, mine.id),
        lambda actor: subscriptions.unsubscribe(actor, mine.id),
    ]
    for call in calls:
        with pytest.raises(NotFound) as refusal:
            call(ben)
        assert refusal.value.code == "subscription.not_found"
    for refused in (
        lambda: subscriptions.list_subscriptions(ben, PageRequest(), of_all=True),
        lambda: subscriptions.subscribe(LOCAL_ADMINISTRATOR, Wish()),
        lambda: subscriptions.subscribe(
            Actor(id=make_id(), name="nobody", claims=frozenset()), Wish(runs=ALL)
        ),
    ):
        with pytest.raises(Forbidden):
            refused()
    assert subscriptions.list_subscriptions(ben, PageRequest()).items == []
    assert subscriptions.list_subscriptions(LOCAL_ADMINISTRATOR, PageRequest()).items == []
    for_ben = subscriptions.subscribe(chief, Wish(user="ben")).subscription
    assert for_ben.user == "ben"
    assert {
        each.user for each in subscriptions.list_subscriptions(chief, PageRequest(), of_all=True).items
    } == {
        "ana",
        "ben",
    }
    assert [each.id for each in subscriptions.list_subscriptions(chief, PageRequest(), user="ana").items] == [
        mine.id
    ]
    for call in calls:
        call(chief)
    assert subscriptions.list_subscriptions(ana, PageRequest()).items == []


def test_an_edit_of_what_somebody_else_has_edited_is_refused(
    subscriptions: SubscriptionService, make_user: Callable[..., Actor], ana: Actor
):
    chief = make_user("chief", "Admin")
    made = subscriptions.subscribe(ana, Wish()).subscription
    rested = subscriptions.edit(chief, made.id, is_active=False, expected_revision=made.revision)
    with pytest.raises(Stale) as refusal:
        subscriptions.edit(ana, made.id, ends=SubscribedEnds.ERROR, expected_revision=made.revision)
    assert refusal.value.code == "subscription.changed_meanwhile"
    assert subscriptions.get_subscription(ana, made.id) == rested
    edited = subscriptions.edit(ana, made.id, ends=SubscribedEnds.ERROR, expected_revision=rested.revision)
    assert (edited.is_active, edited.ends) == (False, SubscribedEnds.ERROR)


def test_nobody_has_them_without_end(subscriptions: SubscriptionService, database: Database, ana: Actor):
    made = subscriptions.subscribe(ana, Wish()).subscription
    with database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO subscriptions (id, user_id, runs, ends, channel)"
                " SELECT gen_random_uuid(), user_id, runs, ends, channel FROM subscriptions, generate_series(2, :n)"
                " WHERE id = :id"
            ),
            {"n": MOST_SUBSCRIPTIONS, "id": made.id},
        )
    with pytest.raises(Conflict) as refusal:
        subscriptions.subscribe(ana, Wish())
    assert refusal.value.code == "subscription.too_many"
