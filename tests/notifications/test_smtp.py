"""Mail servers, real ones, good and bad."""

import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email.headerregistry import Address
from email.mime.multipart import MIMEMultipart
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from tests.notifications.receivers import MailBox

from raven_scan.notifications.email_message import make_email
from raven_scan.notifications.smtp import MailServer, send_email
from raven_scan.notifications.types import Outcome
from raven_scan.notifications.wording import describe_test

PASSWORD = "correct-horse-battery"
RECIPIENT = Address(addr_spec="inspector@example.org")
SENDER = Address(addr_spec="raven@example.org")
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)

Start = Callable[..., MailBox]


def write() -> MIMEMultipart:
    message = describe_test(UUID("01900000-0000-7000-8000-0000000000aa"), NOW, sender="Jürgen")
    return make_email(message, sender=SENDER, recipient=RECIPIENT, now=NOW)


def send(
    port: int, security: str = "none", *, password: str | None = None, host: str = "localhost"
) -> Outcome:
    server = MailServer(
        host=host,
        port=port,
        security=security,
        user=None if password is None else "raven",
        password=None if password is None else SecretStr(password),
        sender=SENDER,
    )
    return send_email(server, write(), recipient=RECIPIENT)


def test_without_encryption(mailbox: MailBox):
    assert send(mailbox.port) == Outcome(is_sent=True)
    assert mailbox.recipients == [["inspector@example.org"]]
    assert mailbox.mails[0]["Subject"] == "[Raven Scan] Test message"
    text = mailbox.mails[0].get_body(("plain",))
    assert text is not None
    assert "Jürgen" in text.get_content()
    assert mailbox.encrypted == [False]


@pytest.mark.usefixtures("trust")
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encrypted_and_signed_in(start_mail_server: Start, server_context: ssl.SSLContext, security: str):
    mailbox = start_mail_server(**{security: server_context}, password=PASSWORD)
    assert send(mailbox.port, security, password=PASSWORD) == Outcome(is_sent=True)
    assert mailbox.encrypted == [True]
    assert mailbox.sign_ins == [("raven", True)]


@pytest.mark.usefixtures("trust")
def test_a_wrong_password(start_mail_server: Start, server_context: ssl.SSLContext):
    mailbox = start_mail_server(starttls=server_context, password=PASSWORD)
    outcome = send(mailbox.port, "starttls", password="wrong-horse")
    assert outcome.reason == "The mail server localhost refused the sign-in (535)."
    assert not outcome.is_final
    assert mailbox.mails == []


@pytest.mark.usefixtures("trust")
def test_without_a_sign_in_that_is_wanted(start_mail_server: Start, server_context: ssl.SSLContext):
    mailbox = start_mail_server(starttls=server_context, password=PASSWORD)
    outcome = send(mailbox.port, "starttls")
    assert not outcome.is_sent
    assert "530" in outcome.reason


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for(
    start_mail_server: Start, server_context: ssl.SSLContext, security: str
):
    mailbox = start_mail_server(**{security: server_context}, password=PASSWORD)
    outcome = send(mailbox.port, security, password=PASSWORD)
    assert not outcome.is_sent
    assert outcome.reason.startswith(
        f"No encryption with localhost, port {mailbox.port}: unable to get local"
    )
    assert mailbox.sign_ins == []


@pytest.mark.usefixtures("trust")
def test_a_certificate_of_another_host(start_mail_server: Start, server_context: ssl.SSLContext):
    mailbox = start_mail_server(tls=server_context)
    outcome = send(mailbox.port, "tls", host="127.0.0.1")
    assert not outcome.is_sent
    assert "IP address mismatch" in outcome.reason


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_nothing_is_said_without_the_encryption_that_is_wanted(mailbox: MailBox, security: str):
    outcome = send(mailbox.port, security, password=PASSWORD)
    assert not outcome.is_sent
    assert mailbox.mails == []
    assert mailbox.sign_ins == []


@pytest.mark.parametrize(
    ("refusal", "is_final"), [("550 No such mailbox", True), ("451 Try again later", False)]
)
def test_a_recipient_that_is_refused(mailbox: MailBox, refusal: str, is_final: bool):  # noqa: FBT001
    mailbox.recipient_refusal = refusal
    outcome = send(mailbox.port)
    code, _, text = refusal.partition(" ")
    assert outcome == Outcome(
        is_sent=False, reason=f"The mail server localhost answered {code}: {text}", is_final=is_final
    )


@pytest.mark.parametrize(("refusal", "is_final"), [("554 Spam", True), ("452 Disk full", False)])
def test_a_mail_that_is_refused(mailbox: MailBox, refusal: str, is_final: bool):  # noqa: FBT001
    mailbox.refusals = [refusal]
    outcome = send(mailbox.port)
    assert (outcome.is_sent, outcome.is_final) == (False, is_final)
    assert refusal.partition(" ")[2] in outcome.reason
    assert send(mailbox.port).is_sent


def test_an_endless_answer_is_cut(mailbox: MailBox):
    mailbox.refusals = ["451 " + "x" * 400]
    assert len(send(mailbox.port).reason) <= 300


def test_nobody_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        outcome = send(port)
    assert outcome.reason == f"No answer from localhost, port {port}: Connection refused."
    assert not outcome.is_final
    unknown = send(25, host="mail.invalid")
    assert unknown.reason.startswith("No answer from mail.invalid, port 25: ")


@pytest.mark.parametrize("greeting", [b"", b"220 mail\r\n", b"\xff\xff\r\n", b"554 go away\r\n"])
def test_a_server_that_hangs_up(greeting: bytes):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(greeting)

        thread = threading.Thread(target=answer)
        thread.start()
        outcome = send(server.getsockname()[1])
        thread.join()
    assert not outcome.is_sent
    assert not outcome.is_final
    assert outcome.reason


def test_what_is_taken_is_sent_whatever_comes_after():
    """A server that takes the mail and dies before the farewell."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rwb", buffering=0) as talk:
                said: Any = talk
                said.write(b"220 mail\r\n")
                while not said.readline().lower().startswith(b"data"):
                    said.write(b"250 OK\r\n")
                said.write(b"354 go on\r\n")
                while said.readline() != b".\r\n":
                    pass
                said.write(b"250 taken\r\n")

        thread = threading.Thread(target=take)
        thread.start()
        assert send(server.getsockname()[1]) == Outcome(is_sent=True)
        thread.join()
