"""Hides secrets in text that is kept or shown."""

import re
from collections.abc import Iterable

from pydantic import SecretStr

MASK = "***"

TOKEN_BEGINNING = "raven_"  # noqa: S105 - how every API token begins

_PASSWORD_IN_URL = re.compile(r"(?P<before>://[^/\s:@]*:)[^@\s]+(?P<after>@)")
_API_TOKEN = re.compile(rf"\b(?P<before>{TOKEN_BEGINNING}[A-Za-z0-9_-]{{4}})[A-Za-z0-9_-]{{39}}")
_BEARER = re.compile(r"(?P<before>\bBearer\s+)[^\s'\"]+", re.IGNORECASE)


class TextMask:
    """Replaces known secrets, passwords in addresses, bearer tokens and API tokens.

    Args:
        known: secrets of this process, hidden wherever they turn up.
    """

    def __init__(self, known: Iterable[SecretStr] = ()) -> None:
        self._known = [secret.get_secret_value() for secret in known if secret.get_secret_value()]

    def __call__(self, text: str) -> str:
        for secret in self._known:
            text = text.replace(secret, MASK)
        text = _PASSWORD_IN_URL.sub(rf"\g<before>{MASK}\g<after>", text)
        text = _API_TOKEN.sub(rf"\g<before>{MASK}", text)
        return _BEARER.sub(rf"\g<before>{MASK}", text)
