"""Runs as users see them, from their rows."""

from collections.abc import Sequence
from typing import Any

from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.training_runs.energy import parse_energy
from raven_scan.training_runs.models import TrainingRun, TrainingRunAttempt, TrainingRunCheckpoint
from raven_scan.training_runs.records import RunRecord
from raven_scan.training_runs.types import (
    AttemptEnd,
    DeviceKind,
    NamedReference,
    RunAttempt,
    RunCheckpoint,
    RunError,
    RunEstimate,
    RunOptions,
    RunProgress,
    RunStatus,
    TrainingRunView,
)


def make_view(
    run: TrainingRun,
    attempts: Sequence[TrainingRunAttempt] = (),
    checkpoints: Sequence[TrainingRunCheckpoint] = (),
) -> TrainingRunView:
    parameters = TrainingParameters.model_validate(run.parameters)
    progress = _make_progress(run.progress, parameters)
    return TrainingRunView(
        id=run.id,
        name=run.name,
        status=RunStatus(run.status),
        dataset_version=NamedReference(run.dataset_version_id, run.dataset_version_name),
        base_model=NamedReference(run.base_model_id, run.base_model_name),
        architecture=run.architecture,
        parameters=parameters,
        progress=progress,
        error=RunError(**run.error) if run.error else None,
        warnings=list(run.warnings),
        best=run.best,
        model=NamedReference(run.model_id, run.model_name) if run.model_id and run.model_name else None,
        options=make_options(run),
        preset=run.preset_name,
        cloned_from=run.cloned_from,
        is_dry_run=run.is_dry_run,
        is_pausing=run.is_pausing,
        estimate=RunEstimate(**run.estimate) if run.estimate else None,
        dry_run_error=RunError(**run.dry_run_error) if run.dry_run_error else None,
        checkpoints=[
            RunCheckpoint(
                step=checkpoint.step,
                epoch=checkpoint.epoch,
                position=checkpoint.position,
                digest=checkpoint.digest,
                size_bytes=checkpoint.size_bytes,
                attempt=checkpoint.attempt,
                created_at=checkpoint.created_at,
            )
            for checkpoint in checkpoints
        ],
        attempts=[
            RunAttempt(
                number=attempt.number,
                worker=attempt.worker,
                device=attempt.device,
                started_at=attempt.started_at,
                heartbeat_at=attempt.heartbeat_at,
                ended_at=attempt.ended_at,
                end=AttemptEnd(attempt.end) if attempt.end else None,
                reason=attempt.reason,
                environment=attempt.environment,
                energy=parse_energy(attempt.energy),
            )
            for attempt in attempts
        ],
        notes=run.notes,
        revision=run.revision,
        created_by=run.created_by,
        created_at=run.created_at,
        scheduled_at=run.scheduled_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        reproduces=NamedReference(run.reproduces_id, run.reproduces_name)
        if run.reproduces_id and run.reproduces_name
        else None,
        record=None if run.record is None else RunRecord(**run.record),
        energy=parse_energy(run.energy),
    )


def make_options(run: TrainingRun) -> RunOptions:
    return RunOptions(
        priority=run.priority,
        start_at=run.start_at,
        time_limit_s=run.time_limit_s,
        device_kind=DeviceKind(run.device_kind),
        device_count=run.device_count,
        retry_smaller_batch=run.retry_smaller_batch,
    )


def _make_progress(stored: dict[str, Any], parameters: TrainingParameters) -> RunProgress:
    fields: dict[str, Any] = {"epochs": parameters.epochs, **stored}
    return RunProgress(**fields)
