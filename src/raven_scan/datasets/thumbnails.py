"""Small pictures that were drawn once are kept: a page of a gallery asks for dozens."""

import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

LARGEST_SIDE_PX = 512
"""Larger ones are looked at singly, and would fill the disk."""

_LARGEST_BYTES = 1 << 30
_KEPT_SHARE = 0.8
_LOOK_EVERY = 2000


class Thumbnails:
    """A folder of pictures; what was not looked at for longest goes first. It may be deleted at any time.

    Args:
        folder: made at first use.
        largest_bytes: of all pictures together, about.
    """

    def __init__(self, folder: Path, *, largest_bytes: int = _LARGEST_BYTES) -> None:
        self._folder = folder
        self._largest_bytes = largest_bytes
        self._lock = threading.Lock()
        self._made = 0

    def get(self, key: str, make: Callable[[], bytes]) -> bytes:
        """The picture of that key, made where it is not there.

        Args:
            key: all that the picture hangs on.
            make: draws it.
        """
        digest = hashlib.sha256(key.encode()).hexdigest()
        path = self._folder / digest[:2] / f"{digest[2:]}.jpg"
        try:
            content = path.read_bytes()
            os.utime(path)
        except OSError:
            content = make()
            self._keep(path, content)
        return content

    def _keep(self, path: Path, content: bytes) -> None:
        """Without it, it is made again; so a full disk is no reason to show nothing."""
        partial = path.with_name(f"{uuid4()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial.write_bytes(content)
            partial.replace(path)
        except OSError:
            with suppress(OSError):
                partial.unlink()
            return
        with self._lock:
            self._made += 1
            is_due = self._made % _LOOK_EVERY == 0
        if is_due:
            self.make_room()

    def make_room(self) -> None:
        """Removes the oldest where there are too many."""
        kept: list[tuple[float, int, Path]] = []
        for path in self._folder.glob("??/*"):
            try:
                status = path.stat()
            except OSError:
                continue
            kept.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in kept)
        if total <= self._largest_bytes:
            return
        for _, size, path in sorted(kept):
            if total <= self._largest_bytes * _KEPT_SHARE:
                return
            path.unlink(missing_ok=True)
            total -= size
