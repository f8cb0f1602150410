"""The worker: inside the server, inside a command that waits, or `raven worker`."""

from raven_scan.access.types import WORKER
from raven_scan.app.wiring import Platform
from raven_scan.jobs.worker import QueueWorker, make_worker_name
from raven_scan.training_runs.execution import EXECUTE_TASK
from raven_scan.training_runs.tasks import TrainingRunJob


class BackgroundWorker:
    """Executes waiting runs in threads of this process until it is stopped.

    Args:
        device: `cpu` or `cuda:N`.
        slots: runs at a time.
    """

    def __init__(self, platform: Platform, *, device: str = "cpu", slots: int = 1) -> None:
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
            device=device,
        )
        self._worker = QueueWorker(
            make_conninfo(platform),
            {EXECUTE_TASK: job},
            name=self.name,
            slots=slots,
            tick=self._keep_house,
        )

    def start(self) -> None:
        self._worker.start()

    def stop(self, timeout_s: float = 9.0) -> bool:
        """Ends its trainers, hands their runs back, and tells whether that was done in time."""
        self._worker.stop()
        return self._worker.join(timeout_s)

    def wait(self) -> None:
        """Until it is stopped by another thread."""
        self._worker.join()

    def _keep_house(self) -> None:
        if self._platform.holding is not None:
            self._platform.holding.ensure_running()
        self._platform.execution.recover_lost_runs(WORKER)


def make_conninfo(platform: Platform) -> str:
    """The database's address as libpq takes it."""
    url = platform.database.engine.url.set(drivername="postgresql")
    return url.render_as_string(hide_password=False)
