"""What is uploaded, and how far it has come."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from raven_scan.access.types import Claim


class UploadPurpose(StrEnum):
    DATASET = "dataset"
    CHECKPOINT = "checkpoint"
    PACKAGE = "package"

    @property
    def claim(self) -> Claim:
        """What its owner needs, to begin it and to see it."""
        return _CLAIMS[self]


_CLAIMS = {
    UploadPurpose.DATASET: Claim.DATASET_IMPORT,
    UploadPurpose.CHECKPOINT: Claim.TRAINED_MODEL_IMPORT,
    UploadPurpose.PACKAGE: Claim.TRAINED_MODEL_IMPORT,
}


@dataclass(frozen=True, slots=True)
class UploadView:
    """A file on its way.

    Attributes:
        size_bytes: of the whole file; None where its sender does not know yet.
        offset_bytes: what has arrived and would outlast a power cut; the next byte is that of this number.
        sha256: of the whole file, once it was verified; it can be imported then.
        expires_at: when it is removed, unless it goes on before.
    """

    id: UUID
    purpose: UploadPurpose
    file_name: str
    size_bytes: int | None
    offset_bytes: int
    sha256: str | None
    created_at: datetime
    expires_at: datetime
