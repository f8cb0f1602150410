"""Local servers that notifications are sent to."""

import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class MailBox:
    """What a mail server took.

    Attributes:
        refusals: for the mails to come: answered instead of taking it; None takes it.
        recipient_refusal: answered to every recipient, or None.
        sign_ins: user, and whether the password was right.
        encrypted: for each mail, whether it came encrypted.
    """

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list[EmailMessage])
    raw: list[bytes] = field(default_factory=list[bytes])
    recipients: list[list[str]] = field(default_factory=list[list[str]])
    encrypted: list[bool] = field(default_factory=list[bool])
    refusals: list[str | None] = field(default_factory=list[str | None])
    recipient_refusal: str | None = None
    sign_ins: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.recipient_refusal is not None:
            return self.recipient_refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None:
            return refusal
        content = cast("bytes", envelope.original_content)
        self.raw.append(content)
        self.mails.append(message_from_bytes(content, policy=default))
        self.recipients.append([str(address) for address in envelope.rcpt_tos])
        transport: Any = server.transport
        self.encrypted.append(transport.get_extra_info("sslcontext") is not None)
        return "250 Taken"


class _AnyPort(Controller):
    """A controller that listens on a free port, and knows which."""

    def _trigger_server(self) -> None:
        server: Any = self.server
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def receive_mail(
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    password: str | None = None,
) -> Generator[MailBox]:
    """A mail server on `localhost`.

    Args:
        starttls: offered, and demanded, before anything else is said.
        tls: spoken from the start.
        password: of the user `raven`; None: nobody has to sign in.
    """
    mailbox = MailBox()

    def authenticate(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        given = cast("LoginPassword", data)
        is_right = password is not None and given.login == b"raven" and given.password == password.encode()
        mailbox.sign_ins.append((given.login.decode(), is_right))
        return AuthResult(success=is_right, handled=is_right)

    controller = _AnyPort(
        mailbox,
        hostname="127.0.0.1",
        port=0,
        ssl_context=tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        authenticator=authenticate,
        # Its warning about sign-ins without STARTTLS overlooks TLS from the start.
        auth_required=password is not None and tls is None,
        auth_require_tls=tls is None,
        server_hostname="localhost",
    )
    controller.start()
    try:
        mailbox.port = controller.port
        yield mailbox
    finally:
        controller.stop()


@dataclass(frozen=True)
class Posted:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class WebhookReceiver:
    """A web server that notes what it is sent.

    Attributes:
        answers: for the requests to come: status, headers, body; 204 when there is none left.
        on_post: called before each answer.
    """

    url: str = ""
    posts: list[Posted] = field(default_factory=list[Posted])
    answers: list[tuple[int, dict[str, str], bytes]] = field(
        default_factory=list[tuple[int, dict[str, str], bytes]]
    )
    on_post: Callable[[], object] = lambda: None


@contextmanager
def receive_webhooks() -> Generator[WebhookReceiver]:
    receiver = WebhookReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.posts.append(Posted(self.path, headers, body))
            receiver.on_post()
            status, more, content = receiver.answers.pop(0) if receiver.answers else (204, {}, b"")
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its parent's name
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
