"""The worker: inside the server, inside a command that waits, or `raven worker`."""

import time

from raven_scan.access.types import WORKER
from raven_scan.app.wiring import Platform
from raven_scan.jobs.devices import choose_device
from raven_scan.jobs.housekeeper import Housekeeper
from raven_scan.jobs.worker import QueueWorker, make_worker_name
from raven_scan.training_runs.execution import EXECUTE_TASK
from raven_scan.training_runs.tasks import TrainingRunJob


class BackgroundWorker:
    """Executes waiting runs in threads of this process until it is stopped.

    Args:
        device: `cpu` or `cuda:N`; None: what the settings say.
        slots: runs at a time.
    """

    def __init__(self, platform: Platform, *, device: str | None = None, slots: int = 1) -> None:
        self._platform = platform
        self.name = make_worker_name()
        job = TrainingRunJob(
            platform.execution,
            platform.datasets,
            platform.trained_models,
            platform.blobs,
            platform.settings,
            platform.clock,
            worker=self.name,
            device=device or choose_device(platform.settings.device),
        )
        # One a slot: after the database was away, a Procrastinate worker takes nothing before its last job has ended.
        self._workers = [
            QueueWorker(make_conninfo(platform), {EXECUTE_TASK: job}, name=self.name) for _ in range(slots)
        ]
        self._housekeeper = Housekeeper(self._keep_house)

    def start(self) -> None:
        self._platform.execution.remove_leftovers(WORKER)
        self._housekeeper.start()
        for worker in self._workers:
            worker.start()

    def stop(self, timeout_s: float = 9.0) -> bool:
        """Ends its trainers, hands their runs back, and tells whether that was done in time."""
        deadline = time.monotonic() + timeout_s
        for worker in self._workers:
            worker.stop()
        is_done = all(worker.join(max(0.0, deadline - time.monotonic())) for worker in self._workers)
        self._housekeeper.stop()
        return is_done

    def wait(self) -> None:
        """Until it is stopped by another thread."""
        for worker in self._workers:
            worker.join()

    def _keep_house(self) -> None:
        if self._platform.holding is not None:
            self._platform.holding.ensure_running()
        self._platform.execution.recover_lost_runs(WORKER)


def make_conninfo(platform: Platform) -> str:
    """The database's address as libpq takes it."""
    url = platform.database.engine.url.set(drivername="postgresql")
    return url.render_as_string(hide_password=False)
