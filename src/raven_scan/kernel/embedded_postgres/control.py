"""The changes of who holds the server, each made as one step, and what follows from them."""

import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from raven_scan.kernel.embedded_postgres.guardian import ring, spawn_guardian
from raven_scan.kernel.embedded_postgres.holders import Holders
from raven_scan.kernel.embedded_postgres.locks import hold_lock, is_locked, open_locked
from raven_scan.kernel.embedded_postgres.postmaster import find_ready_pid, stop_orphan
from raven_scan.kernel.embedded_postgres.processes import get_process_namespace
from raven_scan.kernel.embedded_postgres.programs import find_programs
from raven_scan.kernel.embedded_postgres.run_as import RunAs
from raven_scan.kernel.embedded_postgres.state_folder import StateFolder, make_folder_error
from raven_scan.kernel.errors import Conflict, Unavailable

_INTERVAL_S = 0.01
_LOCK_TIMEOUT_S = 120.0
_MOST_GUARDIANS = 3


class ServerControl:
    """Speaks for one state folder; holds no state of its own, so that any process may speak."""

    def __init__(self, state: StateFolder, *, run_as: RunAs, start_timeout_s: float) -> None:
        self.state = state
        self._run_as = run_as
        self._start_timeout_s = start_timeout_s

    def read_holders(self) -> Holders:
        """Who holds the server now; the dead are forgotten."""
        if not self.state.root.is_dir():
            return Holders()
        with self._operation():
            return Holders.read(self.state.holders_file)

    def bring_up(self, enter: Callable[[Holders], Holders], leave: Callable[[Holders], Holders]) -> None:
        """Enters into the holders, and waits until the server takes connections.

        Args:
            enter: makes the new holders of the present ones.
            leave: takes that back, for when the server cannot run.

        Raises:
            Unavailable: it cannot run.
        """
        if self._is_up_with(enter):
            return
        _check_platform()
        self.state.prepare()
        self.state.check_version()
        programs = find_programs()
        try:
            with self._operation():
                enter(Holders.read(self.state.holders_file)).write(self.state.holders_file)
                self.state.forget_failure()
                self._bring_guardian(programs)
            self._await_ready(programs)
        except BaseException:
            self.let_go(leave)
            raise

    def _is_up_with(self, enter: Callable[[Holders], Holders]) -> bool:
        """Whether the server runs, is guarded, and who would enter has: then nothing is written, and nobody woken.

        Holders ask every few seconds.
        """
        if not self.state.root.is_dir():
            return False
        with self._operation():
            present = Holders.read(self.state.holders_file)
            return (
                enter(present).is_same_as(present)
                and is_locked(self.state.guardian_lock)
                and find_ready_pid(self.state) is not None
            )

    def let_go(self, leave: Callable[[Holders], Holders]) -> None:
        """Takes something back from the holders; the guardian stops the server if that was the last."""
        if not self.state.root.is_dir():
            return
        with self._operation():
            holders = leave(Holders.read(self.state.holders_file))
            holders.write(self.state.holders_file)
            if not holders.want_server and not is_locked(self.state.guardian_lock):
                stop_orphan(self.state)
        ring(self.state)

    def stop(self, *, force: bool) -> None:
        if not self.state.root.is_dir():
            return
        with self._operation():
            holders = Holders.read(self.state.holders_file)
            if holders.living and not force:
                raise _make_held_error(holders)
            Holders().write(self.state.holders_file)
            stop_orphan(self.state)
        ring(self.state)
        self._await_guardians_end()

    def _bring_guardian(self, programs: Path) -> bool:
        """Makes sure that a guardian lives, and looks at the holders. Under the operations lock.

        Returns:
            Whether there was none.
        """
        guardian_lock = open_locked(self.state.guardian_lock)
        if guardian_lock is None:
            namespace = self.state.guardian_lock.read_text(encoding="ascii")
            if namespace not in ("", get_process_namespace()):
                raise Unavailable(
                    "database.in_use_elsewhere",
                    f"The embedded database in {self.state.root} is in use by another container.",
                    hint="Stop that one, or set RAVEN_DATABASE_URL to a server that both can reach.",
                    parameters={"folder": str(self.state.root)},
                )
            ring(self.state)
            return False
        try:
            spawn_guardian(self.state, guardian_lock, programs, self._run_as)
        finally:
            os.close(guardian_lock)
        return True

    def _await_ready(self, programs: Path) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        guardians = 0
        while find_ready_pid(self.state) is None:
            with self._operation():
                # A guardian that gives up leaves its reason before it leaves its lock.
                if not is_locked(self.state.guardian_lock) and (failure := self.state.find_failure()):
                    raise failure
                guardians += self._bring_guardian(programs)
            if guardians > _MOST_GUARDIANS:
                raise Unavailable(
                    "database.guardian_failed",
                    "The guardian of the embedded database ends without a reason.",
                    hint=f"The log is {self.state.log_file}.",
                    parameters={"log_file": str(self.state.log_file), "log": self.state.read_log_tail()},
                )
            if time.monotonic() > deadline:
                raise Unavailable(
                    "database.start_timed_out",
                    f"The embedded database did not take connections within {self._start_timeout_s:.0f} s.",
                    hint="After a crash it may still be replaying its changes: try again. "
                    f"The log is {self.state.log_file}.",
                    parameters={"log_file": str(self.state.log_file), "log": self.state.read_log_tail()},
                )
            time.sleep(_INTERVAL_S)

    def _await_guardians_end(self) -> None:
        """Returns when nobody guards any more, or somebody has started the server again meanwhile."""
        deadline = time.monotonic() + self._start_timeout_s
        while time.monotonic() < deadline:
            with self._operation():
                wanted = Holders.read(self.state.holders_file).want_server
                if wanted or not is_locked(self.state.guardian_lock):
                    return
            time.sleep(_INTERVAL_S)

    @contextmanager
    def _operation(self) -> Generator[None]:
        try:
            with hold_lock(self.state.operations_lock, timeout_s=_LOCK_TIMEOUT_S):
                yield
        except OSError as error:
            raise make_folder_error(self.state.root, error) from error


def _check_platform() -> None:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        raise Unavailable(
            "database.platform_unsupported",
            f"The embedded database needs Linux 5.3 or later; this is {sys.platform}.",
            hint="Set RAVEN_DATABASE_URL to a PostgreSQL server.",
            parameters={"platform": sys.platform},
        ) from None


def _make_held_error(holders: Holders) -> Conflict:
    names = "; ".join(f"{holder.command or 'a process'} (process {holder.pid})" for holder in holders.living)
    return Conflict(
        "database.held",
        f"The embedded database is in use by {names}.",
        hint="End these processes first, or stop the database by force.",
        parameters={
            "holders": [
                {"pid": holder.pid, "command": holder.command, "started_at": holder.started_at}
                for holder in holders.living
            ]
        },
    )
