"""Notifications through the queue and a worker, as they run in production."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from tests.notifications.receivers import MailBox, WebhookReceiver
from tests.notifications.steps import SECRET, change_settings, list_all, make_due

from raven_scan.access.types import WORKER
from raven_scan.jobs.worker import QueueWorker
from raven_scan.kernel.database import Database
from raven_scan.kernel.settings import Settings
from raven_scan.notifications.service import NotificationService
from raven_scan.notifications.tasks import SendingJob
from raven_scan.notifications.types import SEND_TASK, NotificationState, RunEnded

DEADLINE_S = 20.0


@pytest.fixture
def service(
    make_service: Callable[[Settings], NotificationService],
    email_settings: Settings,
    webhook_settings: Settings,
) -> NotificationService:
    given = {name: getattr(webhook_settings, name) for name in ("webhook_secret", "notify_webhooks")}
    return make_service(change_settings(email_settings, **given))


@pytest.fixture
def start_worker(database_url: str, service: NotificationService) -> Generator[Callable[[], None]]:
    conninfo = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    workers: list[QueueWorker] = []

    def start() -> None:
        workers.append(QueueWorker(conninfo, {SEND_TASK: SendingJob(service, WORKER)}, name="tester"))
        workers[-1].start()

    yield start
    for worker in workers:
        worker.stop()
        assert worker.join(DEADLINE_S)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.02)


def test_a_worker_sends_what_was_announced_and_what_failed_before(
    database: Database,
    service: NotificationService,
    start_worker: Callable[[], None],
    mailbox: MailBox,
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
):
    receiver.answers = [(500, {}, b"")]
    start_worker()
    with database.transaction():
        service.announce(WORKER, make_run())
    wait_until(lambda: len(mailbox.mails) == 1)
    wait_until(lambda: sorted(each.tries for each in list_all(service)) == [1, 1])
    wait_until(lambda: any(each.reason for each in list_all(service)))
    make_due(database)
    wait_until(lambda: {each.state for each in list_all(service)} == {NotificationState.SENT})
    assert len(receiver.posts) == 2

    def count_jobs() -> int:
        with database.transaction() as session:
            return session.execute(text("SELECT count(*) FROM procrastinate_jobs")).scalar_one()

    wait_until(lambda: count_jobs() == 0)


def test_a_worker_that_is_killed_while_it_sends_loses_nothing(
    database: Database,
    database_url: str,
    start_worker: Callable[[], None],
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
    make_service: Callable[[Settings], NotificationService],
    webhook_settings: Settings,
):
    by_webhook = make_service(webhook_settings)
    by_webhook.announce(WORKER, make_run())
    (address,) = webhook_settings.notify_webhooks
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAVEN_")} | {
        "RAVEN_HOME": str(webhook_settings.home),
        "RAVEN_DATABASE_URL": database_url,
        "RAVEN_WEBHOOK_SECRET": SECRET,
        "RAVEN_NOTIFY_WEBHOOKS": address.get_secret_value(),
    }
    program = Path(__file__).with_name("worker_of_a_process.py")
    process = subprocess.Popen([sys.executable, str(program)], env=environment)
    receiver.on_post = process.kill  # it has sent, and never hears the answer
    try:
        assert process.wait(DEADLINE_S) == -signal.SIGKILL
    finally:
        process.kill()
    receiver.on_post = lambda: None
    (waiting,) = list_all(by_webhook)
    assert (waiting.state, waiting.tries) == (NotificationState.WAITING, 1)
    # Turns the hands forward: the try counts as lost, and its job as dead.
    make_due(database)
    with database.transaction() as session:
        session.execute(text("UPDATE procrastinate_events SET at = at - interval '1 hour'"))
    by_webhook.keep_house(WORKER)
    start_worker()
    wait_until(lambda: [each.state for each in list_all(by_webhook)] == [NotificationState.SENT])
    first, second = receiver.posts
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
