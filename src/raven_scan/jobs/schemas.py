"""Workers over REST."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class _Schema(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class WorkReference(_Schema):
    """What occupies a slot: a training run, or an evaluation of a model."""

    id: UUID
    name: str


class SlotOut(_Schema):
    """A device of a worker, free while both `run` and `evaluation` are null.

    A run on several devices is at each of them.
    """

    device: str
    run: WorkReference | None
    evaluation: WorkReference | None = None


class WorkerOut(_Schema):
    """A worker that lives; `is_draining`: it ends what it does and takes nothing more."""

    name: str
    version: str
    slots: list[SlotOut]
    is_draining: bool
    started_at: datetime
    heartbeat_at: datetime


class WorkerPage(_Schema):
    items: list[WorkerOut]
    next: str | None = None
