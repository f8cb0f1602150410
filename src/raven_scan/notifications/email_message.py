"""A message as an e-mail: plain text, and HTML beside it."""

from datetime import datetime
from email.charset import QP, Charset
from email.header import Header
from email.headerregistry import Address
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr
from html import escape

import raven_scan
from raven_scan.notifications.plain_text import make_line, make_log_line, make_storable
from raven_scan.notifications.types import Message, SubscribedMail

_DEFAULT_SENDER_NAME = "Raven Scan"
_LONGEST_SUBJECT = 200
_LONGEST_LINE = 76  # with its leading space; an encoded word has 75 (RFC 2047, section 2)
_LONGEST_PARAGRAPH = 4000
_LONGEST_LOG_LINE = 400
_SENT_BY = f"Sent by Raven Scan {raven_scan.__version__}, since"

_CELL = 'style="padding: 2px 12px 2px 0; text-align: left; vertical-align: top"'
_LOG = 'style="padding: 8px; background: #f2f2f2; white-space: pre-wrap"'


def make_email(
    message: Message,
    *,
    sender: Address,
    recipient: Address,
    now: datetime,
    subscribed: SubscribedMail | None = None,
) -> MIMEMultipart:
    """Writes the mail.

    Its `Message-ID` is the message's: a second delivery of it is known as such.

    Args:
        message: what it says.
        sender: From.
        recipient: To.
        now: Date.
        subscribed: by whose wish it is sent; None: by the settings'.
    """
    # Not an EmailMessage: folding a long subject, that one drops spaces between words that are not in ASCII.
    mail = MIMEMultipart("alternative")
    mail["From"] = formataddr((sender.display_name or _DEFAULT_SENDER_NAME, sender.addr_spec))
    mail["To"] = recipient.addr_spec
    subject = make_line(make_storable(message.subject), _LONGEST_SUBJECT)
    mail["Subject"] = Header(subject, "utf-8", _LONGEST_LINE, "Subject").encode()
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{message.id}@{sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    if subscribed is not None and subscribed.link is not None:
        link = subscribed.link.get_secret_value()
        mail["List-Unsubscribe"] = f"<{link}>"
        if link.startswith("https:"):  # RFC 8058, section 3.1
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.attach(_make_part(_write_text(message, subscribed), "plain"))
    mail.attach(_make_part(_write_html(message, subscribed), "html"))
    return mail


def _make_part(text: str, subtype: str) -> MIMEText:
    charset = Charset("utf-8")
    charset.body_encoding = QP  # readable as it is sent, and passes servers that take seven bits alone
    return MIMEText(make_storable(text), subtype, charset)  # pyright: ignore[reportArgumentType] - it takes one


def _write_text(message: Message, subscribed: SubscribedMail | None) -> str:
    paragraphs = [make_line(message.summary, _LONGEST_PARAGRAPH)]
    if message.advice:
        paragraphs.append(f"What to do: {make_line(message.advice, _LONGEST_PARAGRAPH)}")
    if message.facts:
        width = max(len(title) for title, _ in message.facts) + 2
        paragraphs.append("\n".join(f"{title + ':':{width}}{value}" for title, value in message.facts))
    if message.link:
        paragraphs.append(message.link)
    if message.log_tail:
        paragraphs.append("\n".join(["The end of its log:", *_clean_log(message.log_tail)]))
    paragraphs.append("\n".join(["-- ", *_write_footer(subscribed)]))
    return "\n\n".join(paragraphs) + "\n"


def _write_html(message: Message, subscribed: SubscribedMail | None) -> str:
    parts = [f"<p>{escape(make_line(message.summary, _LONGEST_PARAGRAPH))}</p>"]
    if message.advice:
        parts.append(f"<p><b>What to do:</b> {escape(make_line(message.advice, _LONGEST_PARAGRAPH))}</p>")
    if message.facts:
        rows = "\n".join(
            f"<tr><th {_CELL}>{escape(title)}</th><td {_CELL}>{escape(value)}</td></tr>"
            for title, value in message.facts
        )
        parts.append(f"<table>\n{rows}\n</table>")
    if message.link:
        parts.append(f'<p><a href="{escape(message.link)}">{escape(message.link)}</a></p>')
    if message.log_tail:
        log = escape("\n".join(_clean_log(message.log_tail)))
        parts.append(f"<p>The end of its log:</p>\n<pre {_LOG}>{log}</pre>")
    footer = [escape(line) for line in _write_footer(subscribed)]
    if subscribed is not None and subscribed.link is not None:
        footer[-1] = f'<a href="{escape(subscribed.link.get_secret_value())}">Unsubscribe</a>'
    parts.append(f"<p><small>{'<br>'.join(footer)}</small></p>")
    body = "\n".join(parts)
    return f'<!doctype html>\n<html><head><meta charset="utf-8"></head>\n<body>\n{body}\n</body></html>\n'


def _write_footer(subscribed: SubscribedMail | None) -> list[str]:
    """Lines; the last one says how to hear no more, where that is the reader's to say."""
    if subscribed is None:
        return [f"{_SENT_BY} RAVEN_NOTIFY_EMAILS names this address."]
    if subscribed.link is None:
        way = f"`raven subscriptions remove {subscribed.subscription_id}`"
    else:
        way = subscribed.link.get_secret_value()
    return [f"{_SENT_BY} a subscription names this address.", f"Unsubscribe: {way}"]


def _clean_log(lines: list[str]) -> list[str]:
    return [make_log_line(line, _LONGEST_LOG_LINE) for line in lines]
