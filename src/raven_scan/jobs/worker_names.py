"""Names of workers: whose process it is can be seen from them."""

import os
import socket

import psutil


def make_worker_name() -> str:
    """Host, process id and the process's start time: a recycled process id is another worker."""
    process = psutil.Process()
    return f"{socket.gethostname()}:{os.getpid()}:{process.create_time():.2f}"


def is_worker_gone(name: str) -> bool:
    """Whether the worker of that name ran on this machine and is dead. False where nobody can tell."""
    host, pid, created = name.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        # The kernel counts a start in ticks of 10 ms from the boot; the boot's time may be corrected by less than 1 s.
        return abs(psutil.Process(int(pid)).create_time() - float(created)) > 1.0
    except psutil.NoSuchProcess:
        return True
