"""What keeps a worker that waits small. See decision 0136."""

import ctypes
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

_SMAPS = Path("/proc/self/smaps")
_MADV_DONTNEED = 4


def import_structlog_alone() -> None:
    """Imports structlog without rich, which it imports wherever it is installed, for tracebacks that are never shown.

    With Pygments and what else comes along these are 6 MB. Others may import rich as ever.
    """
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # pyright: ignore[reportArgumentType] - documented: importing it then fails
    try:
        import_module("structlog")
    finally:
        del sys.modules["rich"]


def release_program_pages() -> None:
    """Gives pages of programs and libraries back that this process has mapped; those it needs come again by themselves.

    Most were touched once, by the start. They are pages of files, which no process has changed.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in _find_unchanged_mappings():
        # One that is locked refuses, and stays.
        libc.madvise(start, end - start, _MADV_DONTNEED)


def _find_unchanged_mappings() -> Iterator[tuple[int, int]]:
    """First address, and the one behind the last, of what maps a file, cannot be written, and never was."""
    mapping: tuple[int, int] | None = None
    # A line at a time: all of it at once would take 2 MB, for good.
    with _SMAPS.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            fields = line.split(maxsplit=5)
            if not fields[0].endswith(":"):
                start, _, end = fields[0].partition("-")
                access, inode = fields[1], fields[4]
                is_file = access[0] == "r" and access[1] == "-" and access[3] == "p" and inode != "0"
                mapping = (int(start, 16), int(end, 16)) if is_file else None
            elif mapping is not None and fields[0] == "Anonymous:":
                # What the loader has relocated has pages of its own, which must not be lost.
                if fields[1] == "0":
                    yield mapping
                mapping = None
