"""`raven notifications`, as an operator uses it."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.notifications.receivers import MailBox, WebhookReceiver
from tests.notifications.steps import SECRET

from raven_scan.access.types import WORKER
from raven_scan.app.cli.program import run
from raven_scan.jobs.queue import JobQueue
from raven_scan.kernel.clock import SystemClock
from raven_scan.kernel.database import Database
from raven_scan.kernel.settings import Settings
from raven_scan.notifications.service import NotificationService
from raven_scan.notifications.types import RunEnded


@dataclass(frozen=True)
class Said:
    code: int
    out: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def command(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Said]]:
    for name in [name for name in os.environ if name.startswith("RAVEN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAVEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RAVEN_DATABASE_URL", database_url)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level

    def call(*arguments: str) -> Said:
        capsys.readouterr()
        code = run(arguments)
        return Said(code, capsys.readouterr().out)

    yield call
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def raven(command: Callable[..., Said]) -> Callable[..., Said]:
    return partial(command, "notifications")


@pytest.fixture
def with_recipients(
    raven: Callable[..., Said], mailbox: MailBox, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    del raven  # it begins with no settings at all
    for name, value in {
        "SMTP_HOST": "localhost",
        "SMTP_PORT": str(mailbox.port),
        "SMTP_SECURITY": "none",
        "SMTP_SENDER": "raven@example.org",
        "NOTIFY_EMAILS": "inspector@example.org",
        "WEBHOOK_SECRET": SECRET,
        "NOTIFY_WEBHOOKS": f"{receiver.url}/T0KEN-of-the-path",
    }.items():
        monkeypatch.setenv(f"RAVEN_{name}", value)


@pytest.mark.usefixtures("with_recipients")
def test_a_test_message_reaches_everybody(
    raven: Callable[..., Said], mailbox: MailBox, receiver: WebhookReceiver
):
    told = raven("test", "--json")
    assert told.code == 0
    assert [(each["channel"], each["is_sent"]) for each in told.document["items"]] == [
        ("email", True),
        ("webhook", True),
    ]
    assert (len(mailbox.mails), len(receiver.posts)) == (1, 1)


@pytest.mark.usefixtures("with_recipients")
def test_a_test_message_that_does_not_arrive_is_told(
    raven: Callable[..., Said], mailbox: MailBox, receiver: WebhookReceiver
):
    mailbox.recipient_refusal = "550 No such mailbox"
    told = raven("test")
    assert told.code == 6
    assert "answered 550: No such mailbox" in " ".join(told.out.split())
    assert "T0KEN" not in told.out
    assert len(receiver.posts) == 1


def test_without_recipients_there_is_nothing_to_test(raven: Callable[..., Said]):
    told = raven("test", "--json")
    assert (told.code, told.document["error"]["code"]) == (5, "notification.no_recipients")
    assert raven("list", "--json").document == {"items": [], "next": None}


@pytest.mark.usefixtures("with_recipients")
def test_deliveries_are_listed(
    raven: Callable[..., Said], database: Database, make_run: Callable[..., RunEnded]
):
    service = NotificationService(database, JobQueue(), Settings(), SystemClock())
    service.announce(WORKER, make_run(name="[bold]first"))
    listed = raven("list", "--state", "waiting", "--json").document["items"]
    assert {each["recipient"] for each in listed} >= {"inspector@example.org"}
    assert {(each["subject"], each["event"]) for each in listed} == {
        ("[bold]first", "training_run.succeeded")
    }
    assert "[bold]first" in raven("list").out
    assert raven("list", "--state", "lost", "--json").code == 2


@pytest.mark.usefixtures("with_recipients")
def test_somebody_is_subscribed_and_hears_a_test(
    command: Callable[..., Said], receiver: WebhookReceiver, mailbox: MailBox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAVEN_ALLOW_PRIVATE_WEBHOOKS", "true")
    assert command("users", "create", "ana", "--role", "Trainer", "--email", "ana@example.org").code == 0
    told = command("subscriptions", "add", "--json")
    assert (told.code, told.document["error"]["code"]) == (4, "subscription.no_account")
    by_mail = command("subscriptions", "add", "--user", "ana", "--all", "--on", "error", "--json").document
    assert (by_mail["runs"], by_mail["ends"], by_mail["recipient"], by_mail["secret"]) == (
        "all",
        "error",
        "ana@example.org",
        None,
    )
    address = f"{receiver.url}/T0KEN"
    shown = command("subscriptions", "add", "--user", "ana", "--webhook", address)
    assert "whsec_" in shown.out
    listed = command("subscriptions", "list", "--user", "ana", "--json")
    assert "T0KEN" not in listed.out
    rested = command("subscriptions", "edit", by_mail["id"], "--rest", "--json").document
    assert (rested["is_active"], rested["ends"]) == (False, "error")
    assert "nothing by it" in command("subscriptions", "edit", by_mail["id"], "--rest").out
    told = command("subscriptions", "edit", by_mail["id"], "--wake", "--on", "both")
    assert told.out == "ana@example.org is told of every end.\n"
    assert command("subscriptions", "edit", by_mail["id"], "--json").code == 2
    assert "secret" not in listed.out
    items = listed.document["items"]
    assert [each["channel"] for each in items] == ["webhook", "email"]
    for each in items:
        assert command("subscriptions", "test", each["id"]).code == 0
    assert (len(receiver.posts), len(mailbox.mails)) == (1, 1)
    assert command("subscriptions", "remove", by_mail["id"]).code == 0
    assert command("subscriptions", "test", by_mail["id"], "--json").code == 3
    assert "ana" in command("subscriptions", "list", "--all").out
    assert command("subscriptions", "add", "--all", "--run", "first").code == 2
    assert command("subscriptions", "add", "--on", "sometimes", "--json").code == 2
