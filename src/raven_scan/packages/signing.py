"""Ed25519 (RFC 8032) over a package's manifest, and how keys are written.

The library is imported where it is needed: it takes 40 ms, and few do.
"""

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

_SSH_KIND = b"ssh-ed25519"
_KEY_BYTES = 32
_LONGEST_TEXT = 4096


@dataclass(frozen=True, slots=True, repr=False)
class KeyPair:
    """Both parts of a key, 32 bytes each; the private one never shows."""

    public_key: bytes
    private_key: bytes


def make_key_pair() -> KeyPair:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = Ed25519PrivateKey.generate()
    return KeyPair(key.public_key().public_bytes_raw(), key.private_bytes_raw())


def sign(private_key: bytes, content: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    return Ed25519PrivateKey.from_private_bytes(private_key).sign(content)


def is_signed(public_key: bytes, content: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def write_public_key(public_key: bytes, comment: str) -> str:
    """One line as OpenSSH has it (RFC 4253, section 6.6; RFC 8709): kind, base64, comment."""
    return f"{_SSH_KIND.decode()} {base64.b64encode(_pack_key(public_key)).decode()} {comment}".rstrip()


def make_fingerprint(public_key: bytes) -> str:
    """As `ssh-keygen -l` tells it."""
    digest = hashlib.sha256(_pack_key(public_key)).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def find_public_key(text: str) -> bytes | None:
    """The key of a line as `write_public_key` makes it, or of a PEM file; None where it is no Ed25519 public key."""
    text = text.strip()
    if len(text) > _LONGEST_TEXT or not text.isascii():
        # A comment may be in any script; what counts is in front of it.
        text = " ".join(text[:_LONGEST_TEXT].split(" ", 2)[:2])
    if text.startswith("-----BEGIN "):
        return _find_in_pem(text)
    words = text.split()
    if len(words) < 2 or words[0].encode(errors="replace") != _SSH_KIND:
        return None
    try:
        packed = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        return None
    key = packed[-_KEY_BYTES:]
    return key if packed == _pack_key(key) else None


def _find_in_pem(text: str) -> bytes | None:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key.public_bytes_raw() if isinstance(key, Ed25519PublicKey) else None


def _pack_key(key: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in (_SSH_KIND, key))
