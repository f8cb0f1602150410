"""What `/proc` says of processes: who lives, since when, and in which folder."""

import os
import time
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

_COMMAND_LENGTH = 160
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_DEAD_STATES = ("Z", "X")


def get_boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def get_process_namespace() -> str:
    """Names the set of process ids that this process sees; another container has another one."""
    return str(Path("/proc/self/ns/pid").readlink())


def find_start_mark(pid: int) -> str | None:
    """What tells a process from a later one with the same id: the boot and the clock tick of its start.

    Returns:
        None where no such process lives; one that was killed and not yet reaped is dead.
    """
    fields = _find_stat_fields(pid)
    return None if fields is None else f"{get_boot_id()}/{fields[19]}"


def find_started_at(pid: int) -> datetime | None:
    fields = _find_stat_fields(pid)
    if fields is None:
        return None
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / _TICKS_A_SECOND
    return datetime.fromtimestamp(time.time() - age_s, UTC)


def find_command(pid: int) -> str:
    """The command line, shortened; empty where it cannot be read."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
    except OSError:
        return ""
    text = line.decode(errors="replace")
    return text if len(text) <= _COMMAND_LENGTH else text[: _COMMAND_LENGTH - 1] + "…"


def open_pidfd(pid: int, start_mark: str) -> int | None:
    """A descriptor that becomes readable when the process ends; None where it has ended already."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    # Asked after opening: from here on the descriptor cannot come to mean another process.
    if find_start_mark(pid) == start_mark:
        return descriptor
    os.close(descriptor)
    return None


def works_in(pid: int, folder: Path, names: Collection[str]) -> bool:
    """Whether the process is one of these programs and its working folder is `folder`."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        return name in names and Path(f"/proc/{pid}/cwd").samefile(folder)
    except (OSError, UnicodeDecodeError):
        return False


def list_processes_in(folder: Path, names: Collection[str]) -> list[int]:
    """Ids of the processes that `works_in` is true of."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return [pid for pid in pids if works_in(pid, folder, names)]


def kill_processes_in(folder: Path, names: Collection[str]) -> None:
    for pid in list_processes_in(folder, names):
        with suppress(ProcessLookupError):
            os.kill(pid, 9)


def _find_stat_fields(pid: int) -> list[str] | None:
    """Fields of `/proc/<pid>/stat` from the third, the state, on; proc(5)'s 22nd, the start, has index 19."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the name in parentheses, which may hold spaces and parentheses itself.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in _DEAD_STATES else fields
