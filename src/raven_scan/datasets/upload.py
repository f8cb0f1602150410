"""An archive that arrives in pieces."""

from pathlib import Path
from typing import Self

from raven_scan.kernel.errors import Invalid, Unavailable


class Upload:
    """A file that grows up to a limit.

    Args:
        path: made here.
        largest_bytes: more is refused.
    """

    def __init__(self, path: Path, largest_bytes: int) -> None:
        self.path = path
        self._largest_bytes = largest_bytes
        self._received_bytes = 0
        self._file = path.open("xb", buffering=1 << 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, piece: bytes) -> None:
        """Raises Invalid past the limit, Unavailable where the disk is full."""
        self._received_bytes += len(piece)
        if self._received_bytes > self._largest_bytes:
            raise Invalid(
                "dataset.archive_too_large",
                f"The archive is larger than the limit of {self._largest_bytes} bytes.",
                hint="Split it, or raise RAVEN_LARGEST_ARCHIVE_BYTES.",
            )
        try:
            self._file.write(piece)
        except OSError as error:
            raise self._make_error(error) from error

    def finish(self) -> Path:
        """The whole file, once everything was written."""
        try:
            self._file.close()
        except OSError as error:
            raise self._make_error(error) from error
        return self.path

    def _make_error(self, error: OSError) -> Unavailable:
        return Unavailable(
            "storage.write_failed",
            f"Could not receive the archive: {error.strerror}.",
            hint="Free some space.",
        )
