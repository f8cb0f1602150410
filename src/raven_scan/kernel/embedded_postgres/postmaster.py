"""PostgreSQL's own process: made, started, found again, stopped."""

import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from raven_scan.kernel.embedded_postgres.locks import open_locked
from raven_scan.kernel.embedded_postgres.processes import (
    find_start_mark,
    kill_processes_in,
    open_pidfd,
    works_in,
)
from raven_scan.kernel.embedded_postgres.run_as import ServerUser
from raven_scan.kernel.embedded_postgres.state_folder import SOCKET_NAME, StateFolder
from raven_scan.kernel.errors import Unavailable

SUPERUSER = "raven"

# PostgreSQL makes a full path of its data folder's and enters it by that. This one leads to the folder that
# it was started in, whatever the folders above admit.
_HERE = "/proc/self/cwd"

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "cluster_name": "raven-scan",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    # A crash must lose nothing that was committed.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # There is no replica: less to write, and three processes fewer.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}

_FAST_STOP_TIMEOUT_S = 60.0
_IMMEDIATE_STOP_TIMEOUT_S = 10.0
_KILLED_TIMEOUT_S = 30.0
_READY_INTERVAL_S = 0.005


class KilledWhileStartingError(Exception):
    """Somebody killed the server before it took connections; the next start may do better."""


