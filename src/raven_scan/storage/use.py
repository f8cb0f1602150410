"""How much room there is, and what takes it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StorageUse:
    """Bytes.

    Attributes:
        disk_total, disk_free: of the file system that the data folder is on.
        database: that PostgreSQL keeps.
        blobs: images, weights, checkpoints; None where nobody has counted them yet, or they are kept elsewhere.
    """

    disk_total: int
    disk_free: int
    database: int
    blobs: int | None
