"""Makes sure that what was written is on the disk."""

import ctypes
import errno
import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last over a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_filesystem(folder: Path) -> None:
    """One flush of the whole file system (syncfs, Linux) instead of one a file."""
    try:
        sync = ctypes.CDLL(None, use_errno=True).syncfs
    except AttributeError:
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if sync(descriptor) != 0:
            number = ctypes.get_errno() or errno.EIO
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)
