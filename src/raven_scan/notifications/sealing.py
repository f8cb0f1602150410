"""Keeps what users' webhooks need out of the database: it is derived from, or encrypted with, RAVEN_WEBHOOK_SECRET.

A copy of the database opens nobody's webhook. Another RAVEN_WEBHOOK_SECRET makes all of it void.
"""

import base64
import hmac
from uuid import UUID

from pydantic import SecretStr

from raven_scan.kernel.addresses import read_signing_key


def derive_signing_secret(server_secret: SecretStr, subscription_id: UUID) -> SecretStr:
    """What the webhooks of a subscription are signed with: `whsec_` and 32 bytes in base64, kept nowhere."""
    key = _derive(server_secret, b"signing of subscription " + subscription_id.bytes)
    return SecretStr(f"whsec_{base64.b64encode(key).decode()}")


def seal_address(server_secret: SecretStr, address: SecretStr) -> bytes:
    from cryptography.fernet import Fernet  # noqa: PLC0415 - 40 ms that few need

    return Fernet(_derive_sealing_key(server_secret)).encrypt(address.get_secret_value().encode())


def open_address(server_secret: SecretStr, sealed: bytes) -> SecretStr | None:
    """None where it was sealed with another secret."""
    from cryptography.fernet import Fernet, InvalidToken  # noqa: PLC0415

    try:
        return SecretStr(Fernet(_derive_sealing_key(server_secret)).decrypt(sealed).decode())
    except InvalidToken:
        return None


def _derive_sealing_key(server_secret: SecretStr) -> bytes:
    return base64.urlsafe_b64encode(_derive(server_secret, b"addresses of subscriptions"))


def _derive(server_secret: SecretStr, purpose: bytes) -> bytes:
    return hmac.digest(read_signing_key(server_secret.get_secret_value()), purpose, "sha256")
