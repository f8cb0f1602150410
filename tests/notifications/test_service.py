"""From the transaction in which a run ends to the receiver, on a real PostgreSQL."""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy import text
from structlog.testing import capture_logs
from tests.notifications.receivers import MailBox, WebhookReceiver
from tests.notifications.steps import SECRET, change_settings, list_all, make_due

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER, Actor
from raven_scan.app.log_output import set_up_logging
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Conflict, Forbidden
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.settings import Settings
from raven_scan.notifications import sending
from raven_scan.notifications.service import RETRY_DELAYS_S, NotificationService
from raven_scan.notifications.types import NotificationEvent, NotificationState, RunEnded

MakeService = Callable[[Settings], NotificationService]


@pytest.fixture
def service(make_service: MakeService, webhook_settings: Settings) -> NotificationService:
    """With one webhook to tell."""
    return make_service(webhook_settings)


def query(database: Database, sql: str, **parameters: Any) -> list[Any]:
    with database.transaction() as session:
        return list(session.execute(text(sql), parameters))


def list_jobs(database: Database) -> list[Any]:
    return query(
        database,
        "SELECT id, args->>'notification_id' AS notification_id, status,"
        " extract(epoch FROM scheduled_at - now())::float AS wait_s FROM procrastinate_jobs ORDER BY id",
    )


def deliver(service: NotificationService, id_: UUID) -> None:
    service.deliver(WORKER, id_)


def announce(service: NotificationService, run: RunEnded) -> UUID:
    service.announce(WORKER, run)
    return list_all(service)[0].id


def test_a_run_that_ended_is_told_to_every_recipient(
    make_service: MakeService,
    email_settings: Settings,
    webhook_settings: Settings,
    mailbox: MailBox,
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
):
    given = {name: getattr(webhook_settings, name) for name in ("webhook_secret", "notify_webhooks")}
    emails = "a@example.org,b@example.org"
    service = make_service(change_settings(email_settings, notify_emails=emails, **given))
    service.announce(WORKER, make_run())
    waiting = list_all(service)
    assert {each.state for each in waiting} == {NotificationState.WAITING}
    assert (mailbox.mails, receiver.posts) == ([], [])
    for each in waiting:
        deliver(service, each.id)
    assert sorted(mailbox.recipients) == [["a@example.org"], ["b@example.org"]]
    assert len(receiver.posts) == 1
    sent = list_all(service)
    assert {each.state for each in sent} == {NotificationState.SENT}
    assert {(each.tries, each.reason, each.due_at) for each in sent} == {(1, "", None)}
    assert {each.event for each in sent} == {NotificationEvent.RUN_SUCCEEDED}
    assert {each.subject for each in sent} == {"first"}
    assert all(each.ended_at for each in sent)
    assert receiver.posts[0].headers["webhook-id"] in {str(each.id) for each in sent}


def test_nothing_is_told_of_an_end_that_was_rolled_back(
    database: Database, service: NotificationService, make_run: Callable[..., RunEnded]
):
    def end_run() -> None:
        with database.transaction():
            service.announce(WORKER, make_run())
            assert len(list_all(service)) == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        end_run()
    assert list_all(service) == []
    assert list_jobs(database) == []


def test_without_recipients_nothing_is_written(
    database: Database, make_service: MakeService, settings: Settings, make_run: Callable[..., RunEnded]
):
    service = make_service(settings)
    service.announce(WORKER, make_run())
    assert list_all(service) == []
    assert list_jobs(database) == []
    with pytest.raises(Conflict) as refusal:
        service.send_test(LOCAL_ADMINISTRATOR)
    assert refusal.value.code == "notification.no_recipients"


