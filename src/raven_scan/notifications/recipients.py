"""Who is to be notified, from the settings."""

from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from pydantic import SecretStr

from raven_scan.kernel.settings import Settings
from raven_scan.notifications.types import Channel

_MARK_LENGTH = 6


@dataclass(frozen=True, slots=True)
class Recipient:
    """One address.

    Attributes:
        name: what may be shown of it.
        key: finds it again without telling it.
    """

    channel: Channel
    address: SecretStr
    name: str

    @property
    def key(self) -> str:
        return make_key(self.address)


def make_key(address: SecretStr) -> str:
    return sha256(address.get_secret_value().encode()).hexdigest()


def list_recipients(settings: Settings) -> list[Recipient]:
    """Each once, in the order of the settings."""
    emails = [Recipient(Channel.EMAIL, SecretStr(address), address) for address in settings.notify_emails]
    webhooks = [
        Recipient(Channel.WEBHOOK, address, _name_webhook(address)) for address in settings.notify_webhooks
    ]
    return list({recipient.key: recipient for recipient in (*emails, *webhooks)}.values())


def _name_webhook(address: SecretStr) -> str:
    """Where it goes and a mark that tells two of one host apart: the rest may be a token."""
    parts = urlsplit(address.get_secret_value())
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host} ({make_key(address)[:_MARK_LENGTH]})"
