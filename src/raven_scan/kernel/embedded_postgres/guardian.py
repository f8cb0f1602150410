"""The guardian: a small process that keeps the server running while somebody holds it, and stops it then.

It sleeps until a holder ends (however it ends), the server ends, or somebody rings the bell. One guardian
lives for a state folder at a time, which its lock sees to. Where it is killed itself, the server and its
holders go on, and the next one who holds brings another guardian, which takes the running server over.

It is a bare Python without site-packages, started by `spawn_guardian`: 14 MB, 40 ms.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from raven_scan.kernel.embedded_postgres.holders import Holders
from raven_scan.kernel.embedded_postgres.locks import hold_lock
from raven_scan.kernel.embedded_postgres.postmaster import (
    KilledWhileStartingError,
    Postmaster,
    find_postmaster,
    initialise,
    remove_short_socket_folder,
    start,
)
from raven_scan.kernel.embedded_postgres.processes import get_process_namespace, open_pidfd
from raven_scan.kernel.embedded_postgres.programs import make_reachable
from raven_scan.kernel.embedded_postgres.run_as import RunAs, choose_server_user
from raven_scan.kernel.embedded_postgres.state_folder import StateFolder, make_folder_error
from raven_scan.kernel.errors import RavenError, Unavailable

_MOST_STARTS = 5
_STARTS_WINDOW_S = 60.0
_LOCK_TIMEOUT_S = 300.0
_LOG_CHECK_INTERVAL_S = 300.0
_LARGEST_LOG_BYTES = 16 * 1024 * 1024
_KEPT_LOG_BYTES = 1024 * 1024

_PROGRAM = "import sys; sys.path.insert(0, {root!r}); from {module} import main; main()"


@dataclass(frozen=True)
class GuardianOptions:
    """What the guardian is told on its command line, which everybody can read."""

    root: str
    programs: str
    run_as: str
    guardian_lock: int


class Guardian:
    def __init__(self, options: GuardianOptions) -> None:
        self._state = StateFolder(Path(options.root))
        self._programs = Path(options.programs)
        self._run_as = RunAs(options.run_as)
        self._guardian_lock = options.guardian_lock
        self._starts: deque[float] = deque(maxlen=_MOST_STARTS)
        self._told_to_leave = False
        self._postmaster: Postmaster | None = None
        # Both ends, so that it does not close when the last who rang has gone.
        self._bell = os.open(self._state.bell, os.O_RDWR | os.O_NONBLOCK)
        signal.signal(signal.SIGTERM, self._leave)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def run(self) -> None:
        try:
            self._guard()
        except RavenError as error:
            self._state.write_failure(error)
        except OSError as error:
            if self._state.root.is_dir():
                self._state.write_failure(make_folder_error(self._state.root, error))
            elif self._postmaster is not None:
                # The folder was removed under the running server.
                self._postmaster.stop()

    def _guard(self) -> None:
        self._postmaster = postmaster = find_postmaster(self._state) or self._start_server()
        while True:
            with hold_lock(self._state.operations_lock, timeout_s=_LOCK_TIMEOUT_S):
                holders = Holders.read(self._state.holders_file)
                if not (holders.living or (holders.pinned and not self._told_to_leave)):
                    postmaster.stop()
                    remove_short_socket_folder(self._state)
                    # Before the other lock: who comes next must see that nobody guards.
                    os.close(self._guardian_lock)
                    return
            if self._sleep(holders, postmaster):
                postmaster.close()
                self._postmaster = None
                self._postmaster = postmaster = self._start_server()
            self._limit_log()

    def _sleep(self, holders: Holders, postmaster: Postmaster) -> bool:
        """Sleeps until there is something to look at.

        Returns:
            Whether the server has ended.
        """
        watched = [open_pidfd(holder.pid, holder.start_mark) for holder in holders.living]
        try:
            if None in watched:
                return postmaster.wait(0)
            poll = select.poll()
            for descriptor in (self._bell, postmaster.ended, *watched):
                if descriptor is not None:
                    poll.register(descriptor, select.POLLIN)
            poll.poll(_LOG_CHECK_INTERVAL_S * 1000)
            with suppress(BlockingIOError):
                os.read(self._bell, 4096)
            return postmaster.wait(0)
        finally:
            for descriptor in watched:
                if descriptor is not None:
                    os.close(descriptor)

    def _start_server(self) -> Postmaster:
        while True:
            self._count_start()
            self._state.check_version()
            user = choose_server_user(self._state.data, self._run_as)
            programs = make_reachable(self._programs, user)
            if not self._state.data.exists():
                initialise(self._state, user, programs)
            with suppress(KilledWhileStartingError):
                return start(self._state, user, programs)

    def _count_start(self) -> None:
        now = time.monotonic()
        if len(self._starts) == _MOST_STARTS and now - self._starts[0] < _STARTS_WINDOW_S:
            raise Unavailable(
                "database.keeps_ending",
                f"The embedded database ended {_MOST_STARTS} times within a minute.",
                hint=f"The log is {self._state.log_file}.",
                parameters={"log_file": str(self._state.log_file), "log": self._state.read_log_tail()},
            )
        self._starts.append(now)

    def _limit_log(self) -> None:
        """Keeps the end of a log that has grown; the server writes at its end, wherever that is."""
        log = self._state.log_file
        if log.exists() and log.stat().st_size > _LARGEST_LOG_BYTES:
            with log.open("rb+") as file:
                file.seek(-_KEPT_LOG_BYTES, os.SEEK_END)
                kept = file.read()
                file.truncate(0)
                file.seek(0)
                file.write(kept)

    def _leave(self, _number: int, _frame: FrameType | None) -> None:
        """On SIGTERM it ends with the last holder, pinned or not: holders may need the server to end well."""
        self._told_to_leave = True
        with suppress(BlockingIOError):
            os.write(self._bell, b".")


def spawn_guardian(state: StateFolder, guardian_lock: int, programs: Path, run_as: RunAs) -> None:
    """Starts a guardian that nobody is the parent of.

    Args:
        state: where it guards.
        guardian_lock: the lock, taken; the guardian shares it, and the caller closes its own descriptor.
        programs: PostgreSQL's installation.
        run_as: which way root takes for a new database.
    """
    # Who shares the folder from another container cannot see our processes, and reads here that this is so.
    os.ftruncate(guardian_lock, 0)
    os.pwrite(guardian_lock, get_process_namespace().encode(), 0)
    options = GuardianOptions(str(state.root), str(programs), run_as, guardian_lock)
    package_root = Path(__file__).resolve().parents[3]
    program = _PROGRAM.format(root=str(package_root), module=__name__)
    log = os.open(state.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        started = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program, json.dumps(options.__dict__)],
            check=False,
            cwd="/",
            # It outlives this process, whose environment may hold secrets.
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(guardian_lock,),
            start_new_session=True,
        )
    finally:
        os.close(log)
    if started.returncode != 0:
        raise Unavailable(
            "database.guardian_failed",
            f"The guardian of the embedded database did not start (exit code {started.returncode}).",
            hint=f"The log is {state.log_file}.",
            parameters={"log_file": str(state.log_file), "log": state.read_log_tail()},
        )


def ring(state: StateFolder) -> None:
    """Makes the guardian, where one lives, look at the holders."""
    try:
        bell = os.open(state.bell, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        # Nobody listens.
        return
    try:
        # Full of bytes that nobody has read yet: it has rung already.
        with suppress(BlockingIOError):
            os.write(bell, b".")
    finally:
        os.close(bell)


def main() -> None:
    """Becomes the guardian, in a child, so that nobody has to wait for its end."""
    options = GuardianOptions(**json.loads(sys.argv[1]))
    if os.fork() != 0:
        os._exit(0)
    os.umask(0o077)
    Guardian(options).run()
