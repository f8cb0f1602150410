"""Unpacks a zip from outside: its names and sizes are claims, and only what is really written counts."""

import errno
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from raven_scan.datasets.archive_directory import ArchiveFile, DirectoryTooLarge
from raven_scan.kernel.errors import Invalid, Unavailable
from raven_scan.kernel.progress import Progress

_CHUNK_BYTES = 1 << 20
_LARGEST_RATIO = 200
_RATIO_COUNTS_FROM_BYTES = 64 << 20
_ENCRYPTED = 0x1
_LEFT_OUT = ("__MACOSX/",)


def unpack_archive(
    path: Path, folder: Path, *, largest_bytes: int, largest_files: int, progress: Progress
) -> None:
    """Unpack `path` into the empty `folder`.

    Raises:
        Invalid: it is no zip, is damaged or encrypted, has a name that leads out of the folder, a link, the same
            name twice, too many files, or unpacks to too much (in all, or for its size).
        Unavailable: the disk is full.
    """
    limit = _RatioLimit(path.stat().st_size, largest_bytes)
    try:
        with ArchiveFile(path, largest_files) as file, zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if len(entries) > largest_files:
                raise _refuse(
                    "too_many_files", f"it has {len(entries)} files, and the limit is {largest_files}"
                )
            _check_entries(entries)
            for done, entry in enumerate(entries):
                progress("unpacking", done, len(entries))
                if not entry.filename.startswith(_LEFT_OUT):
                    _unpack_entry(archive, entry, folder, limit)
            progress("unpacking", len(entries), len(entries))
    except DirectoryTooLarge as error:
        raise _refuse("too_many_files", str(error)) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        raise _refuse("damaged_archive", f"it is no zip, or a damaged one ({error})") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable(
                "storage.write_failed",
                f"Could not unpack to {folder}: {error.strerror}.",
                hint="Free some space.",
            ) from error
        raise _refuse("damaged_archive", f"it cannot be unpacked ({error.strerror or error})") from error


class _RatioLimit:
    """Counts what is written."""

    def __init__(self, archive_bytes: int, largest_bytes: int) -> None:
        self._largest_bytes = largest_bytes
        self._suspicious_bytes = max(_RATIO_COUNTS_FROM_BYTES, archive_bytes * _LARGEST_RATIO)
        self._written = 0

    def add(self, size_bytes: int) -> None:
        self._written += size_bytes
        if self._written > self._largest_bytes:
            raise _refuse(
                "archive_too_large", f"it unpacks to more than the limit of {self._largest_bytes} bytes"
            )
        if self._written > self._suspicious_bytes:
            raise _refuse(
                "archive_bomb", f"it unpacks to more than {_LARGEST_RATIO} times its size, as no image does"
            )


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for entry in entries:
        name = entry.orig_filename
        shown = ascii(name[:200])
        if "\\" in name or ":" in name.split("/")[0] or name.startswith("/"):
            raise _refuse("archive_path", f"its entry {shown} has an absolute or a foreign path")
        if ".." in PurePosixPath(name).parts or not name.isprintable() or not name:
            raise _refuse("archive_path", f"its entry {shown} has a path that leads elsewhere")
        if name in seen:
            raise _refuse("archive_path", f"its entry {shown} is there twice")
        seen.add(name)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refuse("archive_path", f"its entry {shown} is a link or a device")
        if entry.flag_bits & _ENCRYPTED:
            raise _refuse("archive_encrypted", f"its entry {shown} is encrypted")


def _unpack_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, limit: _RatioLimit) -> None:
    target = folder / entry.filename
    if entry.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as packed, target.open("xb") as file:
        while chunk := packed.read(_CHUNK_BYTES):
            limit.add(len(chunk))
            file.write(chunk)


def _refuse(code: str, sentence: str) -> Invalid:
    return Invalid(
        f"dataset.{code}",
        f"The archive is refused, and nothing was stored: {sentence}.",
        hint="Pack the dataset again, as a plain zip of one folder.",
    )
