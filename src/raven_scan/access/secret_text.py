"""Secrets that people copy and machines keep: API tokens, session secrets, one-time passwords.

A token is 256 random bits: one SHA-256 is all that it takes to keep it so that nobody who reads the database can use
it, and costs a request nothing. Passwords, which people choose, need more: see `passwords`.
"""

import hashlib
import secrets

from pydantic import SecretStr

from raven_scan.kernel.masking import TOKEN_BEGINNING

_SECRET_BYTES = 32
_SHOWN_CHARACTERS = 4

_UNMISTAKABLE = "23456789abcdefghjkmnpqrstuvwxyz"
"""Without what is read as something else: 0 and o, 1, i and l."""
_GROUPS, _GROUP_SIZE = 4, 5
"""20 of 31 characters: 99 bits."""


def make_secret() -> SecretStr:
    return SecretStr(secrets.token_urlsafe(_SECRET_BYTES))


def make_api_token() -> SecretStr:
    """A token that is known for one wherever it turns up."""
    return SecretStr(TOKEN_BEGINNING + secrets.token_urlsafe(_SECRET_BYTES))


def get_shown_prefix(token: SecretStr) -> str:
    """What of a token is kept in the clear, so that its owner can tell it from others."""
    return token.get_secret_value()[: len(TOKEN_BEGINNING) + _SHOWN_CHARACTERS]


def make_one_time_password() -> SecretStr:
    groups = ("".join(secrets.choice(_UNMISTAKABLE) for _ in range(_GROUP_SIZE)) for _ in range(_GROUPS))
    return SecretStr("-".join(groups))


def hash_secret(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
