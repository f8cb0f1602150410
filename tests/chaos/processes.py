"""Processes of a campaign: found by what their command line names, watched until they are gone."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from raven_scan.kernel.embedded_postgres.processes import find_start_mark, list_processes_in

Mark = tuple[int, str]
"""A process id with the moment of its start: a later process of the same id is another one."""


def find_by_command_line(part: Path) -> list[int]:
    """Processes that live and name `part` in their command line, such as trainers with a specification in a folder."""
    needle = os.fsencode(part)
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if needle in (entry / "cmdline").read_bytes() and find_start_mark(int(entry.name)):
                    found.append(int(entry.name))
    return sorted(found)


def find_trainer(folder: Path, worker: int) -> int | None:
    """The trainer that works in an attempt's folder; its loader processes, which look like it, are left out."""
    for pid in find_by_command_line(folder):
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).ppid() == worker:
                return pid
    return None


def find_postgres(home: Path) -> list[int]:
    """All processes of the home's server; the postmaster is among them."""
    return list_processes_in(home / "postgres" / "data", ("postgres",))


def mark(pids: Iterable[int]) -> list[Mark]:
    return [(pid, start) for pid in pids if (start := find_start_mark(pid)) is not None]


def send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def list_living(marks: Iterable[Mark]) -> list[int]:
    return [pid for pid, start in marks if find_start_mark(pid) == start]


def await_stopped(pids: Iterable[int], timeout_s: float = 1.0) -> None:
    """Returns when each stands still, or is gone."""
    deadline = time.monotonic() + timeout_s
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            while psutil.Process(pid).status() not in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}:
                if time.monotonic() > deadline:
                    return
                time.sleep(0.0005)
