"""What is signed: what the package is, and the digest of every file in it."""

import base64
import re
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from raven_scan.packages import errors
from raven_scan.packages.types import FORMAT

MANIFEST = "manifest.json"
SIGNATURE = "signature.json"
WEIGHTS = "weights.safetensors"
CONFIGURATION = "configuration.json"
CLASSES = "classes.json"
FIGURES = "figures.json"
LINEAGE = "lineage.json"
CARD = "MODEL_CARD.md"

REQUIRED = (WEIGHTS, CLASSES, FIGURES, LINEAGE, CARD)

READ_BY = "0.1.0"
"""The first release that reads `FORMAT`."""

_RELEASE = re.compile(r"[0-9A-Za-z.+-]{1,32}")


class PackedFile(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    sha256: str
    size_bytes: int


class PackedModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model as the platform that packed it has it."""

    id: UUID
    name: str
    architecture: str
    classes: list[str]
    origin: str
    starting_weights: str | None
    parameter_count: int | None
    leak_allowed: bool
    created_at: datetime


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Of the same model, figures and release it is the same bytes.

    Attributes:
        read_by: the first release that reads this format.
    """

    format: int
    read_by: str
    platform_version: str
    model: PackedModel
    files: list[PackedFile]


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """Beside the manifest: by which key, and the signature over the manifest's bytes, in base64."""

    algorithm: str
    fingerprint: str
    public_key: str
    signature: str


class _Head(msgspec.Struct):
    format: int
    read_by: str = ""


def encode_json(value: Any) -> bytes:
    """JSON that people can read, the same of the same value."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"


def decode_manifest(content: bytes) -> Manifest:
    """The manifest of a package; of which format it is, is asked first.

    Raises:
        Invalid: `package.newer_format`, `package.bad_content`.
    """
    head = decode_json(content, _Head, MANIFEST)
    if head.format > FORMAT:
        read_by = head.read_by if _RELEASE.fullmatch(head.read_by) else ""
        raise errors.make_newer_format(head.format, read_by, FORMAT)
    if head.format < 1:
        raise errors.make_bad_content(MANIFEST, f"there is no format {head.format}")
    return decode_json(content, Manifest, MANIFEST)


def decode_signature(content: bytes) -> tuple[Signature, bytes]:
    """The signature, as it says of itself and as bytes. Raises Invalid."""
    found = decode_json(content, Signature, SIGNATURE)
    if found.algorithm != "ed25519":
        raise errors.make_bad_content(SIGNATURE, "it is of another kind than ed25519")
    try:
        return found, base64.b64decode(found.signature, validate=True)
    except ValueError:
        raise errors.make_bad_content(SIGNATURE, "it is not in base64") from None


def decode_json(content: bytes, kind: Any, file: str) -> Any:
    r"""What a file of a package holds.

    Args:
        content: of the file.
        kind: what it must be.
        file: its name, for the refusal.

    Raises:
        Invalid: `package.bad_content`, also where it holds a NUL, which PostgreSQL takes in no text.
    """
    try:
        if b"\\u0000" in content:
            raise errors.make_bad_content(file, "it holds a NUL")
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise errors.make_bad_content(file, str(error)[:200]) from None
