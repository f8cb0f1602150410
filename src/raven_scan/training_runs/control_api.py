"""Controllers of what stops and starts runs, and of presets."""

from typing import Annotated

from fastapi import APIRouter, Depends

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.training_runs.answers import describe_run
from raven_scan.training_runs.control import TrainingRunControl
from raven_scan.training_runs.presets import TrainingPresetService
from raven_scan.training_runs.queue import TrainingRunQueue
from raven_scan.training_runs.schemas import (
    PresetCreate,
    PresetOut,
    PresetPage,
    QueueEntryOut,
    QueueOut,
    TrainingRunMove,
    TrainingRunOut,
    TrainingRunPriority,
    TrainingRunRetry,
)


def build_control_router(
    control: TrainingRunControl, queue: TrainingRunQueue, get_actor: ActorDependency
) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["training runs"])

    @router.post("/training-runs/{ref}/cancel")
    def cancel(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> TrainingRunOut:
        """Cancel a run that waits, is processed or paused; its checkpoint is kept."""
        return describe_run(control.cancel(actor, ref))

    @router.post("/training-runs/{ref}/pause")
    def pause(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> TrainingRunOut:
        """Pause a run; one that is processed is Paused once its checkpoint is written."""
        return describe_run(control.pause(actor, ref))

    @router.post("/training-runs/{ref}/resume")
    def resume(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> TrainingRunOut:
        """Let a paused run wait again; it goes on from its checkpoint."""
        return describe_run(control.resume(actor, ref))

    @router.post("/training-runs/{ref}/retry")
    def retry(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        body: TrainingRunRetry | None = None,
    ) -> TrainingRunOut:
        """Let a run wait again that ended in Error or was cancelled."""
        return describe_run(control.retry(actor, ref, from_start=body is not None and body.from_start))

    @router.post("/training-runs/{ref}/priority")
    def set_priority(
        actor: Annotated[Actor, Depends(get_actor)], ref: str, body: TrainingRunPriority
    ) -> TrainingRunOut:
        """Put a run before or behind others that wait; one that does not wait keeps it for later."""
        return describe_run(control.set_priority(actor, ref, body.priority))

    @router.post("/training-runs/{ref}/move")
    def move(actor: Annotated[Actor, Depends(get_actor)], ref: str, body: TrainingRunMove) -> QueueOut:
        """Give a run that waits another place in the queue; answers the queue."""
        control.move(actor, ref, body.place)
        return QueueOut(items=[QueueEntryOut.model_validate(entry) for entry in queue.list_queue(actor)])

    return router


def build_presets_router(service: TrainingPresetService, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/training-presets", tags=["presets"])

    @router.get("")
    def list_all(actor: Annotated[Actor, Depends(get_actor)]) -> PresetPage:
        """List presets by name."""
        return PresetPage(items=[PresetOut.model_validate(each) for each in service.list_presets(actor)])

    @router.post("", status_code=201)
    def save(actor: Annotated[Actor, Depends(get_actor)], body: PresetCreate) -> PresetOut:
        """Keep a run's parameters under a name."""
        return PresetOut.model_validate(service.save(actor, name=body.name, run=body.run))

    @router.get("/{ref}")
    def get(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> PresetOut:
        """Read a preset, by name or id."""
        return PresetOut.model_validate(service.get_preset(actor, ref))

    @router.delete("/{ref}", status_code=204)
    def delete(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> None:
        """Delete a preset; runs that used it keep their parameters."""
        service.delete(actor, ref)

    return router
