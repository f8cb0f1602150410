"""Files as bodies of requests, read while they are sent: a file as it is, a folder as a zip made on the way."""

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from raven_scan.kernel.errors import Invalid

_CHUNK_BYTES = 1 << 20


def make_absolute(path: Path) -> str:
    """The path as the platform in this process takes it."""
    return str(path.absolute())


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be sent.

    Attributes:
        file_name: as the server is told.
        size_bytes: of what is sent; None where only sending it will tell.
        total_bytes: about what `size_bytes` will be.
        read: yields all of it, the same each time it is called.
    """

    file_name: str
    size_bytes: int | None
    total_bytes: int
    read: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes from `start` on."""

    start: int
    content: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.content)


class PartReader:
    """Reads a source in parts, and takes its digest on the way.

    Args:
        source: read from its beginning, for the digest's sake.
        offset_bytes: where the first part starts.
        part_bytes: what each part but the last has.
    """

    def __init__(self, source: Source, *, offset_bytes: int, part_bytes: int) -> None:
        self._source = source
        self._offset_bytes = offset_bytes
        self._part_bytes = part_bytes
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of what was read so far."""
        return self._digest.hexdigest()

    def read(self) -> Iterator[Part]:
        read_bytes = 0
        start = self._offset_bytes
        waiting = bytearray()
        for chunk in self._source.read():
            self._digest.update(chunk)
            waiting += chunk[max(0, self._offset_bytes - read_bytes) :]
            read_bytes += len(chunk)
            while len(waiting) >= self._part_bytes:
                part = Part(start, bytes(waiting[: self._part_bytes]))
                yield part
                start = part.end
                del waiting[: self._part_bytes]
        if waiting:
            yield Part(start, bytes(waiting))


def open_source(path: Path) -> Source:
    """A file as it is; a folder as a zip.

    Raises:
        Invalid: it cannot be read.
    """
    return _open_folder(path) if path.is_dir() else open_file(path)


def open_file(path: Path) -> Source:
    """Raises Invalid where there is none."""
    try:
        size_bytes = path.stat().st_size
        if not path.is_file():
            raise IsADirectoryError(0, "it is not a file")
        path.open("rb").close()
    except OSError as error:
        raise _make_unreadable(path, error) from error
    return Source(path.name, size_bytes, size_bytes, lambda: _read_file(path))


def _read_file(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _open_folder(folder: Path) -> Source:
    """Images are compressed already, so nothing is compressed again."""
    try:
        files = sorted(_list_files(folder))
        total_bytes = sum(file.stat().st_size for file in files)
    except OSError as error:
        raise _make_unreadable(folder, error) from error
    return Source(f"{folder.absolute().name}.zip", None, total_bytes, lambda: _zip_files(folder, files))


def _list_files(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for parent, _, names in os.walk(folder, onerror=fail, followlinks=True):
        for name in names:
            file = Path(parent, name)
            if file.is_file():
                yield file


def _zip_files(folder: Path, files: list[Path]) -> Iterator[bytes]:
    written = _Pipe()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            # A fixed date: those before 1980 do not fit a zip, and nobody asks for any.
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix())
            with file.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                while chunk := source.read(_CHUNK_BYTES):
                    target.write(chunk)
                    yield written.take()
    yield written.take()


class _Pipe:
    """What a zip is written to and taken from; it cannot seek, so the sizes follow each file in the zip."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def write(self, chunk: bytes) -> int:
        self._waiting += chunk
        return len(chunk)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> bytes:
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken


def _make_unreadable(path: Path, error: OSError) -> Invalid:
    return Invalid(
        "client.file_not_readable",
        f"{path} cannot be read: {error.strerror or error}.",
        hint="Check the path and its permissions.",
        parameters={"path": ascii(str(path))},
    )
