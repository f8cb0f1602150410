"""What a mail looks like, whatever it tells of."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import compat32, default
from html.parser import HTMLParser
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raven_scan.notifications.content import pack_event, unpack_event
from raven_scan.notifications.email_message import make_email
from raven_scan.notifications.plain_text import make_line
from raven_scan.notifications.types import Message, RunEnded
from raven_scan.notifications.wording import describe_run, describe_test

ID = UUID("01900000-0000-7000-8000-0000000000aa")
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HEADERS = ["Content-Type", "MIME-Version", "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"]

SENDER = Address(addr_spec="raven@example.org")
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=60)


def write(run: RunEnded, *, public_url: str | None = None) -> EmailMessage:
    """The mail as its reader gets it."""
    kept = unpack_event(pack_event(run, []))
    return write_message(describe_run(ID, kept, public_url=public_url))


def write_message(message: Message, *, sender: Address = SENDER) -> EmailMessage:
    recipient = Address(addr_spec="inspector@example.org")
    mail = make_email(message, sender=sender, recipient=recipient, now=NOW)
    sent = mail.as_bytes(policy=compat32.clone(linesep="\r\n"))
    assert sent.isascii()
    assert max(len(line) for line in sent.split(b"\r\n")) <= 78
    encoded_words = re.findall(rb"=\?utf-8\?[^?]\?[^?]*\?=", sent)
    assert max(len(word) for word in encoded_words) <= 75, "RFC 2047, section 2"
    return message_from_bytes(sent, policy=default)


def read_part(mail: EmailMessage, subtype: str) -> str:
    part = mail.get_body((subtype,))
    assert part is not None
    return cast("EmailMessage", part).get_content().replace("\r\n", "\n")


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.links: list[str | None] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_success(make_run: Callable[..., RunEnded]):
    mail = write(make_run(), public_url="https://raven.example.org/")
    assert mail["Subject"] == "[Raven Scan] first: Success, mAP50 0.75"
    assert mail["From"] == "Raven Scan <raven@example.org>"
    assert mail["To"] == "inspector@example.org"
    assert mail["Message-ID"] == f"<{ID}@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == NOW
    text = read_part(mail, "plain")
    assert text.startswith("The training run first ended in Success. Its model is first.\n")
    lines = [line.split() for line in text.splitlines()]
    for expected in (["mAP:", "0.510"], ["mAP50:", "0.751"], ["mAP75:", "-"], ["Dataset:", "flights@3"]):
        assert expected in lines
    link = "https://raven.example.org/api/v1/training-runs/01900000-0000-7000-8000-000000000001"
    assert link in text
    assert Page(read_part(mail, "html")).links == [link]


def test_an_error_says_what_to_do_and_shows_the_end_of_the_log(failed_run: RunEnded):
    mail = write(failed_run)
    assert mail["Subject"] == "[Raven Scan] first: Error: The GPU ran out of memory."
    for text in (read_part(mail, "plain"), Page(read_part(mail, "html")).text):
        assert "What to do: Lower --batch-size." in text
        assert "out_of_memory" in text
        assert "line 160\nline 161\n" in text
        assert "line 199" in text
        assert "line 159" not in text
        assert "http" not in text


def test_a_traceback_keeps_its_indentation(failed_run: RunEnded):
    lines = ["Traceback", '  File "x.py"', "\traise\x1b[0m", " " * 10_000 + "x"]
    text = read_part(write(replace(failed_run, log_tail=lines)), "plain")
    assert '\nTraceback\n  File "x.py"\n    raise [0m\n' in text


def test_a_long_log_makes_no_long_mail(make_run: Callable[..., RunEnded]):
    mail = write(make_run(status="Error", error_message="x" * 100_000, log_tail=["y" * 10_000] * 1000))
    assert len(mail.as_bytes()) < 100_000
    assert len(mail["Subject"]) <= 200


@pytest.mark.parametrize(
    "name",
    ["first\r\nBcc: victim@example.org", "first\nSubject: other", "\u2028x\u0085y\0z", "=?utf-8?q?x?="],
)
def test_a_name_brings_no_header(make_run: Callable[..., RunEnded], name: str):
    mail = write(make_run(name=name))
    assert list(mail.keys()) == HEADERS
    assert mail["To"] == "inspector@example.org"
    assert "victim@example.org" not in str(mail["Bcc"])


def test_html_in_a_name_stays_text(make_run: Callable[..., RunEnded]):
    plain = Page(read_part(write(make_run()), "html"))
    hostile = '<script src="https://evil.example/"></script><b>'
    page = Page(read_part(write(make_run(name=hostile, dataset=hostile, model=hostile)), "html"))
    assert page.tags == plain.tags
    assert hostile in page.text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(data=st.data())
def test_any_text_arrives_as_it_is(make_run: Callable[..., RunEnded], data: Any):
    name, reason, line = data.draw(ANY_TEXT), data.draw(ANY_TEXT), data.draw(ANY_TEXT)
    figures = data.draw(st.dictionaries(ANY_TEXT, st.floats() | st.none(), max_size=3))
    mail = write(
        make_run(
            status="Error", name=name, error_message=reason, error_hint=line, log_tail=[line], figures=figures
        )
    )
    assert list(mail.keys()) == HEADERS
    kept = unpack_event(pack_event(make_run(name=name, error_message=reason), []))
    shown = make_line(kept.name, 100)
    told = kept.error_message or "no reason was given"
    assert mail["Subject"] == make_line(f"[Raven Scan] {shown}: Error: {told}", 200)
    assert make_line(f"The training run {shown} ended in Error.", 200) in read_part(mail, "plain")


def test_a_test_message():
    mail = write_message(
        describe_test(ID, NOW, sender="local administrator"), sender=Address("Müll, Amt", addr_spec="a@b.org")
    )
    assert mail["Subject"] == "[Raven Scan] Test message"
    (sender,) = mail["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Müll, Amt", "a@b.org")
    assert "local administrator" in read_part(mail, "plain")
