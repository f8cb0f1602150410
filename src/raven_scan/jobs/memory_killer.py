"""Whether the system has killed processes for want of memory."""

from pathlib import Path

_VMSTAT = Path("/proc/vmstat")
_CGROUP = Path("/sys/fs/cgroup/memory.events")
_KEY = "oom_kill"


def count_memory_kills() -> int:
    """How many processes the kernel has killed so far, on this machine and in this container."""
    return _read_count(_VMSTAT) + _read_count(_CGROUP)


def _read_count(path: Path) -> int:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(count) for name, _, count in (line.partition(" ") for line in lines) if name == _KEY)
