"""The job that executes training runs: takes one, keeps its lease, and gives it up when it is lost."""

import threading
from collections.abc import Sequence
from functools import partial

import structlog

from raven_scan.access.types import WORKER
from raven_scan.jobs.dispatcher import TakenWork
from raven_scan.jobs.held_attempts import release_attempt
from raven_scan.jobs.lease import Lease, LeaseLost, get_leash_timeout_s, keep_lease
from raven_scan.jobs.patience import DATABASE_IS_AWAY
from raven_scan.training_runs.attempt import Attempt
from raven_scan.training_runs.attempt_inputs import AttemptTools
from raven_scan.training_runs.attempt_work import AttemptWork
from raven_scan.training_runs.run_folder import AttemptFolder

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
            beat = partial(self._tools.execution.beat, WORKER, attempt)
            with keep_lease(
                Lease(get_leash_timeout_s(self._tools.settings.lease_timeout_s)),
                beat=beat,
                pull_leash=folder.pull_leash,
            ) as lease:
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
