"""Workers over REST."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class _Schema(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class WorkReference(_Schema):
    """What occupies a slot: a training run, or an evaluation of a model."""

    id: UUID
    name: str


class DeviceLoadOut(_Schema):
    """Load of a GPU at the worker's last heartbeat, by all that use it; null is what its driver does not tell."""

    utilisation_percent: float | None = Field(
        default=None, description="How much of the time it computed, 0-100."
    )
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None


class SlotOut(_Schema):
    """A device of a worker, free while both `run` and `evaluation` are null.

    A run on several devices is at each of them. `load` is of a GPU; of `cpu`, the worker's own is its load.
    """

    device: str
    run: WorkReference | None
    evaluation: WorkReference | None = None
    load: DeviceLoadOut | None = Field(default=None, description="Null where it is not known.")


class MachineLoadOut(_Schema):
    """Load of a worker's machine at its last heartbeat, by all that runs there; null is what could not be measured."""

    processor_percent: float | None = Field(
        default=None, description="Of all cores together, 0-100, since the heartbeat before."
    )
    memory_used_bytes: int | None = Field(default=None, description="What programs cannot have any more.")
    memory_total_bytes: int | None = None


class WorkerOut(_Schema):
    """A worker that lives; `is_draining`: it ends what it does and takes nothing more."""

    name: str
    version: str
    slots: list[SlotOut]
    is_draining: bool
    started_at: datetime
    heartbeat_at: datetime
    load: MachineLoadOut | None = Field(
        default=None, description="Null of a worker that does not tell, such as one of an older release."
    )


class WorkerPage(_Schema):
    items: list[WorkerOut]
    next: str | None = None
