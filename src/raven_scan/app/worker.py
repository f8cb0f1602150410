"""The worker: inside the server, inside a command that waits, or `raven worker`."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil
from sqlalchemy.exc import SQLAlchemyError

from raven_scan.access.types import WORKER
from raven_scan.app.housekeeping.collection_process import collect_in_child_if_due
from raven_scan.app.wiring import Platform
from raven_scan.evaluations.measuring import EvaluationTools
from raven_scan.evaluations.tasks import EvaluationJob
from raven_scan.jobs.child_process import TRAINER_MODULE
from raven_scan.jobs.devices import choose_devices
from raven_scan.jobs.dispatcher import WORK_CHANNEL, Dispatcher, TakenWork
from raven_scan.jobs.housekeeper import Housekeeper
from raven_scan.jobs.machine_load import LoadMeter
from raven_scan.jobs.worker import QueueWorker
from raven_scan.jobs.worker_names import make_worker_name
from raven_scan.kernel.database import make_conninfo
from raven_scan.notifications.tasks import SendingJob
from raven_scan.notifications.types import SEND_TASK
from raven_scan.training_runs.attempt_inputs import AttemptTools
from raven_scan.training_runs.tasks import TrainingRunJob

_DRAIN_S = 6.0
_TIDYING_INTERVAL_S = 5.0
_COLLECTION_LOOK_S = 60.0
_FIRST_COLLECTION_LOOK_S = 10.0
"""Runs that waited for this worker go first, and a command that waits for one short run tidies nothing."""


class BackgroundWorker:
    """Executes evaluations and training runs that wait, in threads of this process, until it is stopped.

    Args:
        devices: a slot each, such as `["cpu"]` or `["cuda:0", "cuda:1"]`; None: what the settings say.
        drain_s: how long a trainer may take to write a checkpoint once the worker is stopped.
        trainer_module: what is run as the trainer.
    """

    def __init__(
        self,
        platform: Platform,
        *,
        devices: Sequence[str] | None = None,
        drain_s: float = _DRAIN_S,
        trainer_module: str = TRAINER_MODULE,
    ) -> None:
        self._platform = platform
        self._drain_s = drain_s
        self.name = make_worker_name()
        self.devices = list(devices or choose_devices(platform.settings.device))
        cores = psutil.cpu_count(logical=False) or 1
        threads = max(1, cores // len(self.devices))
        self._evaluations = EvaluationJob(
            EvaluationTools(
                execution=platform.evaluation_execution,
                datasets=platform.datasets,
                models=platform.trained_models,
                blobs=platform.blobs,
                settings=platform.settings,
                clock=platform.clock,
                worker=self.name,
                threads=threads,
                trainer_module=trainer_module,
            )
        )
        self._runs = TrainingRunJob(
            AttemptTools(
                execution=platform.execution,
                datasets=platform.datasets,
                models=platform.trained_models,
                blobs=platform.blobs,
                checks=platform.checks,
                settings=platform.settings,
                clock=platform.clock,
                worker=self.name,
                threads=threads,
                drain_s=drain_s,
                trainer_module=trainer_module,
            )
        )
        conninfo = make_conninfo(platform.database.engine.url)
        self._dispatcher = Dispatcher(conninfo, WORK_CHANNEL, self.devices, self._take_next)
        self._jobs = QueueWorker(
            conninfo, {SEND_TASK: SendingJob(platform.notifications, WORKER)}, name=self.name
        )
        self._load = LoadMeter(self.devices)
        self._housekeeper = Housekeeper(self._keep_house)
        # Less often than heartbeats and takeovers, which users wait for.
        self._tidier = Housekeeper(self._tidy_up, interval_s=_TIDYING_INTERVAL_S)
        # In a thread of its own: it may take minutes, and heartbeats must not wait.
        self._collector = Housekeeper(
            self._collect, interval_s=_COLLECTION_LOOK_S, first_after_s=_FIRST_COLLECTION_LOOK_S
        )
        self._is_stopping = threading.Event()

    def start(self) -> None:
        self._platform.recovery.remove_leftovers(WORKER)
        self._load.start()
        self._beat()
        self._housekeeper.start()
        self._tidier.start()
        self._jobs.start()
        self._dispatcher.start()
        self._collector.start()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Lets its trainers write checkpoints, hands their runs back, and tells whether that was done in time."""
        deadline = time.monotonic() + (self._drain_s + 3.0 if timeout_s is None else timeout_s)
        self._is_stopping.set()
        self._dispatcher.stop()
        self._jobs.stop()
        with suppress(SQLAlchemyError):
            self._platform.workers.drain(self.name)
        is_done = self._dispatcher.join(max(0.0, deadline - time.monotonic()))
        self._jobs.join(max(0.0, deadline - time.monotonic()))
        self._housekeeper.stop()
        self._load.stop()
        self._tidier.stop(max(0.0, deadline - time.monotonic()))
        # What it may still be at can be cut short: rows go before blobs.
        self._collector.stop(max(0.0, deadline - time.monotonic()))
        with suppress(SQLAlchemyError):
            # What ended just now is told before this process ends: there may be no other for long.
            self._platform.notifications.deliver_due(WORKER, longest_s=max(0.0, deadline - time.monotonic()))
            self._platform.workers.leave(self.name)
        return is_done

    def wait(self) -> None:
        """Until it is stopped by another thread."""
        self._dispatcher.join()

    def _take_next(self, *, free: Sequence[str], capacity: Sequence[str]) -> TakenWork | None:
        """An evaluation is short, and somebody waits for it: it comes before the next run."""
        return self._evaluations.take_next(free=free, capacity=capacity) or self._runs.take_next(
            free=free, capacity=capacity
        )

    def _collect(self) -> None:
        collect_in_child_if_due(self._platform, self._is_stopping)

    def _keep_house(self) -> None:
        if self._platform.holding is not None:
            self._platform.holding.ensure_running()
        self._beat()
        self._platform.recovery.recover_lost_runs(WORKER)
        self._platform.evaluation_execution.recover_lost(WORKER)

    def _beat(self) -> None:
        self._platform.workers.beat(
            self.name,
            self.devices,
            load=self._load.measure(),
            is_draining=self._dispatcher.is_stopping,
        )

    def _tidy_up(self) -> None:
        self._platform.workers.forget_silent()
        self._platform.notifications.keep_house(WORKER)
        self._platform.uploads.keep_house(WORKER)
