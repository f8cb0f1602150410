"""What runs wrote down of the models that they made."""

from uuid import UUID

from raven_scan.kernel.database import Database
from raven_scan.trained_models.verification import WrittenDown
from raven_scan.training_runs.repository import runs


def find_written_down(database: Database, run_id: UUID) -> WrittenDown | None:
    """None where the run is gone, or older than records."""
    with database.reading() as session:
        record = runs.find_record(session, run_id)
    if record is None:
        return None
    return WrittenDown(record.get("weights_digest"), record.get("configuration_digest"))
