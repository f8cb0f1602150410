"""A package's zip: written the same each time, read with limits.

Files are stored as they are, under fixed names, with one date and in a fixed order. So a package is no smaller than
what is in it, and whatever is compressed, is a link, or has a path, is none.
"""

import hashlib
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raven_scan.datasets.archive_directory import ArchiveFile, DirectoryTooLarge
from raven_scan.packages import errors

LARGEST_PACKAGE_BYTES = 24_000_000_000

_LARGEST_FILES = 64
_CHUNK_BYTES = 1 << 20
_ZIP64_FROM_BYTES = 1 << 31
_DATE = (1980, 1, 1, 0, 0, 0)
_MODE = (stat.S_IFREG | 0o644) << 16
_UNIX = 3
_ENCRYPTED = 0x1
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}(/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99})?")
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
    RuntimeError,
    OverflowError,
)


@dataclass(frozen=True, slots=True)
class FileToPack:
    """`content`: its bytes, or the file that holds them."""

    name: str
    content: bytes | Path

    def measure(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def read(self) -> Iterator[bytes]:
        if isinstance(self.content, bytes):
            yield self.content
            return
        with self.content.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    def digest(self) -> str:
        digest = hashlib.sha256()
        for chunk in self.read():
            digest.update(chunk)
        return digest.hexdigest()


def write_archive(path: Path, files: Iterable[FileToPack]) -> None:
    """Writes the zip: the same bytes of the same files."""
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED) as archive:
        for file in files:
            size_bytes = file.measure()
            entry = zipfile.ZipInfo(file.name, _DATE)
            entry.create_system, entry.external_attr, entry.file_size = _UNIX, _MODE, size_bytes
            with archive.open(entry, "w", force_zip64=size_bytes >= _ZIP64_FROM_BYTES) as packed:
                for chunk in file.read():
                    packed.write(chunk)


class PackageArchive:
    """The files of a package that is read; what is wrong with it is Invalid or Damaged.

    Attributes:
        sizes: bytes of each file, as the directory says; reading never gives more.
    """

    def __init__(self, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> None:
        self._archive = archive
        self._entries = entries
        self.sizes = {name: entry.file_size for name, entry in entries.items()}

    def read(self, name: str, largest_bytes: int) -> bytes:
        """A file that is there, whole."""
        if self.sizes[name] > largest_bytes:
            raise errors.make_too_large(name, largest_bytes)
        return b"".join(self.stream(name))

    def stream(self, name: str) -> Iterator[bytes]:
        try:
            with self._archive.open(self._entries[name]) as packed:
                while chunk := packed.read(_CHUNK_BYTES):
                    yield chunk
        except (*_BROKEN, OSError) as error:
            raise errors.make_file_changed(name) from error


@contextmanager
def open_archive(path: Path) -> Generator[PackageArchive]:
    """Opens a file that may be a package.

    Raises:
        Invalid: `package.not_a_package`, `package.too_large`, `package.damaged_archive`, `package.unsafe_archive`.
    """
    _check_file(path)
    with ArchiveFile(path, _LARGEST_FILES) as file:
        try:
            archive = zipfile.ZipFile(file)
            entries = _check_entries(archive.infolist(), path.stat().st_size)
        except DirectoryTooLarge as error:
            raise errors.make_unsafe_archive(str(error)) from None
        except (*_BROKEN, OSError) as error:
            raise errors.make_damaged_archive(str(error)[:200]) from error
        yield PackageArchive(archive, entries)


def _check_file(path: Path) -> None:
    try:
        # Asked first: opening a pipe would wait for ever.
        if not path.is_file():
            raise errors.make_not_a_package("it is not there" if not path.exists() else "it is no file")
        path.open("rb").close()
        if path.stat().st_size > LARGEST_PACKAGE_BYTES:
            raise errors.make_too_large("it", LARGEST_PACKAGE_BYTES)
    except (OSError, ValueError) as error:
        raise errors.make_not_a_package(f"it cannot be read ({error})") from error


def _check_entries(listed: list[zipfile.ZipInfo], archive_bytes: int) -> dict[str, zipfile.ZipInfo]:
    if len(listed) > _LARGEST_FILES:
        raise errors.make_unsafe_archive(f"it has more than {_LARGEST_FILES} files")
    entries: dict[str, zipfile.ZipInfo] = {}
    total_bytes = 0
    for entry in listed:
        name = entry.orig_filename
        shown = ascii(name[:100])
        problems = (
            (not _NAME.fullmatch(name) or name != entry.filename, f"its entry {shown} has a foreign path"),
            (name in entries, f"its entry {shown} is there twice"),
            (
                stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG),
                f"its entry {shown} is a link or a device",
            ),
            (entry.flag_bits & _ENCRYPTED, f"its entry {shown} is encrypted"),
            (
                entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size,
                f"its entry {shown} is compressed",
            ),
        )
        problem = next((text for is_there, text in problems if is_there), None)
        if problem is not None:
            raise errors.make_unsafe_archive(problem)
        entries[name] = entry
        total_bytes += entry.file_size
    # Entries that lie on each other would have one byte read many times.
    if total_bytes > archive_bytes:
        raise errors.make_unsafe_archive("its files are larger together than itself")
    return entries
