"""Packages and their keys over REST."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Schema(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class PackageKeyOut(_Schema):
    """A key whose signatures are believed, until it is revoked. `fingerprint`: as `ssh-keygen -l` tells it."""

    id: UUID
    name: str
    public_key: str
    fingerprint: str
    is_own: bool
    added_by: str
    added_at: datetime
    revoked_by: str | None
    revoked_at: datetime | None


class PackageKeyPage(_Schema):
    items: list[PackageKeyOut]
    next: str | None


class PackageKeyTrust(BaseModel):
    """A key of somebody else: a line `ssh-ed25519 …`, or PEM."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(max_length=8000)]
    name: str


class PackageCreate(BaseModel):
    """What is to be packed. `onnx`: the model as ONNX, too."""

    model_config = ConfigDict(extra="forbid")

    onnx: bool = False


class PackageOut(_Schema):
    """A package that can be downloaded for a day, by its digest."""

    model_id: UUID
    model_name: str
    file_name: str
    digest: str
    size_bytes: int
    key_fingerprint: str
    files: list[str]


class PackageImport(BaseModel):
    """A package that was uploaded, or a file on the server's machine, where that is allowed.

    Without `name`, the model has the name that it had.
    """

    model_config = ConfigDict(extra="forbid")

    path: str | None = None
    upload: UUID | None = None
    name: str | None = None

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.path is None) == (self.upload is None):
            raise ValueError("give either a path or an upload")
        return self