def test_what_fails_is_tried_again_ever_later_and_given_up(
    database: Database, service: NotificationService, receiver: WebhookReceiver, failed_run: RunEnded
):
    receiver.answers = [(503, {}, b"down")] * 20
    id_ = announce(service, failed_run)
    for tried, delay_s in enumerate(RETRY_DELAYS_S, start=1):
        deliver(service, id_)
        (waiting,) = list_all(service)
        assert (waiting.state, waiting.tries) == (NotificationState.WAITING, tried)
        assert waiting.reason == "The webhook answered 503: down"
        job = list_jobs(database)[-1]
        assert job.notification_id == str(id_)
        assert delay_s - 30 < job.wait_s <= delay_s
        deliver(service, id_)
        assert len(receiver.posts) == tried, "it is not due"
        make_due(database)
    deliver(service, id_)
    (given_up,) = list_all(service)
    assert (given_up.state, given_up.tries, given_up.due_at) == (NotificationState.FAILED, 8, None)
    assert given_up.reason == "The webhook answered 503: down"
    make_due(database)
    deliver(service, id_)
    assert len(receiver.posts) == 8
    assert len({posted.headers["webhook-id"] for posted in receiver.posts}) == 1
    assert sum(RETRY_DELAYS_S) < 24 * 3600


def test_a_receiver_that_comes_back_is_told(
    database: Database,
    service: NotificationService,
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
):
    receiver.answers = [(500, {}, b"")]
    id_ = announce(service, make_run())
    deliver(service, id_)
    make_due(database)
    deliver(service, id_)
    (sent,) = list_all(service)
    assert (sent.state, sent.tries, sent.reason) == (NotificationState.SENT, 2, "")


def test_a_receiver_that_is_gone_for_good_is_not_asked_again(
    service: NotificationService, receiver: WebhookReceiver, make_run: Callable[..., RunEnded]
):
    receiver.answers = [(410, {}, b"")]
    id_ = announce(service, make_run())
    deliver(service, id_)
    (failed,) = list_all(service)
    assert (failed.state, failed.tries) == (NotificationState.FAILED, 1)


def test_a_mail_keeps_its_id_over_its_tries(
    database: Database,
    make_service: MakeService,
    email_settings: Settings,
    mailbox: MailBox,
    make_run: Callable[..., RunEnded],
):
    service = make_service(email_settings)
    id_ = announce(service, make_run())
    mailbox.refusals = ["451 later"]
    deliver(service, id_)
    make_due(database)
    deliver(service, id_)
    assert mailbox.mails[0]["Message-ID"] == f"<{id_}@example.org>"


def test_two_workers_do_not_send_the_same(
    service: NotificationService, receiver: WebhookReceiver, make_run: Callable[..., RunEnded]
):
    id_ = announce(service, make_run())
    receiver.on_post = lambda: deliver(service, id_)
    deliver(service, id_)
    assert len(receiver.posts) == 1
    assert [each.state for each in list_all(service)] == [NotificationState.SENT]


def test_what_a_killed_worker_left_is_queued_anew(
    database: Database,
    service: NotificationService,
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
):
    id_ = announce(service, make_run())
    service.keep_house(WORKER)
    assert len(list_jobs(database)) == 1, "its job waits"
    # Taken, its try begun, and the worker killed.
    query(database, "DELETE FROM procrastinate_jobs RETURNING 1")
    query(database, "UPDATE notifications SET tries = 1, due_at = now() + interval '1 min' RETURNING 1")
    service.keep_house(WORKER)
    assert list_jobs(database) == [], "the try may be under way"
    make_due(database)
    service.keep_house(WORKER)
    service.keep_house(WORKER)
    (job,) = list_jobs(database)
    assert job.notification_id == str(id_)
    deliver(service, id_)
    assert [(each.state, each.tries) for each in list_all(service)] == [(NotificationState.SENT, 2)]
    assert len(receiver.posts) == 1


def test_a_message_that_kills_its_worker_is_given_up(
    database: Database,
    service: NotificationService,
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
):
    id_ = announce(service, make_run())
    query(database, "UPDATE notifications SET tries = 8 RETURNING 1")
    deliver(service, id_)
    (failed,) = list_all(service)
    assert failed.state is NotificationState.FAILED
    assert failed.reason == "The worker died while it was sent."
    assert receiver.posts == []


@pytest.mark.parametrize(
    ("late", "early", "state", "reason"),
    [
        (500, 503, NotificationState.WAITING, "The webhook answered 503."),
        (500, 204, NotificationState.SENT, ""),
        (204, 503, NotificationState.SENT, ""),
    ],
)
def test_a_try_that_was_overtaken_says_only_that_it_arrived(
    database: Database,
    service: NotificationService,
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
    late: int,
    early: int,
    state: NotificationState,
    reason: str,
):
    id_ = announce(service, make_run())

    def overtake() -> None:
        receiver.on_post = lambda: None
        make_due(database)
        deliver(service, id_)

    receiver.on_post = overtake
    receiver.answers = [(early, {}, b""), (late, {}, b"")]
    deliver(service, id_)
    (told,) = list_all(service)
    assert (told.state, told.tries, told.reason) == (state, 2, reason)


