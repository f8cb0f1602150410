"""What there is of memory and space at the moment, as evidence of why it did not suffice."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import psutil


def measure_host_memory() -> dict[str, Any]:
    memory = psutil.virtual_memory()
    return {"available_bytes": memory.available, "total_bytes": memory.total}


def measure_device_memory() -> dict[str, Any]:
    """Of the GPU in use; {} where there is none, or where it does not answer any more."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return {}
    try:
        free_bytes, total_bytes = torch.cuda.mem_get_info()
    except RuntimeError:
        return {}
    return {"free_bytes": free_bytes, "total_bytes": total_bytes}


def measure_disk(path: object) -> dict[str, Any]:
    """Of the file system that a path is on, or would be."""
    if not isinstance(path, str | os.PathLike):
        return {}
    place = Path(path)
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        usage = shutil.disk_usage(place)
    except OSError:
        return {"path": str(path)}
    return {"path": str(path), "free_bytes": usage.free, "total_bytes": usage.total}
