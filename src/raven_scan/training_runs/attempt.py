"""An attempt at a run, as its worker knows it."""

from dataclasses import dataclass
from uuid import UUID

from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.training_runs.energy import RunEnergy


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint in the blob store.

    Attributes:
        epoch: epochs completed.
        position: steps done of the epoch that was begun.
    """

    step: int
    epoch: int
    position: int
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that holds the run, with all that its worker needs to know.

    Attributes:
        fence: its number.
        devices: what it occupies of its worker.
        checkpoints: to go on from, the last one first.
        spent_s: how long earlier attempts took.
        log_size_bytes: of the run's log so far.
        energy: what earlier attempts used; None where that is not known.
    """

    run_id: UUID
    run_name: str
    fence: int
    devices: list[str]
    is_dry_run: bool
    dataset_version_id: UUID
    base_model_id: UUID
    architecture: str
    parameters: TrainingParameters
    checkpoints: list[Checkpoint]
    warnings: list[str]
    time_limit_s: int | None
    spent_s: float
    log_size_bytes: int
    energy: RunEnergy | None = None
