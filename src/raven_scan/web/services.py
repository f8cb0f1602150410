"""What screens ask."""

from typing import Protocol

from raven_scan.access.authentication import Authentication
from raven_scan.training_runs.control import TrainingRunControl
from raven_scan.training_runs.log_reading import TrainingRunLogs
from raven_scan.training_runs.metric_history import TrainingRunMetrics
from raven_scan.training_runs.queue import TrainingRunQueue
from raven_scan.training_runs.service import TrainingRunService


class Services(Protocol):
    """The services that screens stand on; the platform is one."""

    @property
    def authentication(self) -> Authentication: ...
    @property
    def training_runs(self) -> TrainingRunService: ...
    @property
    def run_control(self) -> TrainingRunControl: ...
    @property
    def run_queue(self) -> TrainingRunQueue: ...
    @property
    def run_metrics(self) -> TrainingRunMetrics: ...
    @property
    def run_logs(self) -> TrainingRunLogs: ...
