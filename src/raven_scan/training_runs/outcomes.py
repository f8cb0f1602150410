"""How runs stand, as publishing asks: whether the one that made a model ended well, and whose it was."""

from uuid import UUID

from raven_scan.kernel.database import Database
from raven_scan.publishing.types import RunOutcome
from raven_scan.training_runs.models import TrainingRun
from raven_scan.training_runs.repository import runs


class RunOutcomes:
    """Tells whoever asks for a model's sake no more than this of its run, so it checks no claim."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, ref: str) -> RunOutcome | None:
        """Of a run by name or id; None where it is gone, or in the trash."""
        with self._database.reading() as session:
            return _describe(runs.find_run(session, ref))

    def find_maker(self, id_: UUID) -> RunOutcome | None:
        """Of the run that made a model, in the trash too; None where it is gone for good."""
        with self._database.reading() as session:
            return _describe(runs.find_run_in_any_state(session, id_))


def _describe(run: TrainingRun | None) -> RunOutcome | None:
    if run is None:
        return None
    return RunOutcome(
        id=run.id,
        name=run.name,
        status=run.status,
        created_by=run.created_by,
        created_by_id=run.created_by_id,
    )
