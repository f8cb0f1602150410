"""Mails of subscriptions bring a link that ends exactly that subscription, without signing in (RFC 8058)."""

import re
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog
from fastapi.testclient import TestClient
from pydantic import SecretStr
from structlog.testing import capture_logs
from tests.notifications.receivers import MailBox, WebhookReceiver
from tests.notifications.steps import SECRET, change_settings, list_all
from tests.notifications.test_email_message import Page

from raven_scan.access.audit_types import EntryFilter
from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.client import RavenClient
from raven_scan.kernel.errors import NotFound
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.settings import Settings
from raven_scan.notifications.subscriptions import Wish
from raven_scan.notifications.types import RunEnded, SubscribedEnds, SubscribedRuns

PUBLIC_URL = "https://raven.example.org/"
HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def open_platform(database_url: str, email_settings: Settings) -> Generator[Callable[..., Platform]]:
    opened: list[Any] = []

    def open_one(**changes: Any) -> Platform:
        settings = change_settings(
            email_settings, database_url=SecretStr(database_url), **({"notify_emails": ()} | changes)
        )
        opened.append(build_platform(settings))
        return opened[-1].__enter__()

    yield open_one
    for each in opened:
        each.__exit__(None, None, None)


@pytest.fixture
def platform(open_platform: Callable[..., Platform]) -> Platform:
    return open_platform(public_url=PUBLIC_URL)


@pytest.fixture
def stranger(platform: Platform) -> Generator[TestClient]:
    """Somebody who is not signed in."""
    application = build_app(platform, token=SecretStr("a-token"), allow_server_paths=False)
    with TestClient(application) as client:
        yield client


def subscribe(platform: Platform, name: str, **wish: Any) -> str:
    """Makes an account with a subscription; returns the subscription's id."""
    platform.users.create(
        LOCAL_ADMINISTRATOR, name=name, roles=["Viewer"], email=f"{name}@example.org", has_password=False
    )
    wanted = replace(Wish(runs=SubscribedRuns.ALL, user=name), **wish)
    return str(platform.subscriptions.subscribe(LOCAL_ADMINISTRATOR, wanted).subscription.id)


def tell(platform: Platform, run: RunEnded) -> None:
    platform.notifications.announce(WORKER, run)
    for each in list_all(platform.notifications):
        platform.notifications.deliver(WORKER, each.id)


def read_link(mailbox: MailBox, number: int = 0) -> str:
    return str(mailbox.mails[number]["List-Unsubscribe"]).strip().strip("<>")


def make_path(link: str) -> str:
    """As the server that the link leads to is asked for it."""
    assert link.startswith(PUBLIC_URL)
    return link.removeprefix(PUBLIC_URL.rstrip("/"))


def list_subscribers(platform: Platform) -> list[str]:
    found = platform.subscriptions.list_subscriptions(LOCAL_ADMINISTRATOR, PageRequest(), of_all=True)
    return sorted(each.user for each in found.items)


def test_the_link_of_a_mail_ends_its_subscription_alone(
    platform: Platform, stranger: TestClient, mailbox: MailBox, make_run: Callable[..., RunEnded]
):
    subscribe(platform, "ana")
    subscribe(platform, "ben")
    tell(platform, make_run())
    number = mailbox.recipients.index(["ana@example.org"])
    mail, link = mailbox.mails[number], read_link(mailbox, number)
    assert mail["List-Unsubscribe-Post"] == ONE_CLICK
    plain = cast("Any", mail.get_body(("plain",))).get_content()
    assert f"a subscription names this address.\nUnsubscribe: {link}" in plain.replace("\r\n", "\n")
    assert link in Page(cast("Any", mail.get_body(("html",))).get_content()).links
    assert link != read_link(mailbox, 1 - number)

    page = stranger.get(make_path(link), headers=HTML)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "Messages when all training runs end." in page.text
    assert '<form method="post">' in page.text
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert list_subscribers(platform) == ["ana", "ben"], "mail servers that look behind links end nothing"

    done = stranger.post(make_path(link), content=ONE_CLICK, headers=FORM)
    assert (done.status_code, done.json()["has_ended"]) == (200, True)
    assert list_subscribers(platform) == ["ben"]
    tell(platform, make_run(id=make_id(), name="second"))
    assert sorted(mailbox.recipients[2:]) == [["ben@example.org"]]


def test_what_waits_already_is_not_sent_either(
    platform: Platform, stranger: TestClient, mailbox: MailBox, make_run: Callable[..., RunEnded]
):
    subscribe(platform, "ana")
    tell(platform, make_run())
    platform.notifications.announce(WORKER, make_run(id=make_id(), name="second"))
    stranger.post(make_path(read_link(mailbox)))
    for each in list_all(platform.notifications):
        platform.notifications.deliver(WORKER, each.id)
    assert len(mailbox.mails) == 1


