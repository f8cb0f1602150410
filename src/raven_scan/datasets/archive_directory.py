"""Counts what a zip's directory holds before the library parses it, which takes many times its size in memory.

The library finds the directory by itself, in ways that differ between its versions, and then reads it in one piece. So
this looks at that very read: what is counted is what the library goes on to parse, wherever a hostile archive hid it.
"""

import struct
from pathlib import Path
from types import TracebackType
from typing import Self

_RECORD = struct.Struct("<4s24x3H12x")
"""A record of the central directory: signature, and the lengths of its name, extra field and comment."""

_SIGNATURE = b"PK\x01\x02"
_LARGEST_PLAIN_READ_BYTES = 1 << 20
_LARGEST_RECORD_BYTES = 512
"""On average. Images have shorter names; the longest that there can be would take 400 times as much."""


class DirectoryTooLarge(Exception):  # noqa: N818 - it names the finding
    """Its text says how, as the rest of a sentence about the archive."""


class ArchiveFile:
    """A zip's file for zipfile to read, which does not hand out a directory that is too large.

    Args:
        path: of the archive.
        largest_files: entries admitted.

    Raises:
        DirectoryTooLarge: from `read`.
    """

    def __init__(self, path: Path, largest_files: int) -> None:
        self._file = path.open("rb")
        self._size_bytes = path.stat().st_size
        self._largest_files = largest_files

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, size: int = -1, /) -> bytes:
        rest = self._size_bytes - self._file.tell()
        size = rest if size < 0 else min(size, rest)
        # Content is read in smaller pieces, and a directory of one piece does no harm.
        if size > _LARGEST_PLAIN_READ_BYTES:
            self._check_directory(size)
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()

    def _check_directory(self, size: int) -> None:
        if size > _LARGEST_PLAIN_READ_BYTES + self._largest_files * _LARGEST_RECORD_BYTES:
            raise DirectoryTooLarge(
                f"its directory of {size} bytes is larger than any with the limit of {self._largest_files} files"
            )
        start = self._file.tell()
        count = 0
        while self._file.tell() < start + size:
            record = self._file.read(_RECORD.size)
            if len(record) < _RECORD.size or not record.startswith(_SIGNATURE):
                break  # damaged, as the library will say
            count += 1
            if count > self._largest_files:
                raise DirectoryTooLarge(f"it has more than the limit of {self._largest_files} files")
            _, name_bytes, extra_bytes, comment_bytes = _RECORD.unpack(record)
            self._file.read(name_bytes + extra_bytes + comment_bytes)
        self._file.seek(start)
