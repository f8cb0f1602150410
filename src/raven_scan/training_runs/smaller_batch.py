"""Out of memory: once more, with half the batch and the gradients of twice as many."""

from sqlalchemy.orm import Session

from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.training_runs.models import TrainingRun
from raven_scan.training_runs.repository import attempts
from raven_scan.training_runs.transitions import forget_training, put_in_queue, take_out_of_queue
from raven_scan.training_runs.types import AttemptEnd, RunError, RunStatus

_OUT_OF_MEMORY = "out_of_memory."
_MOST_ACCUMULATED = 32
"""Twice as much is still within the parameter's bounds."""


def may_halve_batch(session: Session, run: TrainingRun, error: RunError) -> bool:
    """Whether the user allowed it, this is the first time, and there is a half."""
    if not (run.retry_smaller_batch and error.code.startswith(_OUT_OF_MEMORY)):
        return False
    earlier = attempts.list_of_runs(session, [run.id])[run.id]
    can_be_halved = run.parameters["batch_size"] > 1 and run.parameters["accumulation"] <= _MOST_ACCUMULATED
    return can_be_halved and not any(attempt.end == AttemptEnd.RETRIED_SMALLER for attempt in earlier)


def halve_batch(session: Session, run: TrainingRun, error: RunError) -> list[str]:
    """The run starts again with smaller batches, about as many images a step.

    Returns:
        Digests of checkpoints that are of no use.
    """
    parameters = TrainingParameters.model_validate(run.parameters)
    halved = parameters.model_copy(
        update={"batch_size": parameters.batch_size // 2, "accumulation": parameters.accumulation * 2}
    )
    run.parameters = halved.model_dump(mode="json")
    told = (
        f"{error.message} It was tried again with a batch of {halved.batch_size} instead of "
        f"{parameters.batch_size} images, and the gradients of {halved.accumulation} batches a step."
    )
    run.warnings = [*run.warnings, told]
    removed = forget_training(session, run)
    if run.is_pausing:
        take_out_of_queue(run, RunStatus.PAUSED)
    else:
        put_in_queue(session, run, is_returned=True)
    return removed