def test_once_more_changes_nothing(
    platform: Platform, stranger: TestClient, mailbox: MailBox, make_run: Callable[..., RunEnded]
):
    subscribe(platform, "ana", ends=SubscribedEnds.ERROR, email="team@example.org")
    tell(platform, make_run(status="Error", model=None, figures={}))
    path = make_path(read_link(mailbox))
    assert "Messages to team@example.org when all training runs end in Error." in (
        stranger.get(path, headers=HTML).text
    )
    first, second = stranger.post(path, headers=HTML), stranger.post(path, headers=HTML)
    assert first.text == second.text
    assert "Nothing more is sent" in first.text
    assert "Nothing more is sent" in stranger.get(path, headers=HTML).text
    found = platform.audit.list_entries(
        LOCAL_ADMINISTRATOR, PageRequest(), EntryFilter(action="subscription.removed")
    )
    (entry,) = found.items
    assert (entry.actor_name, entry.actor_via, entry.actor_address) == (
        "not signed in",
        "unsubscribe link",
        "testclient",
    )
    assert (entry.target.name, entry.details["recipient"]) == ("ana", "team@example.org")


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_link_that_was_tampered_with_ends_nothing(
    platform: Platform,
    stranger: TestClient,
    mailbox: MailBox,
    make_run: Callable[..., RunEnded],
    method: str,
):
    subscribe(platform, "ana")
    subscribe(platform, "ben")
    tell(platform, make_run())
    tokens = [parse_qs(urlsplit(read_link(mailbox, number)).query)["token"][0] for number in (0, 1)]
    (first, signature), (second, _) = (token.split(".") for token in tokens)
    for forged in (
        f"{second}.{signature}",
        first,
        f"{first}.",
        signature,
        "",
        "ä.ö",
        f"{first}.{signature[::-1]}",
    ):
        answer = stranger.request(method, "/api/v1/unsubscribe", params={"token": forged})
        assert (answer.status_code, answer.json()["code"]) == (404, "subscription.bad_link"), forged
    assert stranger.request(method, "/api/v1/unsubscribe").status_code == 422
    assert list_subscribers(platform) == ["ana", "ben"]


def test_no_log_and_no_table_has_the_link(
    platform: Platform, stranger: TestClient, mailbox: MailBox, make_run: Callable[..., RunEnded]
):
    subscribe(platform, "ana")
    tell(platform, make_run())
    path = make_path(read_link(mailbox))
    token = parse_qs(urlsplit(path).query)["token"][0]
    mailbox.refusals = [f"554 we do not like https://raven.example.org{path}"]
    structlog.reset_defaults()
    with capture_logs() as logs:
        tell(platform, make_run(id=make_id(), name="second"))
        stranger.get(path)
        stranger.get(f"{path}x")
        stranger.post(path)
    assert {"request", "notification.failed"} <= {entry["event"] for entry in logs}
    entries = platform.audit.list_entries(LOCAL_ADMINISTRATOR, PageRequest()).items
    assert not re.search(re.escape(token), f"{logs}{list_all(platform.notifications)}{entries}")


def test_without_a_public_address_the_mail_names_the_command(
    open_platform: Callable[..., Platform], mailbox: MailBox, make_run: Callable[..., RunEnded]
):
    platform = open_platform()
    id_ = subscribe(platform, "ana")
    tell(platform, make_run())
    (mail,) = mailbox.mails
    assert mail["List-Unsubscribe"] is None
    assert f"`raven subscriptions remove {id_}`" in cast("Any", mail.get_body(("plain",))).get_content()


def test_one_click_is_for_https(
    open_platform: Callable[..., Platform], mailbox: MailBox, make_run: Callable[..., RunEnded]
):
    platform = open_platform(public_url="http://raven.internal:8700")
    subscribe(platform, "ana")
    tell(platform, make_run())
    (mail,) = mailbox.mails
    assert read_link(mailbox).startswith("http://raven.internal:8700/api/v1/unsubscribe?token=")
    assert mail["List-Unsubscribe-Post"] is None


def test_a_subscription_has_an_etag(platform: Platform):
    id_ = subscribe(platform, "ana")
    application = build_app(platform, token=SecretStr("a-token"), allow_server_paths=False)
    path = f"/api/v1/subscriptions/{id_}"
    with TestClient(application, headers={"Authorization": "Bearer a-token"}) as http:
        etag = http.get(path).headers["etag"]
        first = http.patch(path, json={"is_active": False}, headers={"If-Match": etag})
        assert (first.status_code, first.headers["etag"] == etag) == (200, False)
        late = http.patch(path, json={"ends": "error"}, headers={"If-Match": etag})
        assert (late.status_code, late.json()["code"]) == (412, "subscription.changed_meanwhile")
        assert http.patch(path, json={"ends": "error"}, headers={"If-Match": "x"}).status_code == 422


def test_webhooks_and_addresses_of_the_settings_have_no_link(
    open_platform: Callable[..., Platform],
    mailbox: MailBox,
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
):
    platform = open_platform(
        public_url=PUBLIC_URL,
        notify_emails=("inspector@example.org",),
        webhook_secret=SECRET,
        allow_private_webhooks=True,
    )
    subscribe(platform, "ana", webhook=SecretStr(f"{receiver.url}/hook"))
    tell(platform, make_run())
    (mail,) = mailbox.mails
    assert mail["List-Unsubscribe"] is None
    assert "RAVEN_NOTIFY_EMAILS names this address" in cast("Any", mail.get_body(("plain",))).get_content()
    (post,) = receiver.posts
    assert b"unsubscribe" not in post.body


def test_the_client_ends_it_too(platform: Platform, mailbox: MailBox, make_run: Callable[..., RunEnded]):
    subscribe(platform, "ana")
    tell(platform, make_run())
    token = parse_qs(urlsplit(read_link(mailbox)).query)["token"][0]
    application = build_app(platform, token=SecretStr("a-token"), allow_server_paths=False)
    with RavenClient.in_process(application) as raven:
        found = raven.subscriptions.find_linked(token)
        assert (found.has_ended, found.runs, found.recipient) == (False, SubscribedRuns.ALL, None)
        assert raven.subscriptions.unsubscribe(token).has_ended
        assert raven.subscriptions.find_linked(token).has_ended
        with pytest.raises(NotFound):
            raven.subscriptions.unsubscribe("x.y")
    assert list_subscribers(platform) == []
