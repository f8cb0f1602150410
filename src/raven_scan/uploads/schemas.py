"""Uploads over REST."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from raven_scan.uploads.types import UploadPurpose


class UploadCreate(BaseModel):
    """Begins an upload."""

    model_config = ConfigDict(extra="forbid")

    purpose: UploadPurpose = Field(description="What it will be imported as.")
    file_name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
    size_bytes: Annotated[
        int | None, Field(ge=0, lt=1 << 63, description="Of the whole file, where it is known.")
    ] = None


class UploadComplete(BaseModel):
    """Ends an upload."""

    model_config = ConfigDict(extra="forbid")

    sha256: Annotated[
        str, Field(pattern=r"^[0-9a-fA-F]{64}$", description="Of the whole file, in hexadecimal.")
    ]


class UploadOut(BaseModel):
    """A file on its way; `offset_bytes` of it have come. With a `sha256` it was verified, and can be imported."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    purpose: UploadPurpose
    file_name: str
    size_bytes: int | None
    offset_bytes: int
    part_bytes: Annotated[int, Field(description="How much one PATCH may well send.")]
    sha256: str | None
    created_at: datetime
    expires_at: datetime


class UploadPage(BaseModel):
    items: list[UploadOut]
    next: str | None = None
