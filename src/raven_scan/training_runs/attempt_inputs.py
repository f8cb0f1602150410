"""What an attempt works with, and what it learns from: the dataset version on the disk, weights, good checkpoints."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raven_scan.access.types import WORKER
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import DatasetVersionView, Layout
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blob_store import BlobStore
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.training_runs.attempt import Attempt, Checkpoint
from raven_scan.training_runs.execution import TrainingRunExecution
from raven_scan.training_runs.preflight import PreflightChecks


@dataclass(frozen=True, slots=True)
class AttemptTools:
    """What every attempt of a worker works with.

    Attributes:
        worker: the worker's name.
        threads: of a trainer on the CPU.
        drain_s: how long a trainer may take to write a checkpoint when the worker is stopped.
        trainer_module: what is run as the trainer.
    """

    execution: TrainingRunExecution
    datasets: DatasetService
    models: TrainedModelService
    blobs: BlobStore
    checks: PreflightChecks
    settings: Settings
    clock: Clock
    worker: str
    threads: int
    drain_s: float
    trainer_module: str


@dataclass(frozen=True, slots=True)
class AttemptInputs:
    """What a run trains on. `weights`: None for an architecture's own starting weights."""

    layout: Layout
    version: DatasetVersionView
    base_model: TrainedModelView
    weights: Path | None


def prepare_inputs(tools: AttemptTools, attempt: Attempt, folder: Path) -> AttemptInputs:
    """Lays the dataset version out in `folder`. Raises NotFound where something of it is gone."""
    layout = tools.datasets.lay_out(
        WORKER,
        attempt.dataset_version_id,
        folder,
        fraction=attempt.parameters.fraction,
        seed=attempt.parameters.seed,
    )
    return AttemptInputs(
        layout=layout,
        version=tools.datasets.get_version(WORKER, str(attempt.dataset_version_id)),
        base_model=tools.models.get_model(WORKER, attempt.base_model_id),
        weights=tools.models.open_weights(WORKER, attempt.base_model_id),
    )


def find_good_checkpoints(
    blobs: BlobStore, checkpoints: Sequence[Checkpoint], tell: Callable[[str], None]
) -> list[Checkpoint]:
    """Those whose content is what was stored; each other is told of."""
    good: list[Checkpoint] = []
    for checkpoint in checkpoints:
        if _is_good(blobs, checkpoint):
            good.append(checkpoint)
        else:
            tell(f"The checkpoint of step {checkpoint.step} is missing or damaged: it is not used.")
    return good


def _is_good(blobs: BlobStore, checkpoint: Checkpoint) -> bool:
    try:
        return blobs.verify(checkpoint.digest)
    except OSError:
        return False  # a disk that cannot read it
