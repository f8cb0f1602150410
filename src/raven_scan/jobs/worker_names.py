"""Names of workers: whose process it is, and whether it lives, can be told from them on the same machine."""

import hashlib
import os
import socket

from raven_scan.kernel.embedded_postgres.processes import (
    find_start_mark,
    get_boot_id,
    get_process_namespace,
)


def make_worker_name() -> str:
    """Host, process id, and a mark of this boot, this container and the process's start.

    A recycled process id is another worker, and so is one of a machine or container with the same host name.
    """
    return f"{socket.gethostname()}:{os.getpid()}:{_make_machine_mark()}.{_find_start_tick(os.getpid())}"


def is_worker_gone(name: str) -> bool:
    """Whether the worker of that name ran beside this process and is dead. False where nobody can tell."""
    try:
        host, pid, mark = name.rsplit(":", 2)
        machine, tick = mark.split(".")
        process_id = int(pid)
    except ValueError:
        return False
    if (host, machine) != (socket.gethostname(), _make_machine_mark()):
        return False
    return _find_start_tick(process_id) != tick


def _make_machine_mark() -> str:
    return hashlib.sha256(f"{get_boot_id()}{get_process_namespace()}".encode()).hexdigest()[:8]


def _find_start_tick(pid: int) -> str | None:
    mark = find_start_mark(pid)
    return None if mark is None else mark.rpartition("/")[2]
