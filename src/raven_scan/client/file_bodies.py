"""Files as bodies of requests, read while they are sent: a file as it is, a folder as a zip made on the way."""

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.progress import Progress

_CHUNK_BYTES = 1 << 20
_STAGE = "upload"


def make_absolute(path: Path) -> str:
    """The path as the platform in this process takes it."""
    return str(path.absolute())


def read_file(path: Path, on_progress: Progress) -> Iterator[bytes]:
    """The bytes of a file. Raises Invalid at once where there is none."""
    try:
        size_bytes = path.stat().st_size
        if not path.is_file():
            raise IsADirectoryError(0, "it is not a file")
        path.open("rb").close()
    except OSError as error:
        raise _make_unreadable(path, error) from error
    return _read_chunks(path, size_bytes, on_progress)


def _read_chunks(path: Path, size_bytes: int, on_progress: Progress) -> Iterator[bytes]:
    sent_bytes = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
            sent_bytes += len(chunk)
            on_progress(_STAGE, sent_bytes, max(size_bytes, sent_bytes))


def zip_folder(folder: Path, on_progress: Progress) -> Iterator[bytes]:
    """A zip of all files in a folder. Images are compressed already, so nothing is compressed again.

    Raises:
        Invalid: the folder cannot be read, at once.
    """
    try:
        files = sorted(_list_files(folder))
        total_bytes = sum(file.stat().st_size for file in files)
    except OSError as error:
        raise _make_unreadable(folder, error) from error
    return _zip_files(folder, files, total_bytes, on_progress)


def _list_files(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for parent, _, names in os.walk(folder, onerror=fail, followlinks=True):
        for name in names:
            file = Path(parent, name)
            if file.is_file():
                yield file


def _zip_files(folder: Path, files: list[Path], total_bytes: int, on_progress: Progress) -> Iterator[bytes]:
    written = _Pipe()
    sent_bytes = 0
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            # A fixed date: those before 1980 do not fit a zip, and nobody asks for any.
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix())
            with file.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                while chunk := source.read(_CHUNK_BYTES):
                    target.write(chunk)
                    sent_bytes += len(chunk)
                    yield written.take()
            on_progress(_STAGE, sent_bytes, max(total_bytes, sent_bytes))
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
