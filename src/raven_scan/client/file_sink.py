"""A file that comes from the server: under its name once it is whole and verified, not before."""

import hashlib
import os
from pathlib import Path

from raven_scan.kernel.errors import Invalid, Unavailable


class FileSink:
    """Takes bytes beside `path`, and moves them there at the end.

    Args:
        path: replaced by what comes.

    Raises:
        Invalid: nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._digest = hashlib.sha256()
        self.offset_bytes = 0
        try:
            self._file = self._part.open("wb")
        except OSError as error:
            raise _make_not_written(path, error) from error

    def write(self, chunk: bytes) -> None:
        try:
            self._file.write(chunk)
        except OSError as error:
            raise _make_not_written(self._path, error) from error
        self._digest.update(chunk)
        self.offset_bytes += len(chunk)

    def begin_again(self) -> None:
        """What came is not the beginning of what comes next."""
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self.offset_bytes = 0

    def finish(self, sha256: str | None) -> str:
        """Moves the file to its place; returns its SHA-256.

        Args:
            sha256: that it should have; None where that is not known.

        Raises:
            Unavailable: `client.download_damaged`; nothing is left.
            Invalid: the disk is full.
        """
        found = self._digest.hexdigest()
        if sha256 is not None and found != sha256:
            raise Unavailable(
                "client.download_damaged",
                "What arrived is not what the server has: its SHA-256 is another.",
                hint="Download it again.",
                parameters={"expected": sha256, "found": found},
            )
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._path)
        except OSError as error:
            raise _make_not_written(self._path, error) from error
        return found

    def close(self) -> None:
        """Leaves nothing of what was not finished."""
        self._file.close()
        self._part.unlink(missing_ok=True)


def _make_not_written(path: Path, error: OSError) -> Invalid:
    return Invalid(
        "client.file_not_writable",
        f"{path} cannot be written: {error.strerror or error}.",
        hint="Check the folder, its permissions, and the space that is left.",
        parameters={"path": ascii(str(path))},
    )
