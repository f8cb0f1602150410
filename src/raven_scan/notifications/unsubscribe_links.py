"""Links that end a subscription without signing in: whoever can read its mails may end it, and nothing else."""

import base64
import binascii
from urllib.parse import urlencode
from uuid import UUID

from pydantic import SecretStr

from raven_scan.access.signing import ServerSigner

UNSUBSCRIBE_PATH = "/api/v1/unsubscribe"
_PURPOSE = "unsubscribe"


class UnsubscribeLinks:
    """Makes and reads them. They are kept nowhere, and good for as long as their subscription is there.

    Args:
        signer: signs them.
        public_url: where users reach the server; None: nobody can be sent a link.
    """

    def __init__(self, signer: ServerSigner, public_url: str | None) -> None:
        self._signer = signer
        self._public_url = public_url

    def find_link(self, subscription_id: UUID) -> SecretStr | None:
        if self._public_url is None:
            return None
        query = urlencode({"token": self.make_token(subscription_id)})
        return SecretStr(f"{self._public_url.rstrip('/')}{UNSUBSCRIBE_PATH}?{query}")

    def make_token(self, subscription_id: UUID) -> str:
        plain = base64.urlsafe_b64encode(subscription_id.bytes).rstrip(b"=").decode()
        return self._signer.sign(_PURPOSE, plain)

    def find_subscription_id(self, token: str) -> UUID | None:
        """None where the token is not ours."""
        plain = self._signer.find_signed(_PURPOSE, token)
        if plain is None:
            return None
        try:
            return UUID(bytes=base64.urlsafe_b64decode(f"{plain}=="))
        except (binascii.Error, ValueError):
            return None
