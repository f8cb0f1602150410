"""What happens to runs whose worker died, and to what it left behind."""

import shutil
from contextlib import suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from raven_scan.access.types import Actor, Claim
from raven_scan.jobs.lost_leases import CONFIRMATION_S, LostLeases
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.announcements import RunAnnouncer
from raven_scan.training_runs.models import TrainingRun, TrainingRunAttempt
from raven_scan.training_runs.repository import attempts, checkpoints, logs, runs
from raven_scan.training_runs.repository.attempts import SilentAttempt
from raven_scan.training_runs.run_log import format_line
from raven_scan.training_runs.transitions import MOST_FRUITLESS_ATTEMPTS, end_fruitlessly
from raven_scan.training_runs.types import AttemptEnd, RunError, RunStatus

_SILENT_S = 3.0
_EARLIER_LOG = "log.txt"
_TAIL_BYTES = 8192

_log = structlog.get_logger(__name__)


class TrainingRunRecovery:
    """What any worker does for runs of all workers, every few seconds, and when it starts.

    Args:
        confirmation_s: a lease that has run out is looked at again after so long, as `LostLeases` says.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        announcer: RunAnnouncer,
        *,
        confirmation_s: float = CONFIRMATION_S,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._announcer = announcer
        self._leases = LostLeases[SilentAttempt](confirmation_s=confirmation_s)

    def recover_lost_runs(self, actor: Actor) -> int:
        """Runs whose worker died wait again, and go on from their checkpoint; returns how many attempts were lost.

        A run that has lost too many workers ends in Error.
        """
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        with self._database.transaction() as session:
            silent = attempts.list_silent(session, _SILENT_S, self._settings.lease_timeout_s)
        return sum(self._recover_in_turn(actor, attempt) for attempt in self._leases.find(silent))

    def remove_leftovers(self, actor: Actor) -> None:
        """Removes working folders of attempts that have ended; their worker was killed before it could."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        if not self._settings.work_folder.is_dir():
            return
        folders = {
            run_id: entry
            for entry in self._settings.work_folder.iterdir()
            if (run_id := parse_id(entry.name)) is not None
        }
        with self._database.transaction() as session:
            tries = attempts.list_of_runs(session, list(folders))
        for run_id, folder in folders.items():
            # Others of this machine may be at work beside it, in folders of attempts that were begun meanwhile.
            ended = {attempt.number for attempt in tries[run_id] if attempt.ended_at is not None}
            for left in list(folder.glob("attempt-*")):
                number = left.name.removeprefix("attempt-")
                if not tries[run_id] or (number.isdecimal() and int(number) in ended):
                    shutil.rmtree(left, ignore_errors=True)
            with suppress(OSError):
                folder.rmdir()

    def adopt_earlier_logs(self, actor: Actor) -> None:
        """Logs were files in the data folder once; they belong into the database, where every machine reads them."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        folder = self._settings.runs_folder
        for entry in folder.iterdir() if folder.is_dir() else ():
            run_id, path = parse_id(entry.name), entry / _EARLIER_LOG
            if run_id is None or not path.is_file():
                continue
            with self._database.transaction() as session:
                run = runs.find_run(session, str(run_id), lock=True)
                is_adopted = run is not None and run.log_size_bytes == 0
                if is_adopted:
                    logs.append(session, run_id, path.read_bytes())
            if is_adopted:
                path.unlink()

    def list_blob_digests(self, actor: Actor) -> list[str]:
        """Blobs that runs need: their kept checkpoints."""
        actor.require(Claim.TRAINING_RUN_VIEW)
        with self._database.transaction() as session:
            return list(checkpoints.list_digests(session))

    def _recover_in_turn(self, actor: Actor, silent: SilentAttempt) -> bool:
        """In a transaction of its own: one that cannot be recovered keeps no other from it."""
        try:
            with self._database.transaction() as session:
                found = attempts.lock_silent(session, silent)
                if found is None:
                    return False
                self._recover(actor, session, *found)
        except (SQLAlchemyError, RavenError):
            _log.exception("training_run.not_recovered", run=str(silent.id))
            return False
        return True

    def _recover(self, actor: Actor, session: Session, run: TrainingRun, attempt: TrainingRunAttempt) -> None:
        reason = f"The worker {attempt.worker} was lost."
        _log.warning("training_run.worker_lost", run=run.name, worker=attempt.worker)
        if run.status != RunStatus.PROCESSING or attempt.number != run.fence:
            # It was cancelled, and its worker died before it could say that the trainer is gone. It may wait again.
            attempts.end_attempt(session, run.id, attempt.number, AttemptEnd.CANCELLED, reason)
            runs.notify_workers(session)
            return
        logs.append(session, run.id, format_line(self._clock.now(), reason))
        session.refresh(run)
        tail = logs.read(session, run, max(0, run.log_size_bytes - _TAIL_BYTES), _TAIL_BYTES).content
        error = RunError(
            code="lost",
            message=f"Workers were lost {MOST_FRUITLESS_ATTEMPTS} times while they worked on this run, without a "
            "checkpoint between them.",
            hint="Its memory may be too small for the batch size or the image size: clone it with smaller ones, "
            "and look at the machine's log. `raven runs retry` tries again.",
            log_tail=tail.decode(errors="replace").splitlines()[-20:],
            evidence={"worker": attempt.worker},
        )
        if end_fruitlessly(session, run, reason, error):
            self._announcer.announce_end(actor, session, run)
