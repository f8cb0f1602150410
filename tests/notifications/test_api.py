"""Notifications over REST, and through the typed client."""

from collections.abc import Callable, Generator

import pytest
from fastapi import FastAPI
from tests.notifications.receivers import WebhookReceiver

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER, Actor
from raven_scan.app.problems import install_problem_answers
from raven_scan.client import RavenClient
from raven_scan.kernel.errors import Conflict, Invalid
from raven_scan.kernel.settings import Settings
from raven_scan.notifications.api import build_router
from raven_scan.notifications.service import NotificationService
from raven_scan.notifications.types import Channel, NotificationState, RunEnded

Serve = Callable[[NotificationService], RavenClient]


@pytest.fixture
def serve() -> Generator[Serve]:
    clients: list[RavenClient] = []

    def start(service: NotificationService) -> RavenClient:
        def get_actor() -> Actor:
            return LOCAL_ADMINISTRATOR

        app = FastAPI()
        install_problem_answers(app)
        app.include_router(build_router(service, get_actor))
        clients.append(RavenClient.in_process(app))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


def test_lists_in_pages_and_by_state(
    serve: Serve,
    make_service: Callable[[Settings], NotificationService],
    webhook_settings: Settings,
    receiver: WebhookReceiver,
    make_run: Callable[..., RunEnded],
):
    service = make_service(webhook_settings)
    raven = serve(service)
    assert raven.notifications.list().items == []
    for name in ("one", "two"):
        service.announce(WORKER, make_run(name=name))
    page = raven.notifications.list(limit=1)
    assert [each.subject for each in page.items] == ["two"]
    assert [each.subject for each in raven.notifications.list(limit=1, cursor=page.next).items] == ["one"]
    service.deliver(WORKER, page.items[0].id)
    (sent,) = raven.notifications.list(state="sent").items
    assert (sent.channel, sent.state, sent.tries) == (Channel.WEBHOOK, NotificationState.SENT, 1)
    assert len(receiver.posts) == 1
    with pytest.raises(Invalid):
        raven.notifications.list(state="lost")


def test_a_test_message(
    serve: Serve,
    make_service: Callable[[Settings], NotificationService],
    settings: Settings,
    webhook_settings: Settings,
    receiver: WebhookReceiver,
):
    (told,) = serve(make_service(webhook_settings)).notifications.send_test().items
    assert (told.channel, told.is_sent, told.reason) == (Channel.WEBHOOK, True, "")
    assert len(receiver.posts) == 1
    with pytest.raises(Conflict, match="Nobody is to be notified"):
        serve(make_service(settings)).notifications.send_test()
