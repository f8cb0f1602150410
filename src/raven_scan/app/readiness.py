"""Whether all is there that requests need."""

import threading
import time
from dataclasses import dataclass
from uuid import uuid4

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.schema import is_schema_current
from raven_scan.storage.blob_store import BlobStore

_FRESH_S = 2.0
_NO_BLOB = "0" * 64

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Lack:
    """What is missing: `database`, `schema` or `storage`, and a sentence that shows no insides."""

    what: str
    message: str


class Readiness:
    """Looks at the database and the storage; anybody may ask, so it looks once in a while, and alone."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs
        self._lock = threading.Lock()
        self._found: tuple[float, list[Lack]] | None = None

    def find_lacks(self) -> list[Lack]:
        """What is missing; empty where all is there."""
        before = self._found
        # Who comes while another looks gets what was found before, if anything was.
        if not self._lock.acquire(blocking=before is None):
            return [] if before is None else before[1]
        try:
            found = self._found
            if found is None or time.monotonic() - found[0] > _FRESH_S:
                found = (time.monotonic(), [*self._look_at_database(), *self._look_at_storage()])
                self._found = found
            return found[1]
        finally:
            self._lock.release()

    def _look_at_database(self) -> list[Lack]:
        try:
            with self._database.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
            if not is_schema_current(self._database.engine):
                return [
                    Lack("schema", "The database has not the schema of this release: run `raven db upgrade`.")
                ]
        except SQLAlchemyError as error:
            _log.warning("system.not_ready", what="database", error=type(error).__name__)
            return [Lack("database", "The database does not answer.")]
        return []

    def _look_at_storage(self) -> list[Lack]:
        try:
            probe = self._blobs.incoming / f"probe-{uuid4().hex}"
            probe.touch(mode=0o600)
            probe.unlink()
            self._blobs.has(_NO_BLOB)
        except (OSError, RavenError) as error:
            _log.warning("system.not_ready", what="storage", error=str(error))
            return [Lack("storage", "The storage cannot be written to, or does not answer.")]
        return []
