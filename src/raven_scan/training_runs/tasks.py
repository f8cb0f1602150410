"""The job that executes training runs: takes one, keeps its lease, and gives it up when it is lost."""

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial

import structlog

from raven_scan.access.types import WORKER
from raven_scan.jobs.dispatcher import TakenWork
from raven_scan.jobs.housekeeper import Housekeeper
from raven_scan.training_runs.attempt_work import AttemptTools, AttemptWork, Lease
from raven_scan.training_runs.errors import LeaseLost
from raven_scan.training_runs.execution import Attempt
from raven_scan.training_runs.held_attempts import release_attempt
from raven_scan.training_runs.patience import DATABASE_IS_AWAY
from raven_scan.training_runs.run_folder import AttemptFolder

_BEAT_INTERVAL_S = 2.0
_LEASH_INTERVAL_S = 1.0

_log = structlog.get_logger(__name__)


class TrainingRunJob:
    """Executes training runs in the name of one worker."""

    def __init__(self, tools: AttemptTools) -> None:
        self._tools = tools

    def take_next(self, *, free: Sequence[str], capacity: Sequence[str]) -> TakenWork | None:
        """The next run that fits, as work for a dispatcher."""
        attempt = self._tools.execution.begin_next(
            WORKER, worker=self._tools.worker, free=free, capacity=capacity
        )
        return None if attempt is None else TakenWork(attempt.devices, partial(self.execute, attempt))

    def execute(self, attempt: Attempt, stop: threading.Event) -> None:
        """Executes an attempt to its end. Ends soon after `stop` is set, and hands the run back."""
        log = _log.bind(run=attempt.run_name, attempt=attempt.fence)
        log.info("training_run.attempt_began", worker=self._tools.worker)
        folder = AttemptFolder(self._tools.settings, attempt.run_id, attempt.fence)
        try:
            with self._keep_lease(attempt, folder) as lease:
                AttemptWork(self._tools, attempt, folder, lease, stop).run()
        except LeaseLost:
            log.warning("training_run.lease_lost")
            try:
                self._tools.execution.end_void_attempt(WORKER, attempt)
            except DATABASE_IS_AWAY:
                log.warning("training_run.database_away")  # it is found open later, and worked on by nobody
        finally:
            release_attempt(attempt.run_id, attempt.fence)
            folder.remove()

    @contextmanager
    def _keep_lease(self, attempt: Attempt, folder: AttemptFolder) -> Generator[Lease]:
        """Renews the lease, and shows the trainer that its worker lives, whether or not the database answers."""
        lease = Lease()

        def beat() -> None:
            if lease.is_lost.is_set():
                return
            try:
                if self._tools.execution.beat(WORKER, attempt):
                    lease.is_pausing.set()
            except LeaseLost:
                lease.is_lost.set()

        # A beat that fails otherwise is logged, and the next one tries again.
        threads = [
            Housekeeper(beat, interval_s=_BEAT_INTERVAL_S),
            Housekeeper(folder.pull_leash, interval_s=_LEASH_INTERVAL_S),
        ]
        for thread in threads:
            thread.start()
        try:
            yield lease
        finally:
            for thread in threads:
                thread.stop()
