"""The job that executes evaluations: takes one, keeps its lease, and gives it up when it is lost."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import structlog

from raven_scan.access.types import WORKER
from raven_scan.evaluations.measuring import EvaluationTools, Measuring
from raven_scan.evaluations.types import EvaluationAttempt
from raven_scan.jobs.dispatcher import TakenWork
from raven_scan.jobs.held_attempts import release_attempt
from raven_scan.jobs.lease import Lease, LeaseLost, get_leash_timeout_s, keep_lease
from raven_scan.storage.scratch import hold_scratch_folder

_log = structlog.get_logger(__name__)


class EvaluationJob:
    """Executes evaluations in the name of one worker."""

    def __init__(self, tools: EvaluationTools) -> None:
        self._tools = tools

    def take_next(self, *, free: Sequence[str], capacity: Sequence[str]) -> TakenWork | None:
        """The evaluation that waits for longest, as work for a dispatcher."""
        del capacity
        attempt = self._tools.execution.begin_next(WORKER, worker=self._tools.worker, free=free)
        return None if attempt is None else TakenWork([attempt.device], partial(self.execute, attempt))

    def execute(self, attempt: EvaluationAttempt, stop: threading.Event) -> None:
        """Executes an attempt to its end. Ends soon after `stop` is set, and hands the evaluation back."""
        log = _log.bind(evaluation=str(attempt.id), model=attempt.model_name, attempt=attempt.fence)
        log.info("evaluation.attempt_began", worker=self._tools.worker)
        try:
            with hold_scratch_folder(self._tools.settings.work_folder, "evaluation") as folder:
                leash = folder / "leash"
                leash.touch()

                def pull_leash() -> None:
                    with suppress(FileNotFoundError):
                        leash.touch()

                with keep_lease(
                    Lease(get_leash_timeout_s(self._tools.settings.lease_timeout_s)),
                    beat=lambda: self._beat(attempt),
                    pull_leash=pull_leash,
                ) as lease:
                    Measuring(self._tools, attempt, folder, leash, lease, stop).run()
        except LeaseLost:
            log.warning("evaluation.lease_lost")
        finally:
            release_attempt(attempt.id, attempt.fence)

    def _beat(self, attempt: EvaluationAttempt) -> bool:
        """An evaluation never pauses."""
        self._tools.execution.beat(WORKER, attempt)
        return False