@dataclass(frozen=True)
class Postmaster:
    """A running server.

    Args:
        ended: becomes readable when the process ends.
        child: how to reap it, where this process started it.
    """

    pid: int
    ended: int
    child: subprocess.Popen[bytes] | None = None

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended in time."""
        if not select.select([self.ended], [], [], timeout_s)[0]:
            return False
        if self.child is not None:
            self.child.wait()
        return True

    def stop(self) -> None:
        """Ends all sessions, writes a checkpoint, ends; without the checkpoint where that takes too long."""
        for number, timeout_s in (
            (signal.SIGINT, _FAST_STOP_TIMEOUT_S),
            (signal.SIGQUIT, _IMMEDIATE_STOP_TIMEOUT_S),
            (signal.SIGKILL, _KILLED_TIMEOUT_S),
        ):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.ended, number)
            if self.wait(timeout_s):
                return

    def close(self) -> None:
        os.close(self.ended)


def find_postmaster(state: StateFolder) -> Postmaster | None:
    """The server that runs on the data, whoever started it."""
    lines = _read_postmaster_file(state)
    if not lines:
        return None
    pid = int(lines[0])
    mark = find_start_mark(pid)
    # The number alone may mean another process by now.
    if mark is None or not works_in(pid, state.data, ("postgres",)):
        return None
    ended = open_pidfd(pid, mark)
    return None if ended is None else Postmaster(pid, ended)


def find_ready_pid(state: StateFolder) -> int | None:
    """Process id of the server when it takes connections."""
    lines = _read_postmaster_file(state)
    # Its eighth line is the status (miscadmin.h, LOCK_FILE_LINE_PM_STATUS).
    if len(lines) < 8 or lines[7].strip() != "ready":
        return None
    pid = int(lines[0])
    return pid if works_in(pid, state.data, ("postgres",)) and find_start_mark(pid) is not None else None


def initialise(state: StateFolder, user: ServerUser, programs: Path) -> None:
    """Makes the data folder, in one step: what was left half done has another name, and is removed.

    Raises:
        Unavailable: initdb failed.
    """
    for leftover in state.root.glob("initdb-*"):
        kill_processes_in(leftover, ("initdb", "postgres"))
        shutil.rmtree(leftover)
    password = state.make_password()
    unfinished = Path(tempfile.mkdtemp(prefix="initdb-", dir=state.root))
    os.chown(unfinished, user.uid, user.gid)
    # In memory, so that the server's user reads the password without a file of its own.
    secret = os.memfd_create("password")
    try:
        os.write(secret, password.encode())
        command: list[str | Path] = [
            programs / "bin" / "initdb",
            f"--pgdata={_HERE}",
            f"--username={SUPERUSER}",
            "--pwfile=/dev/stdin",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # The same order of text on every machine, whatever its locale.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        ]
        process = user.start(command, folder=unfinished, stdin=secret)
        told = process.communicate()[0].decode(errors="replace").strip()
    finally:
        os.close(secret)
    if process.returncode != 0:
        shutil.rmtree(unfinished)
        lines = told.splitlines()[-12:]
        raise Unavailable(
            "database.initialisation_failed",
            f"The embedded database could not be made: {_find_reason(lines)}",
            hint="Most often the disk is full. Nothing was left behind; try again after mending it.",
            parameters={"folder": str(state.data), "exit_code": process.returncode, "log": lines},
        )
    unfinished.rename(state.data)
    _flush_folder(state.root)


def start(state: StateFolder, user: ServerUser, programs: Path) -> Postmaster:
    """Starts the server on data that no server runs on, and waits until it takes connections.

    Raises:
        KilledWhileStartingError: it was killed from outside.
        Unavailable: it ended instead.
    """
    server_lock = _take_server_lock(state)
    # Nobody runs on the data, as the lock says. What these files say of a process no longer holds; were its
    # number given to another process meanwhile, PostgreSQL would refuse to start.
    socket_folder = state.prepare_socket_folder(user.uid)
    socket = state.data / socket_folder / SOCKET_NAME
    for stale in (state.data / "postmaster.pid", socket, socket.with_name(f"{SOCKET_NAME}.lock")):
        stale.unlink(missing_ok=True)
    command: list[str | Path] = [programs / "bin" / "postgres", "-D", _HERE]
    for name, value in {**_SETTINGS, "unix_socket_directories": socket_folder}.items():
        command += ["-c", f"{name}={value}"]
    log = os.open(state.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    log_start = os.fstat(log).st_size
    try:
        child = user.start(command, folder=state.data, output=log, pass_fds=(server_lock,))
    finally:
        os.close(log)
        os.close(server_lock)
    postmaster = Postmaster(child.pid, os.pidfd_open(child.pid), child)
    while find_ready_pid(state) != child.pid:
        if postmaster.wait(_READY_INTERVAL_S):
            postmaster.close()
            if child.returncode == -signal.SIGKILL:
                raise KilledWhileStartingError
            lines = state.read_log_tail(from_byte=log_start)
            raise Unavailable(
                "database.start_failed",
                f"The embedded database did not start: {_find_reason(lines)}",
                hint=f"The log is {state.log_file}.",
                parameters={"log_file": str(state.log_file), "exit_code": child.returncode, "log": lines},
            )
    return postmaster


def stop_orphan(state: StateFolder) -> None:
    """Stops the server that nobody guards."""
    postmaster = find_postmaster(state)
    if postmaster is not None:
        postmaster.stop()
        postmaster.close()


def remove_short_socket_folder(state: StateFolder) -> None:
    folder = state.find_short_socket_folder()
    if folder is not None:
        # Not empty, or not ours: then it is not ours to remove.
        with suppress(OSError):
            folder.rmdir()


def _take_server_lock(state: StateFolder) -> int:
    """Takes the lock that the server's processes will hold; children of a killed server are killed for it."""
    deadline = time.monotonic() + _KILLED_TIMEOUT_S
    while (lock := open_locked(state.server_lock)) is None:
        kill_processes_in(state.data, ("postgres",))
        if time.monotonic() > deadline:
            raise Unavailable(
                "database.in_use_elsewhere",
                f"Another server runs on {state.data}, and its processes cannot be seen from here.",
                hint="Stop what uses the same data folder from another container.",
                parameters={"folder": str(state.data)},
            )
        time.sleep(_READY_INTERVAL_S)
    return lock


def _read_postmaster_file(state: StateFolder) -> list[str]:
    try:
        return (state.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _find_reason(lines: list[str]) -> str:
    """The line of a failed program's output that tells why."""
    for mark in ("FATAL:", "PANIC:", "error:"):
        for line in lines:
            if mark in line:
                return line.partition(mark)[2].strip()
    return lines[-1] if lines else "it said nothing."


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
