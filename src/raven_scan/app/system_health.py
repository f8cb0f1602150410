"""The use cases of seeing how a running platform is: what it stands on, and how much room there is."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

import raven_scan
from raven_scan.access.types import Actor, Claim
from raven_scan.app.housekeeping.checks import Check, make_error, make_ok
from raven_scan.app.housekeeping.database_checks import check_clock, check_schema, check_server
from raven_scan.app.housekeeping.home_checks import check_disk
from raven_scan.app.housekeeping.machine_checks import check_shared_memory, check_versions
from raven_scan.app.readiness import Readiness
from raven_scan.kernel.database import Database, describe_database_loss
from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.use import StorageUse

_COUNTED_AGAIN_S = 600.0
_MEASURED_AGAIN_S = 5.0
_DATABASE_SIZE = text("SELECT pg_database_size(current_database())")

_log = structlog.get_logger(__name__)


class SystemHealth:
    """What the doctor looks at, as far as it costs little and changes nothing."""

    def __init__(
        self, settings: Settings, database: Database, blobs: BlobStore, *, is_embedded: bool
    ) -> None:
        self._settings = settings
        self._database = database
        self._blobs = blobs
        self._is_embedded = is_embedded
        self._readiness = Readiness(database, blobs)
        self._counter = _BlobCounter(blobs) if settings.storage_url is None else None
        self._measured: tuple[float, StorageUse] | None = None

    def examine(self, actor: Actor) -> list[Check]:
        """Looks at one thing after the other.

        Args:
            actor: needs `settings:view`.
        """
        actor.require(Claim.SETTINGS_VIEW)
        checks = [make_ok("version", f"Raven Scan {raven_scan.__version__}.")]
        checks += [make_error(lack.what, lack.message, "") for lack in self._readiness.find_lacks()]
        for look in (self._look_at_database, self._look_at_machine):
            try:
                checks += look()
            except SQLAlchemyError:
                loss = describe_database_loss()
                checks.append(make_error("database", loss.message, loss.hint))
            except RavenError as error:
                checks.append(make_error("database", error.message, error.hint))
        return checks

    def find_lacks(self, actor: Actor) -> list[str]:
        """What is missing for requests to be answered, in sentences; empty where nothing is.

        Args:
            actor: needs `system:view`.
        """
        actor.require(Claim.SYSTEM_VIEW)
        return [lack.message for lack in self._readiness.find_lacks()]

    def measure_storage(self, actor: Actor) -> StorageUse:
        """How much room there is; asked often, it answers what it found some seconds ago.

        Args:
            actor: needs `system:view`.
        """
        actor.require(Claim.SYSTEM_VIEW)
        measured = self._measured
        if measured is None or time.monotonic() - measured[0] > _MEASURED_AGAIN_S:
            disk = shutil.disk_usage(self._settings.home)
            with self._database.engine.connect() as connection:
                database_bytes = int(connection.scalar(_DATABASE_SIZE) or 0)
            blobs = None if self._counter is None else self._counter.count()
            measured = (time.monotonic(), StorageUse(disk.total, disk.free, database_bytes, blobs))
            self._measured = measured
        return measured[1]

    def _look_at_database(self) -> Iterator[Check]:
        yield from check_server(self._database, is_embedded=self._is_embedded)
        yield from check_clock(self._database)
        yield from check_schema(self._database, is_embedded=self._is_embedded, repair=False)

    def _look_at_machine(self) -> Iterator[Check]:
        yield from check_disk(self._settings.home)
        yield from check_shared_memory()
        yield from check_versions()


class _BlobCounter:
    """Adds up the sizes of blobs now and then, in a thread: there may be a million."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._lock = threading.Lock()
        self._began_at: float | None = None
        self._size_bytes: int | None = None

    def count(self) -> int | None:
        """As it was at the last time; None before the first."""
        with self._lock:
            now = time.monotonic()
            if self._began_at is None or now - self._began_at > _COUNTED_AGAIN_S:
                self._began_at = now
                _start(self._add_up)
        return self._size_bytes

    def _add_up(self) -> None:
        try:
            self._size_bytes = sum(facts.size_bytes for facts in self._blobs.list_blobs())
        except (OSError, RavenError) as error:
            _log.warning("storage.not_counted", error=str(error))


def _start(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="blob-counter", daemon=True).start()
