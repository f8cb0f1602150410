"""Working folders of imports: gone when the import is over, and when it was killed, at the next one."""

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from raven_scan.kernel.ids import make_id

_LOCK_SUFFIX = ".lock"
_LONGEST_FILE_NAME = 200


@contextmanager
def make_import_folder(parent: Path) -> Generator[Path]:
    """A new folder under `parent`, for its owner alone. Removes those of imports that were killed first."""
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    remove_abandoned_folders(parent)
    folder = parent / make_id().hex
    lock = folder.with_suffix(_LOCK_SUFFIX)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # The system lets go of it when this process dies, whatever of. It is there before the folder is.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def remove_abandoned_folders(parent: Path) -> None:
    """Removes the folders whose import is over without having removed them."""
    for folder in parent.iterdir():
        if not folder.is_dir():
            continue
        lock = folder.with_suffix(_LOCK_SUFFIX)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def make_file_name(given: str) -> str:
    """A name that a file can have here, as near as can be to the one that it had elsewhere."""
    last = given.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(character for character in last if character.isprintable()).encode()[-_LONGEST_FILE_NAME:]
    name = kept.decode(errors="ignore").strip()
    return name if name.strip(".") else "checkpoint"
