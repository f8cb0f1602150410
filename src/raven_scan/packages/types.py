"""Values of packages."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

FORMAT = 1
"""Of the packages that this release writes; it reads this one and those before."""

OWN_KEY_NAME = "this platform"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageKeyView:
    """A key whose signatures are believed, or were.

    Attributes:
        public_key: in one line, as OpenSSH writes it, with the name as comment.
        fingerprint: `SHA256:…`, as `ssh-keygen -l` tells it.
        is_own: this platform signs with it.
        revoked_at: since when its signatures are refused; None while they are believed.
    """

    id: UUID
    name: str
    public_key: str
    fingerprint: str
    is_own: bool
    added_by: str
    added_at: datetime
    revoked_by: str | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadePackage:
    """A package that can be downloaded for a day.

    Attributes:
        digest: sha256 of the zip.
        key_fingerprint: of the key that it is signed with.
        files: names of what is in it.
    """

    model_id: UUID
    model_name: str
    file_name: str
    digest: str
    size_bytes: int
    key_fingerprint: str
    files: list[str]


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A package to be downloaded."""

    path: Path
    file_name: str
    digest: str
