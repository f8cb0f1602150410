"""How much memory a training takes, all its processes together."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from raven_scan.trainer.ranks import find_rank

_PROC = Path("/proc")
# The system walks all pages of a process to tell of its shared ones: some milliseconds, too long for every step.
_SAMPLE_INTERVAL_S = 10.0


class MemoryMeter:
    """The peak of the GPU that this process uses, or of this process and all its descendants on a CPU.

    On a CPU, pages that processes share count once (PSS). What a process needed only in the middle of a step, such as
    activations, is not there any more between two steps: its own peak (VmHWM) above what it holds is added.

    Args:
        root_pid: whose descendants count; None for this process.
    """

    def __init__(self, root_pid: int | None = None) -> None:
        self._root_pid = root_pid
        self._sampled_at: float | None = None
        self._peak_mb = 0.0

    def read_peak_mb(self) -> float:
        """The peak so far, which may be some seconds old."""
        now = time.monotonic()
        if self._sampled_at is None or now - self._sampled_at >= _SAMPLE_INTERVAL_S:
            return self.measure_peak_mb()
        return self._peak_mb

    def measure_peak_mb(self) -> float:
        """The peak up to now."""
        if torch.cuda.is_available():
            # What is reserved is what has to be there; allocated is what is used of it.
            measured = torch.cuda.max_memory_reserved() / 2**20
        else:
            processes = list_with_descendants(self._root_pid or os.getpid())
            measured = sum(map(_measure_process_bytes, processes)) / 2**20
        self._sampled_at = time.monotonic()
        self._peak_mb = max(self._peak_mb, measured)
        return self._peak_mb


def make_memory_meter() -> MemoryMeter:
    """Of all processes of the training: where it has several ranks, those are children of this one's parent."""
    return MemoryMeter(os.getppid() if find_rank() else None)


def list_with_descendants(pid: int) -> Iterator[int]:
    """A process and all that it started, as far as they still live."""
    yield pid
    for task in (_PROC / str(pid) / "task").glob("*/children"):
        try:
            children = [int(each) for each in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            yield from list_with_descendants(child)


def _measure_process_bytes(pid: int) -> float:
    try:
        rollup = _read_sizes(_PROC / str(pid) / "smaps_rollup")
        peak = _read_sizes(_PROC / str(pid) / "status").get("VmHWM", 0)
        return rollup["Pss"] + max(0, peak - rollup["Rss"])
    except (OSError, KeyError):
        try:
            return psutil.Process(pid).memory_info().rss
        except psutil.Error:
            return 0


def _read_sizes(path: Path) -> dict[str, int]:
    """Lines such as `Pss:  1234 kB`, in bytes."""
    sizes: dict[str, int] = {}
    for line in path.read_text().splitlines():
        name, _, rest = line.partition(":")
        if rest.endswith(" kB"):
            sizes[name] = int(rest.split()[0]) * 1024
    return sizes
