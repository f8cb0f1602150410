"""Decoded images on the disk, for all processes of this machine that load them again.

An entry is a file of its own, written under another name first. The operating system keeps in memory, once for all
processes, what is read often. Any entry, and the whole folder, may be missing or damaged: the image is then decoded.
"""

import fcntl
import mmap
import os
import shutil
import struct
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<8sIIQ")
_MAGIC = b"ravenpx1"
# Pixels begin here, so that rows are aligned.
_PIXELS_AT = 64
_TOTAL = struct.Struct("<Q")
_TOTAL_FILE = "total"
# Of the free disk, what is in the cache counted as free.
_LARGEST_SHARE_OF_DISK = 0.1
# After making room there is more than was asked for: looking through the folder takes a while.
_ROOM_SHARE = 0.125
_ABANDONED_AFTER_S = 3600.0
_LOCK_TRIES = 5
_LOCK_PAUSE_S = 0.001


@dataclass
class ImageCache:
    """Entries by key, at most `largest_bytes` together, and a tenth of the free disk.

    Who finds no room removes entries that were used longest ago, but none that was used since this object was made:
    images of a dataset that is larger than the cache would push each other out in every epoch. It is copied to other
    processes by forking, or by pickling.

    Attributes:
        folder: made when the first entry is written.
        largest_bytes: of all files together.
        began_at: seconds since the epoch; what was used after it stays.
    """

    folder: Path
    largest_bytes: int
    began_at: float = field(default_factory=time.time)
    _seen: set[str] = field(default_factory=set[str], repr=False)
    _is_closed: bool = field(default=False, repr=False)

    def find(self, key: str) -> NDArray[np.uint8] | None:
        """The pixels, uint8 (H, W, 3) that cannot be written to, or None.

        An entry is checked when this process finds it for the first time. It then counts as used.
        """
        path = self._locate(key)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            content = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED)
            pixels, checksum = _read_entry(content)
            if key not in self._seen:
                # Read, not mapped: where the disk fails, reading is an error, and touching mapped memory a signal.
                if _read_checksum(descriptor, pixels.nbytes) != checksum:
                    return None
                os.utime(descriptor)
                self._seen.add(key)
        except (OSError, ValueError, struct.error):
            return None
        finally:
            os.close(descriptor)
        return pixels

    def add(self, key: str, pixels: NDArray[np.uint8]) -> None:
        """Keep pixels, uint8 (H, W, 3), where there is room. That there is none, or no disk, is no error."""
        if self._is_closed:
            return
        pixels = np.ascontiguousarray(pixels)
        path = self._locate(key)
        temporary = path.parent / f".{key}.{os.getpid()}"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            if not self._reserve(temporary, _PIXELS_AT + pixels.nbytes):
                return
            height, width = pixels.shape[:2]
            header = _HEADER.pack(_MAGIC, height, width, _sum_up(pixels)).ljust(_PIXELS_AT, b"\0")
            with temporary.open("r+b") as file:
                file.write(header)
                file.write(pixels.data)
            temporary.replace(path)
            self._seen.add(key)
        except OSError:
            self._is_closed = True
            with suppress(OSError):
                temporary.unlink()

    def _locate(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def _reserve(self, temporary: Path, size_bytes: int) -> bool:
        """Make a file of that size, which is counted from now on, after making room for it where there is none."""
        with self._lock() as descriptor:
            if descriptor is None:
                return False
            content = os.pread(descriptor, _TOTAL.size, 0)
            total = _TOTAL.unpack(content)[0] if len(content) == _TOTAL.size else None
            if total is None or total + size_bytes > self._find_limit(total):
                total = self._make_room(size_bytes)
            fits = total + size_bytes <= self._find_limit(total)
            os.pwrite(descriptor, _TOTAL.pack(total + size_bytes * fits), 0)
            if fits:
                with temporary.open("wb") as file:
                    file.truncate(size_bytes)
            else:
                # What may be removed does not become more while this process lives.
                self._is_closed = True
            return fits

    @contextmanager
    def _lock(self) -> Generator[int | None]:
        """The file that the total is in, locked until this process ends at the latest; None where another has it."""
        descriptor = os.open(self.folder / _TOTAL_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for _ in range(_LOCK_TRIES):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    # Not for long: who has it may have been stopped.
                    time.sleep(_LOCK_PAUSE_S)
                else:
                    yield descriptor
                    return
            yield None
        finally:
            os.close(descriptor)

    def _find_limit(self, total: int) -> int:
        free = shutil.disk_usage(self.folder).free
        return min(self.largest_bytes, int((free + total) * _LARGEST_SHARE_OF_DISK))

    def _make_room(self, size_bytes: int) -> int:
        """Remove what was used longest ago, and what killed processes left; returns the bytes of what is there."""
        total = 0
        old: list[tuple[float, int, str]] = []
        for each in _list_files(self.folder):
            try:
                found = each.stat(follow_symlinks=False)
            except OSError:
                continue
            is_abandoned = each.name.startswith(".") and found.st_mtime < time.time() - _ABANDONED_AFTER_S
            if is_abandoned and _remove(each.path):
                continue
            total += found.st_size
            if found.st_mtime < self.began_at and not each.name.startswith("."):
                old.append((found.st_mtime, found.st_size, each.path))
        limit = self._find_limit(total)
        wanted = max(0, limit - size_bytes - int(limit * _ROOM_SHARE))
        if total + size_bytes > limit:
            for _, freed, path in sorted(old):
                if total <= wanted:
                    break
                if _remove(path):
                    total -= freed
        return total


def _read_entry(content: mmap.mmap) -> tuple[NDArray[np.uint8], int]:
    """The pixels and their checksum. Raises ValueError, struct.error."""
    magic, height, width, checksum = _HEADER.unpack_from(content)
    if magic != _MAGIC or height * width == 0 or len(content) != _PIXELS_AT + height * width * 3:
        raise ValueError("it is no entry")
    pixels = np.frombuffer(content, np.uint8, offset=_PIXELS_AT).reshape(height, width, 3)
    return pixels, checksum


def _read_checksum(descriptor: int, size_bytes: int) -> int:
    pixels = np.empty(size_bytes, np.uint8)
    if os.preadv(descriptor, [pixels.data], _PIXELS_AT) != size_bytes:
        raise OSError(0, "it was not read wholly")
    return _sum_up(pixels)


def _sum_up(pixels: NDArray[np.uint8]) -> int:
    """Tells a hole or changed bytes, in a hundredth of the time that a digest takes."""
    flat = pixels.reshape(-1)
    border = len(flat) // 8 * 8
    words = int(flat[:border].view(np.uint64).sum(dtype=np.uint64))
    return (words + int(flat[border:].sum(dtype=np.uint64))) % 2**64


def _list_files(folder: Path) -> Generator[os.DirEntry[str]]:
    with os.scandir(folder) as inner:
        folders = [each.path for each in inner if each.is_dir(follow_symlinks=False)]
    for path in folders:
        with suppress(OSError), os.scandir(path) as files:
            yield from files


def _remove(path: str) -> bool:
    try:
        os.unlink(path)  # noqa: PTH108 - text instead of paths: there may be a hundred thousand
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
