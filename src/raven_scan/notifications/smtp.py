"""Hands a mail to the mail server."""

import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import Message

from pydantic import SecretStr

from raven_scan.kernel.addresses import read_email_address
from raven_scan.kernel.settings import Settings
from raven_scan.notifications.plain_text import make_line
from raven_scan.notifications.types import SENT, Outcome

_TIMEOUT_S = 20.0
"""For each step of the conversation; the whole has the limit of `sending.py`."""

_PORT_OF_SECURITY = {"starttls": 587, "tls": 465, "none": 25}
_LONGEST_REASON = 300
_PERMANENT = 500
"""Answers from here on say that the same again is of no use (RFC 5321, 4.2.1)."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """`security`: `starttls`, `tls` or `none`, as in the settings."""

    host: str
    port: int
    security: str
    user: str | None
    password: SecretStr | None
    sender: Address


def find_mail_server(settings: Settings) -> MailServer | None:
    """The one that the settings name."""
    if settings.smtp_host is None or settings.smtp_sender is None:
        return None
    return MailServer(
        host=settings.smtp_host,
        port=settings.smtp_port or _PORT_OF_SECURITY[settings.smtp_security],
        security=settings.smtp_security,
        user=settings.smtp_user,
        password=settings.smtp_password,
        sender=read_email_address(settings.smtp_sender),
    )


def send_email(server: MailServer, mail: Message, *, recipient: Address) -> Outcome:
    """Sends, encrypted as the settings demand; never falls back to less."""
    try:
        _converse(server, mail, recipient)
    except OSError as error:  # the errors of smtplib and ssl are such
        reason, is_final = _describe_failure(server, error)
        return Outcome(is_sent=False, reason=make_line(reason, _LONGEST_REASON), is_final=is_final)
    return SENT


def _converse(server: MailServer, mail: Message, recipient: Address) -> None:
    encryption = ssl.create_default_context()
    if server.security == "tls":
        client = smtplib.SMTP_SSL(server.host, server.port, timeout=_TIMEOUT_S, context=encryption)
    else:
        client = smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT_S)
    try:
        if server.security == "starttls":
            client.starttls(context=encryption)
        if server.user is not None:
            client.login(server.user, "" if server.password is None else server.password.get_secret_value())
        client.send_message(mail, from_addr=server.sender.addr_spec, to_addrs=[recipient.addr_spec])
        with suppress(OSError):  # it has the mail, whatever it says to the farewell
            client.quit()
    finally:
        client.close()


def _describe_failure(server: MailServer, error: OSError) -> tuple[str, bool]:
    """Why it was not sent, and whether the same again is of no use."""
    it = f"The mail server {server.host}"
    match error:
        case smtplib.SMTPAuthenticationError():
            # What it says meanwhile stays unsaid: it may quote what it was sent.
            reason, is_final = f"{it} refused the sign-in ({error.smtp_code}).", False
        case smtplib.SMTPRecipientsRefused():
            code, answer = next(iter(error.recipients.values()))
            reason, is_final = f"{it} answered {code}: {_read(answer)}", code >= _PERMANENT
        case smtplib.SMTPResponseException():
            reason = f"{it} answered {error.smtp_code}: {_read(error.smtp_error)}"
            is_final = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= _PERMANENT
        case smtplib.SMTPServerDisconnected():
            reason, is_final = f"{it} hung up.", False
        case smtplib.SMTPException():
            reason, is_final = f"{it} cannot do what is needed: {error}", False
        case ssl.SSLError():
            cause = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else error.reason
            reason, is_final = f"No encryption with {server.host}, port {server.port}: {cause}.", False
        case _:
            cause = error.strerror or str(error) or type(error).__name__
            reason, is_final = f"No answer from {server.host}, port {server.port}: {cause}.", False
    return reason, is_final


def _read(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
