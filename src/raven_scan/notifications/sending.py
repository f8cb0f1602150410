"""Sends a message to a recipient, by their channel, within a limit of time."""

import math
import threading
import time
from collections.abc import Callable

import structlog

from raven_scan.kernel.addresses import read_email_address
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.settings import Settings
from raven_scan.notifications.email_message import make_email
from raven_scan.notifications.plain_text import hide_secrets
from raven_scan.notifications.recipients import Recipient
from raven_scan.notifications.smtp import find_mail_server, send_email
from raven_scan.notifications.types import Channel, Message, Outcome, SubscribedMail
from raven_scan.notifications.unsubscribe_links import UnsubscribeLinks

LONGEST_TRY_S = 30.0
_LOOK_INTERVAL_S = 0.1

_log = structlog.get_logger(__name__)


class Messenger:
    """Knows how each channel is reached.

    Args:
        links: by which mails of subscriptions end them.
    """

    def __init__(self, settings: Settings, clock: Clock, links: UnsubscribeLinks) -> None:
        self._settings = settings
        self._clock = clock
        self._links = links
        self._mail_server = find_mail_server(settings)

    def send(self, recipient: Recipient, message: Message) -> Outcome:
        """Sends once; whatever happens becomes an outcome, which tells no secret."""
        secrets = self._settings.list_secrets()
        try:
            subscribed = self._find_subscribed(recipient)
            if subscribed is not None and subscribed.link is not None:
                # Mail servers that refuse a mail may quote it.
                secrets.append(subscribed.link)
            outcome = self._send_by_channel(recipient, message, subscribed)
        except Exception as error:  # noqa: BLE001 - logged whole; the others must be told nevertheless
            _log.exception("notification.sending_broke", notification=str(message.id))
            outcome = Outcome(is_sent=False, reason=f"Something went wrong inside ({type(error).__name__}).")
        if outcome.is_sent:
            return outcome
        reason = hide_secrets(outcome.reason, secrets)
        return Outcome(is_sent=False, reason=reason, is_final=outcome.is_final)

    def _find_subscribed(self, recipient: Recipient) -> SubscribedMail | None:
        id_ = recipient.subscription_id
        if id_ is None or recipient.channel is not Channel.EMAIL:
            return None
        return SubscribedMail(id_, self._links.find_link(id_))

    def _send_by_channel(
        self, recipient: Recipient, message: Message, subscribed: SubscribedMail | None
    ) -> Outcome:
        now = self._clock.now()
        if recipient.channel is Channel.EMAIL:
            if self._mail_server is None:
                return Outcome(is_sent=False, reason="This process has no mail server in its settings.")
            address = read_email_address(recipient.address.get_secret_value())
            mail = make_email(
                message,
                sender=self._mail_server.sender,
                recipient=address,
                now=now,
                subscribed=subscribed,
            )
            return send_email(self._mail_server, mail, recipient=address)
        # Without webhooks a worker needs no HTTP.
        from raven_scan.notifications.webhook import post_webhook  # noqa: PLC0415

        secret = recipient.secret or self._settings.webhook_secret
        assert secret is not None  # noqa: S101 - settings with webhooks have one, subscriptions bring theirs
        # The operator may name machines of the own network, users only where the operator allows it.
        is_trusted = recipient.subscription_id is None or self._settings.allow_private_webhooks
        return post_webhook(recipient.address, secret, message, now=now, only_public=not is_trusted)


class Try:
    """A try to send, in a thread of its own, so that a receiver that never ends its answer holds nobody up.

    The thread is left to itself where nobody waits any more; it ends with its connection or its process.
    """

    def __init__(self, send: Callable[[], Outcome], *, longest_s: float = LONGEST_TRY_S) -> None:
        self._send = send
        self._longest_s = longest_s
        self._deadline = time.monotonic() + longest_s
        self._outcome: Outcome | None = None
        self._done = threading.Event()
        threading.Thread(target=self._run, name="notification", daemon=True).start()

    def _run(self) -> None:
        self._outcome = self._send()
        self._done.set()

    def wait(
        self,
        *,
        stop: threading.Event | None = None,
        grace_s: float = 0.0,
        give_up_at: float = math.inf,
    ) -> Outcome | None:
        """How it went; where it takes too long, that it did.

        Args:
            stop: once set, waits no longer than the grace.
            grace_s: seconds.
            give_up_at: waits no longer than until then, on the monotonic clock.

        Returns:
            None where the caller's hurry ended the waiting: nobody knows whether it was sent.
        """
        while not self._done.wait(_LOOK_INTERVAL_S):
            now = time.monotonic()
            if stop is not None and stop.is_set():
                stop, give_up_at = None, min(give_up_at, now + grace_s)
            if now >= give_up_at:
                return None
            if now >= self._deadline:
                return Outcome(is_sent=False, reason=f"It was not taken within {self._longest_s:g} s.")
        return self._outcome
