"""Memory that one batch has freed is there for the next one, and goes back to the system when a request is answered.

By itself glibc asks the system for each large tensor and returns it at once, so that each batch has its pages cleared
anew: on a CPU a sixth of the time. Elsewhere than with glibc nothing is changed.
"""

import ctypes
from typing import Any

# Of <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_TENSOR_BYTES = 1 << 30
"""A larger one is asked of the system all the same."""


def keep_freed_memory() -> None:
    """From now on."""
    library = _find_glibc()
    if library is not None:
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_TENSOR_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _LARGEST_TENSOR_BYTES)


def give_back_freed_memory() -> None:
    """All that is kept: milliseconds."""
    library = _find_glibc()
    if library is not None:
        library.malloc_trim(0)


def _find_glibc() -> Any:
    """None where it is another one."""
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
