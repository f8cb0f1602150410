"""Real receivers: mail servers with and without encryption, and a web server that answers as told."""

import ssl
from collections.abc import Callable, Generator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import trustme
from tests.notifications.receivers import MailBox, WebhookReceiver, receive_mail, receive_webhooks
from tests.notifications.steps import SECRET, change_settings

from raven_scan.jobs.queue import JobQueue
from raven_scan.kernel.clock import SystemClock
from raven_scan.kernel.database import Database
from raven_scan.kernel.settings import Settings
from raven_scan.notifications.service import NotificationService
from raven_scan.notifications.types import RunEnded


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def trust(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process takes the test authority's certificates, as an operator would have it do."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))


@pytest.fixture
def start_mail_server() -> Generator[Callable[..., MailBox]]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(receive_mail(**options))


@pytest.fixture
def mailbox(start_mail_server: Callable[..., MailBox]) -> MailBox:
    """A mail server without encryption."""
    return start_mail_server()


@pytest.fixture
def receiver() -> Generator[WebhookReceiver]:
    with receive_webhooks() as receiver:
        yield receiver


@pytest.fixture
def email_settings(settings: Settings, mailbox: MailBox) -> Settings:
    return change_settings(
        settings,
        smtp_host="localhost",
        smtp_port=mailbox.port,
        smtp_security="none",
        smtp_sender="raven@example.org",
        notify_emails="inspector@example.org",
    )


@pytest.fixture
def webhook_settings(settings: Settings, receiver: WebhookReceiver) -> Settings:
    return change_settings(
        settings, webhook_secret=SECRET, notify_webhooks=f"{receiver.url}/hooks/T0KEN-of-the-path"
    )


@pytest.fixture
def make_service(database: Database) -> Callable[[Settings], NotificationService]:
    return lambda settings: NotificationService(database, JobQueue(), settings, SystemClock())


@pytest.fixture
def make_run() -> Callable[..., RunEnded]:
    def make(**changes: Any) -> RunEnded:
        values: dict[str, Any] = {
            "id": UUID("01900000-0000-7000-8000-000000000001"),
            "name": "first",
            "status": "Success",
            "started_at": datetime(2026, 5, 4, 8, 0, tzinfo=UTC),
            "ended_at": datetime(2026, 5, 4, 11, 30, tzinfo=UTC),
            "attempts": 2,
            "dataset": "flights@3",
            "base_model": "rtmdet-lite0",
            "model": "first",
            "figures": {"map": 0.51, "map50": 0.7512, "map75": None},
        }
        return RunEnded(**(values | changes))

    return make


@pytest.fixture
def failed_run(make_run: Callable[..., RunEnded]) -> RunEnded:
    return make_run(
        status="Error",
        model=None,
        figures={},
        error_code="out_of_memory",
        error_message="The GPU ran out of memory.",
        error_hint="Lower --batch-size.",
        log_tail=[f"line {number}" for number in range(200)],
    )
