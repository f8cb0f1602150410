"""Addresses that settings hold: of e-mail, of the web, and the key that webhooks are signed with.

What is refused is never quoted: an address of the web may hold a password or a token.
"""

import base64
import binascii
import re
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import parseaddr
from ipaddress import ip_address
from urllib.parse import urlsplit

_KEY_PREFIX = "whsec_"
_SHORTEST_KEY_BYTES, _LONGEST_KEY_BYTES = 24, 64
# RFC 3986: what an address may have; all else has to be percent-encoded.
_WEB_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")


def split_list(text: str) -> tuple[str, ...]:
    """Several values in one, separated by commas or spaces."""
    return tuple(part for part in re.split(r"[\s,]+", text) if part)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_email_address(text: str) -> Address:
    """Reads `name@example.org` or `Name <name@example.org>`; the domain becomes ASCII (IDNA).

    Raises:
        ValueError: it is no address; says why, without the address.
    """
    name, spec = parseaddr(text) if "<" in text else ("", text)
    if not text.isprintable() or not name.isprintable():
        raise ValueError("has a character that cannot be printed")
    local, at, domain = spec.rpartition("@")
    if not (local and at and domain) or " " in spec:
        raise ValueError("is not like name@example.org")
    if not local.isascii():
        raise ValueError("is not in ASCII before its '@', which most mail servers refuse")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
        return Address(name, addr_spec=f"{local}@{ascii_domain}")
    except (MessageError, ValueError, IndexError, UnicodeError):
        raise ValueError("is not like name@example.org") from None


def check_web_address(text: str) -> None:
    """Raises ValueError, without the address, where it is not http(s)://host… as RFC 3986 writes it."""
    if not _WEB_CHARACTERS.fullmatch(text):
        raise ValueError("has a character that must be percent-encoded")
    if "#" in text:
        raise ValueError("has a '#', which no server gets")
    try:
        parts = urlsplit(text)
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ValueError("is not like https://host/path")


def read_signing_key(text: str) -> bytes:
    """The key of a secret as Standard Webhooks writes it: `whsec_` and 24 to 64 bytes in base64.

    Raises:
        ValueError: it is none; says why, without the secret.
    """
    try:
        key = base64.b64decode(text.removeprefix(_KEY_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64 after 'whsec_'") from None
    if not text.startswith(_KEY_PREFIX) or not _SHORTEST_KEY_BYTES <= len(key) <= _LONGEST_KEY_BYTES:
        raise ValueError(
            f"is not '{_KEY_PREFIX}' and {_SHORTEST_KEY_BYTES} to {_LONGEST_KEY_BYTES} bytes in base64"
        )
    return key
