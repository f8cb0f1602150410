"""Which workers are there, told by themselves."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from importlib.metadata import version

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from raven_scan.jobs.machine_load import WorkerLoad, parse_load
from raven_scan.jobs.models import Worker
from raven_scan.jobs.worker_names import is_worker_gone
from raven_scan.kernel.database import Database

_VERSION = version("raven-scan")
_FORGOTTEN_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker that lives.

    Attributes:
        slots: a device each.
        is_draining: it ends what it does and takes nothing more.
        load: at its last heartbeat; None where it does not tell.
    """

    name: str
    version: str
    slots: list[str]
    is_draining: bool
    started_at: datetime
    heartbeat_at: datetime
    load: WorkerLoad | None = None


class WorkerRegistry:
    """The workers of this database.

    Args:
        lease_timeout_s: a worker that is silent for longer counts as dead.
    """

    def __init__(self, database: Database, *, lease_timeout_s: float) -> None:
        self._database = database
        self._lease_timeout = timedelta(seconds=lease_timeout_s)
        self._version = version("raven-scan")  # a file is read for it

    def beat(
        self, name: str, slots: Sequence[str], *, load: WorkerLoad | None = None, is_draining: bool = False
    ) -> None:
        """Tells that the worker lives, with what, and how busy that is."""
        values = {
            "slots": list(slots),
            "load": None if load is None else asdict(load),
            "is_draining": is_draining,
            "version": _VERSION,
        }
        statement = insert(Worker).values(name=name, **values)
        with self._database.transaction() as session:
            session.execute(
                statement.on_conflict_do_update(
                    index_elements=["name"], set_={**values, "heartbeat_at": func.now()}
                )
            )

    def forget_silent(self) -> None:
        """Removes those that were not heard of for long."""
        # Whom another one removes just now is passed over: nobody waits for that.
        forgotten = (
            select(Worker.name)
            .where(Worker.heartbeat_at < func.now() - _FORGOTTEN_AFTER)
            .with_for_update(skip_locked=True)
        )
        with self._database.transaction() as session:
            session.execute(
                delete(Worker).where(Worker.name.in_(forgotten)),
                execution_options={"synchronize_session": False},
            )

    def drain(self, name: str) -> None:
        with self._database.transaction() as session:
            session.execute(update(Worker).where(Worker.name == name).values(is_draining=True))

    def leave(self, name: str) -> None:
        with self._database.transaction() as session:
            session.execute(delete(Worker).where(Worker.name == name))

    def list_alive(self) -> list[WorkerView]:
        """By name; those whose heartbeat is young, and whose process is there where that can be seen."""
        query = (
            select(Worker).where(Worker.heartbeat_at > func.now() - self._lease_timeout).order_by(Worker.name)
        )
        with self._database.reading() as session:
            return [
                WorkerView(
                    name=worker.name,
                    version=worker.version,
                    slots=[str(slot) for slot in worker.slots],
                    is_draining=worker.is_draining,
                    started_at=worker.started_at,
                    heartbeat_at=worker.heartbeat_at,
                    load=parse_load(worker.load),
                )
                for worker in session.scalars(query)
                if not is_worker_gone(worker.name)
            ]
