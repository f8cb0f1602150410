"""Webhooks: signed as the standard says, and posted to a real server."""

import json
import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from tests.notifications.receivers import Posted, WebhookReceiver
from tests.notifications.steps import SECRET

from raven_scan.notifications.types import Message, Outcome, RunEnded
from raven_scan.notifications.webhook import make_signature, post_webhook
from raven_scan.notifications.wording import describe_run

ID = UUID("01900000-0000-7000-8000-0000000000aa")
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
PATH = "/hooks/T0KEN-of-the-path?key=K3Y"
OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


@pytest.fixture
def message(make_run: Callable[..., RunEnded]) -> Message:
    return describe_run(ID, make_run(name="Sperrmüll 垃圾"), public_url="https://raven.example.org")


def post(receiver: WebhookReceiver, message: Message, *, now: datetime = NOW) -> Outcome:
    return post_webhook(SecretStr(receiver.url + PATH), SecretStr(SECRET), message, now=now)


def test_the_signature_of_the_standard():
    """A vector that implementations of Standard Webhooks are tested with."""
    signature = make_signature(
        SecretStr(SECRET),
        id_="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_success(receiver: WebhookReceiver, message: Message):
    assert post(receiver, message) == Outcome(is_sent=True)
    (posted,) = receiver.posts
    assert posted.path == PATH
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["webhook-id"] == str(ID)
    assert posted.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert json.loads(posted.body) == {
        "type": "training_run.succeeded",
        "timestamp": "2026-05-04T11:30:00+00:00",
        "data": {
            "id": "01900000-0000-7000-8000-000000000001",
            "name": "Sperrmüll 垃圾",
            "status": "Success",
            "started_at": "2026-05-04T08:00:00+00:00",
            "ended_at": "2026-05-04T11:30:00+00:00",
            "attempts": 2,
            "dataset": "flights@3",
            "base_model": "rtmdet-lite0",
            "model": "first",
            "figures": {"map": 0.51, "map50": 0.7512, "map75": None},
            "error": None,
            "url": "https://raven.example.org/api/v1/training-runs/01900000-0000-7000-8000-000000000001",
        },
    }


def test_an_error_tells_its_cause_and_no_log(receiver: WebhookReceiver, failed_run: RunEnded):
    post(receiver, describe_run(ID, failed_run, public_url=None))
    told = json.loads(receiver.posts[0].body)
    assert told["type"] == "training_run.failed"
    assert told["data"]["error"] == {
        "code": "out_of_memory",
        "message": "The GPU ran out of memory.",
        "hint": "Lower --batch-size.",
    }
    assert told["data"]["figures"] is None
    assert "line 199" not in receiver.posts[0].body.decode()


def test_a_second_try_has_the_same_id_and_body_and_a_new_time(receiver: WebhookReceiver, message: Message):
    post(receiver, message)
    post(receiver, message, now=NOW + timedelta(hours=1))
    first, second = receiver.posts
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def load_documented_check() -> Callable[[str, dict[str, str], bytes], bool]:
    """The function of the section on checking a webhook in docs/operations.md."""
    blocks = re.findall(r"```python\n(.*?)```", OPERATIONS.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [block for block in blocks if "webhook-signature" in block]
    namespace: dict[str, Any] = {}
    exec(compile(block, "operations.md", "exec"), namespace)  # noqa: S102 - our own documentation
    return namespace["is_from_raven"]


def test_the_documented_check_admits_what_we_post(receiver: WebhookReceiver, message: Message):
    is_from_raven = load_documented_check()
    post(receiver, message, now=datetime.now(UTC))
    (posted,) = receiver.posts
    assert is_from_raven(SECRET, posted.headers, posted.body)
    assert not is_from_raven(SECRET, posted.headers, posted.body + b" ")
    assert not is_from_raven("whsec_" + "A" * 32, posted.headers, posted.body)
    for header, value in (("webhook-id", "other"), ("webhook-signature", "v1,AAAA")):
        assert not is_from_raven(SECRET, posted.headers | {header: value}, posted.body)


def test_the_documented_check_refuses_what_is_old(receiver: WebhookReceiver, message: Message):
    post(receiver, message, now=datetime.now(UTC) - timedelta(minutes=6))
    (posted,) = receiver.posts
    assert not load_documented_check()(SECRET, posted.headers, posted.body)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(receiver: WebhookReceiver, message: Message, status: int):
    receiver.answers = [(status, {"Location": receiver.url + "/elsewhere"}, b"")]
    assert post(receiver, message).reason == (
        f"The webhook answered {status}, and redirects are not followed."
    )
    assert [posted.path for posted in receiver.posts] == [PATH]


@pytest.mark.parametrize(("status", "is_final"), [(400, False), (404, False), (410, True), (503, False)])
def test_other_answers_are_failures(
    receiver: WebhookReceiver,
    message: Message,
    status: int,
    is_final: bool,  # noqa: FBT001
):
    receiver.answers = [(status, {}, b"no\r\n\x1b[31m room")]
    assert post(receiver, message) == Outcome(
        is_sent=False, reason=f"The webhook answered {status}: no [31m room", is_final=is_final
    )


def test_of_an_answer_only_the_start_is_told(receiver: WebhookReceiver, message: Message):
    receiver.answers = [(500, {}, b"x" * 1_000_000)]
    assert post(receiver, message).reason == f"The webhook answered 500: {'x' * 199}…"


def test_an_answer_that_quotes_the_address_tells_no_token(receiver: WebhookReceiver, message: Message):
    receiver.answers = [(500, {}, f"POST {PATH} failed; {receiver.url}{PATH}".encode())]
    assert post(receiver, message).reason == "The webhook answered 500: POST *** failed; ***"


def test_a_password_in_the_address_is_for_the_receiver_alone(receiver: WebhookReceiver, message: Message):
    address = SecretStr(receiver.url.replace("//", "//raven:p4ss@") + PATH)
    receiver.answers = [(204, {}, b""), (401, {}, b"")]
    assert post_webhook(address, SecretStr(SECRET), message, now=NOW).is_sent
    assert receiver.posts[0].headers["authorization"].startswith("Basic ")
    assert "p4ss" not in post_webhook(address, SecretStr(SECRET), message, now=NOW).reason


def test_nobody_there(message: Message):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}{PATH}"
        outcome = post_webhook(SecretStr(address), SecretStr(SECRET), message, now=NOW)
    assert outcome.reason.startswith("The webhook did not answer: ")
    assert "refused" in outcome.reason
    assert "T0KEN" not in outcome.reason


def test_what_is_posted_is_one_request(receiver: WebhookReceiver, message: Message):
    assert isinstance(message.data["name"], str)
    post(receiver, message)
    assert [type(posted) for posted in receiver.posts] == [Posted]
