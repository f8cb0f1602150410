"""The embedded PostgreSQL server, for who wants to use it."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote
from uuid import uuid4

from raven_scan.kernel.embedded_postgres.control import ServerControl
from raven_scan.kernel.embedded_postgres.holders import Holder, Holders
from raven_scan.kernel.embedded_postgres.postmaster import SUPERUSER, find_ready_pid
from raven_scan.kernel.embedded_postgres.processes import find_command, find_start_mark, find_started_at
from raven_scan.kernel.embedded_postgres.programs import find_programs, read_version
from raven_scan.kernel.embedded_postgres.run_as import RunAs
from raven_scan.kernel.embedded_postgres.state_folder import StateFolder

_DATABASE = "postgres"


@dataclass(frozen=True)
class ServerStatus:
    """What runs, where, and for whom.

    Args:
        pid: of the server that takes connections; None where none does.
        version: of PostgreSQL, such as `18.4`.
        pinned: it runs without holders too, until it is stopped.
        size_bytes: of the data folder, 0 before the first start.
    """

    pid: int | None
    version: str
    data_folder: Path
    socket_folder: Path
    log_file: Path
    pinned: bool
    holders: tuple[Holder, ...]
    size_bytes: int

    @property
    def running(self) -> bool:
        return self.pid is not None


class EmbeddedPostgres:
    """The PostgreSQL server of a home. Any number of objects, threads and processes may speak for one home.

    Args:
        home: the data folder of the platform, RAVEN_HOME; made where it does not exist.
        run_as: which way root takes for a new database.
        start_timeout_s: how long a start may take: the first makes the database, one after a crash replays
            what the crash cut off.
    """

    def __init__(
        self, home: Path, *, run_as: RunAs = RunAs.AUTOMATIC, start_timeout_s: float = 120.0
    ) -> None:
        self._state = StateFolder(home.resolve() / "postgres")
        self._control = ServerControl(self._state, run_as=run_as, start_timeout_s=start_timeout_s)

    def hold(self) -> "Holding":
        """Makes sure that the server runs, and keeps it running until the holding is released.

        Raises:
            Unavailable: it cannot run; code and hint say why.
        """
        holding = Holding(self._state, self._control)
        holding.ensure_running()
        return holding

    def start(self) -> None:
        """Makes sure that the server runs, and keeps it running without holders, until `stop` or a reboot.

        Raises:
            Unavailable: it cannot run; code and hint say why.
        """
        self._control.bring_up(Holders.pin, Holders.unpin)

    def stop(self, *, force: bool = False) -> None:
        """Stops the server, also a pinned one; when this returns, it has stopped.

        Args:
            force: although processes hold it; they lose their connections, and `ensure_running` is for them.

        Raises:
            Conflict: processes hold it; the error names them.
        """
        self._control.stop(force=force)

    def status(self) -> ServerStatus:
        """Looks, and changes nothing."""
        holders = self._control.read_holders()
        return ServerStatus(
            pid=find_ready_pid(self._state),
            version=read_version(find_programs()),
            data_folder=self._state.data,
            socket_folder=_get_socket_folder(self._state),
            log_file=self._state.log_file,
            pinned=holders.pinned,
            holders=holders.living,
            size_bytes=_measure_folder(self._state.data),
        )


class Holding:
    """The server runs as long as this is not released and its process lives, however that ends.

    A child that this process forks does not hold, and cannot release.
    """

    def __init__(self, state: StateFolder, control: ServerControl) -> None:
        self._state = state
        self._control = control
        self._pid = os.getpid()
        self._holding_id = uuid4().hex

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the database, with the password: never to be logged or shown.

        It stays the same over restarts of the server.
        """
        socket_folder = quote(os.fsencode(_get_socket_folder(self._state)), safe="")
        password = quote(self._state.read_password(), safe="")
        # The port is a part of the socket's name; said, so that $PGPORT says nothing.
        return f"postgresql+psycopg://{SUPERUSER}:{password}@/{_DATABASE}?host={socket_folder}&port=5432"

    def ensure_running(self) -> None:
        """Brings the server back where it was killed or stopped, and waits until it takes connections.

        Raises:
            Unavailable: it cannot run; code and hint say why.
        """
        started_at = find_started_at(self._pid)
        start_mark = find_start_mark(self._pid)
        if started_at is None or start_mark is None:
            raise ProcessLookupError(self._pid)
        holder = Holder(
            holding_id=self._holding_id,
            pid=self._pid,
            start_mark=start_mark,
            started_at=started_at.isoformat(timespec="seconds"),
            command=find_command(self._pid),
        )
        self._control.bring_up(partial(Holders.add, holder=holder), self._remove)

    def release(self) -> None:
        """Lets go. The server stops soon after its last holder has let go; this does not wait for it."""
        if os.getpid() == self._pid:
            self._control.let_go(self._remove)

    def _remove(self, holders: Holders) -> Holders:
        return holders.remove(self._holding_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def _get_socket_folder(state: StateFolder) -> Path:
    return state.find_short_socket_folder() or state.data


def _measure_folder(folder: Path) -> int:
    size_bytes = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                size_bytes += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - many files
            except FileNotFoundError:
                # The server removes files while it runs.
                continue
    return size_bytes