def test_a_recipient_that_left_the_settings_is_not_told(
    make_service: MakeService,
    service: NotificationService,
    settings: Settings,
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
):
    id_ = announce(service, make_run())
    deliver(make_service(settings), id_)
    (waiting,) = list_all(service)
    assert waiting.reason == "The settings do not name this recipient any more."
    assert receiver.posts == []


def test_what_is_due_is_sent_before_a_process_ends(
    service: NotificationService, receiver: WebhookReceiver, make_run: Callable[..., RunEnded]
):
    announce(service, make_run(name="one"))
    announce(service, make_run(name="two"))
    service.deliver_due(WORKER, longest_s=0)
    assert receiver.posts == []
    service.deliver_due(WORKER, longest_s=30)
    assert [json.loads(posted.body)["data"]["name"] for posted in receiver.posts] == ["one", "two"]
    assert {each.state for each in list_all(service)} == {NotificationState.SENT}


def test_a_receiver_that_never_ends_holds_nobody_up(
    make_service: MakeService, settings: Settings, make_run: Callable[..., RunEnded], database: Database
):
    """It takes the connection and says nothing; the worker is asked to stop meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        service = make_service(change_settings(settings, webhook_secret=SECRET, notify_webhooks=address))
        id_ = announce(service, make_run())
        stop = threading.Event()
        stop.set()
        began = time.monotonic()
        service.deliver(WORKER, id_, stop=stop)
        assert time.monotonic() - began < 8
        began = time.monotonic()
        service.deliver_due(WORKER, longest_s=0.3)
        assert time.monotonic() - began < 4
    (waiting,) = list_all(service)
    assert (waiting.state, waiting.tries, waiting.reason) == (NotificationState.WAITING, 0, "")
    assert list_jobs(database)[-1].wait_s <= 0


def test_a_receiver_that_takes_too_long_is_left():
    answered = threading.Event()

    def wait_for_ever() -> Any:
        answered.wait()

    outcome = sending.Try(wait_for_ever, longest_s=0.2).wait()
    answered.set()
    assert outcome is not None
    assert (outcome.is_sent, outcome.reason) == (False, "It was not taken within 0.2 s.")


def test_hostile_content_keeps_no_run_from_ending(
    database: Database,
    service: NotificationService,
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
):
    broken = "a\0b\ud800c\u2028d"
    run = make_run(
        status="Error",
        name=broken,
        dataset=broken,
        base_model=broken,
        model=broken,
        figures={"map": float("nan"), "map50": float("inf"), broken: 0.5},
        error_code=broken,
        error_message=broken,
        error_hint=broken,
        log_tail=[broken * 10_000] * 1000,
    )
    deliver(service, announce(service, run))
    assert [each.state for each in list_all(service)] == [NotificationState.SENT]
    assert json.loads(receiver.posts[0].body)["data"]["name"] == "a\ufffdb?c\u2028d"
    ((size,),) = query(database, "SELECT pg_column_size(content::text) FROM notifications")
    assert size < 50_000


def test_secrets_reach_neither_table_nor_log(
    database: Database,
    make_service: MakeService,
    email_settings: Settings,
    webhook_settings: Settings,
    receiver: WebhookReceiver,
    mailbox: MailBox,
    make_run: Callable[..., RunEnded],
):
    given = {name: getattr(webhook_settings, name) for name in ("webhook_secret", "notify_webhooks")}
    settings = change_settings(email_settings, **given, token="the-api-token")
    service = make_service(settings)
    run = make_run(
        status="Error",
        error_message="401 for the-api-token",
        log_tail=[f"export RAVEN_WEBHOOK_SECRET={SECRET}"],
    )
    receiver.answers = [(500, {}, b"POST /hooks/T0KEN-of-the-path")]
    mailbox.refusals = ["451 the-api-token"]
    structlog.reset_defaults()
    with capture_logs() as logs:
        service.announce(WORKER, run)
        for each in list_all(service):
            deliver(service, each.id)
        service.send_test(LOCAL_ADMINISTRATOR)
    assert {entry["event"] for entry in logs} == {"notification.try_failed"}
    tables = query(database, "SELECT n::text FROM notifications n") + query(
        database, "SELECT j::text FROM procrastinate_jobs j"
    )
    everywhere = str(logs) + str(tables) + str(list_all(service)) + receiver.posts[0].body.decode()
    for secret in ("T0KEN", SECRET, "the-api-token"):
        assert secret not in everywhere
    assert receiver.url in everywhere


def test_the_most_talkative_log_tells_no_address(
    make_service: MakeService,
    webhook_settings: Settings,
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
    capfd: pytest.CaptureFixture[str],
):
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    set_up_logging("DEBUG", secrets=webhook_settings.list_secrets())
    try:
        service = make_service(webhook_settings)
        deliver(service, announce(service, make_run()))
    finally:
        root.handlers = handlers
        root.setLevel(level)
        structlog.reset_defaults()
    logged = capfd.readouterr().err
    assert "HTTP Request: POST" in logged, "the web client logs its requests"
    assert len(receiver.posts) == 1
    assert "T0KEN" not in logged
    assert SECRET not in logged


def test_a_test_message_tells_how_each_fared(
    database: Database,
    make_service: MakeService,
    email_settings: Settings,
    webhook_settings: Settings,
    receiver: WebhookReceiver,
    mailbox: MailBox,
):
    given = {name: getattr(webhook_settings, name) for name in ("webhook_secret", "notify_webhooks")}
    service = make_service(change_settings(email_settings, **given))
    receiver.answers = [(403, {}, b"not you")]
    by_email, by_webhook = service.send_test(LOCAL_ADMINISTRATOR)
    assert (by_email.recipient, by_email.is_sent, by_email.reason) == ("inspector@example.org", True, "")
    assert mailbox.mails[0]["Subject"] == "[Raven Scan] Test message"
    assert (by_webhook.is_sent, by_webhook.reason) == (False, "The webhook answered 403: not you")
    assert by_webhook.recipient.startswith(f"{receiver.url} (")
    assert json.loads(receiver.posts[0].body)["type"] == "test"
    assert list_all(service) == []
    assert list_jobs(database) == []


def test_pages_and_states(
    service: NotificationService, receiver: WebhookReceiver, make_run: Callable[..., RunEnded]
):
    ids = [announce(service, make_run(name=f"run {number}")) for number in range(3)]
    deliver(service, ids[0])
    first = service.list_notifications(LOCAL_ADMINISTRATOR, PageRequest(limit=2))
    assert [each.subject for each in first.items] == ["run 2", "run 1"]
    rest = service.list_notifications(LOCAL_ADMINISTRATOR, PageRequest.parse(2, first.next))
    assert ([each.subject for each in rest.items], rest.next) == (["run 0"], None)
    sent = service.list_notifications(LOCAL_ADMINISTRATOR, PageRequest(), state=NotificationState.SENT)
    assert [each.id for each in sent.items] == [ids[0]]
    assert len(receiver.posts) == 1


def test_what_ended_long_ago_is_removed(
    database: Database, service: NotificationService, make_run: Callable[..., RunEnded]
):
    old, young = announce(service, make_run()), announce(service, make_run())
    for each in (old, young):
        deliver(service, each)
    query(
        database,
        "UPDATE notifications SET ended_at = now() - interval '91 days' WHERE id = :id RETURNING 1",
        id=old,
    )
    service.keep_house(WORKER)
    assert [each.id for each in list_all(service)] == [young]


def test_each_use_case_asks_for_its_claim(service: NotificationService, make_run: Callable[..., RunEnded]):
    nobody = Actor(id=make_id(), name="nobody", claims=frozenset())
    calls: list[Callable[[], object]] = [
        lambda: service.announce(nobody, make_run()),
        lambda: service.deliver(nobody, make_id()),
        lambda: service.deliver_due(nobody, longest_s=1),
        lambda: service.keep_house(nobody),
        lambda: service.send_test(nobody),
        lambda: service.list_notifications(nobody, PageRequest()),
    ]
    for call in calls:
        with pytest.raises(Forbidden):
            call()


def test_one_that_is_not_there_is_no_error(service: NotificationService):
    deliver(service, make_id())
