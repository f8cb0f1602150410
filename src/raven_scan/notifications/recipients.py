"""Who is to be notified, from the settings."""

from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import SecretStr

from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.settings import Settings
from raven_scan.notifications.types import Channel

_MARK_LENGTH = 6
_SUBSCRIPTION = "subscription:"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One address.

    Attributes:
        name: what may be shown of it.
        subscription_id: of the user's who named it; None for one of the settings.
        secret: what its webhooks are signed with; None: the settings' own.
        key: finds it again without telling it.
    """

    channel: Channel
    address: SecretStr
    name: str
    subscription_id: UUID | None = None
    secret: SecretStr | None = None

    @property
    def key(self) -> str:
        if self.subscription_id is not None:
            return f"{_SUBSCRIPTION}{self.subscription_id}"
        return make_key(self.address)

    @property
    def place(self) -> str:
        """The same for two that reach the same mailbox or web server."""
        plain = self.address.get_secret_value()
        return make_key(SecretStr(plain.casefold() if self.channel is Channel.EMAIL else plain))


def make_key(address: SecretStr) -> str:
    return sha256(address.get_secret_value().encode()).hexdigest()


def read_subscription_id(key: str) -> UUID | None:
    """Of a recipient that a subscription named."""
    return parse_id(key.removeprefix(_SUBSCRIPTION)) if key.startswith(_SUBSCRIPTION) else None


def list_recipients(settings: Settings) -> list[Recipient]:
    """Each once, in the order of the settings."""
    emails = [Recipient(Channel.EMAIL, SecretStr(address), address) for address in settings.notify_emails]
    webhooks = [
        Recipient(Channel.WEBHOOK, address, name_webhook(address)) for address in settings.notify_webhooks
    ]
    return list({recipient.key: recipient for recipient in (*emails, *webhooks)}.values())


def name_webhook(address: SecretStr) -> str:
    """Where it goes and a mark that tells two of one host apart: the rest may be a token."""
    parts = urlsplit(address.get_secret_value())
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host} ({make_key(address)[:_MARK_LENGTH]})"
