"""Working folders that go with their process: what a killed one left behind, the next one removes."""

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from uuid import uuid4

_LOCK_SUFFIX = ".lock"


@contextmanager
def hold_scratch_folder(parent: Path, prefix: str) -> Generator[Path]:
    """An empty folder `parent/prefix-…` of mode 0700, removed at the end.

    A lock file beside it, held by this process, tells that it is in use. Folders of the same prefix whose holder
    is dead are removed first.
    """
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _remove_abandoned(parent, prefix)
    folder = parent / f"{prefix}-{uuid4().hex}"
    lock = folder.with_name(folder.name + _LOCK_SUFFIX)
    descriptor = _create_lock(lock)
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def remove_leftovers(parent: Path, than: datetime, *, dry_run: bool = False) -> tuple[int, int]:
    """Removes files and scratch folders in `parent` that nobody changed since `than` and nobody holds.

    Returns:
        How many there were, and their size in bytes.
    """
    count = size_bytes = 0
    for entry in sorted(parent.iterdir()):
        with suppress(FileNotFoundError):  # its owner is done with it
            if entry.suffix == _LOCK_SUFFIX or entry.stat().st_mtime >= than.timestamp() or _is_held(entry):
                continue
            files = [path for path in entry.rglob("*") if path.is_file()] if entry.is_dir() else [entry]
            size_bytes += sum(path.stat().st_size for path in files)
            count += 1
            if not dry_run:
                _remove(entry)
    return count, size_bytes


def _remove(entry: Path) -> None:
    if entry.is_dir():
        shutil.rmtree(entry, ignore_errors=True)
        entry.with_name(entry.name + _LOCK_SUFFIX).unlink(missing_ok=True)
    else:
        entry.unlink()


def _is_held(entry: Path) -> bool:
    try:
        descriptor = os.open(entry.with_name(entry.name + _LOCK_SUFFIX), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _create_lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # taken for abandoned between its creation and its locking


def _remove_abandoned(parent: Path, prefix: str) -> None:
    for lock in parent.glob(f"{prefix}-*{_LOCK_SUFFIX}"):
        with suppress(OSError):
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.with_name(lock.name.removesuffix(_LOCK_SUFFIX)), ignore_errors=True)
                lock.unlink()
            finally:
                os.close(descriptor)
