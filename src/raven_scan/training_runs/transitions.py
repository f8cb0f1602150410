"""What happens to a run's row when its status changes; the caller holds the row's lock."""

from itertools import takewhile

from sqlalchemy import func
from sqlalchemy.orm import Session

from raven_scan.training_runs.models import TrainingRun
from raven_scan.training_runs.repository import attempts, checkpoints, metrics, runs
from raven_scan.training_runs.types import AttemptEnd, RunError, RunStatus

MOST_FRUITLESS_ATTEMPTS = 5
"""A run that lost so many attempts without a checkpoint between them ends in Error instead of taking the next."""


def put_in_queue(session: Session, run: TrainingRun, *, is_returned: bool = False) -> None:
    """The run waits: last of its priority, or among the first, as one that had begun already."""
    # Asked for first: a query writes what was changed so far.
    position = runs.find_place_of_returned(session) if is_returned else runs.find_place_at_end(session)
    run.status = RunStatus.WAITING
    run.queue_position = position
    run.is_pausing = False
    run.error = None
    run.ended_at = None
    run.progress = {**run.progress, "phase": "", "time_left_s": None}
    runs.notify_workers(session)


def take_out_of_queue(run: TrainingRun, status: RunStatus) -> None:
    """The run is in another status than Waiting."""
    run.status = status
    run.queue_position = None
    run.is_pausing = False
    run.progress = {**run.progress, "phase": "", "time_left_s": None}


def end_in_error(run: TrainingRun, error: RunError) -> bool:
    """The run ends in Error; one whose dry run it was is a Draft again, since it was to be tried out only.

    Returns:
        Whether it ended.
    """
    if run.is_dry_run:
        be_draft_again(run)
        run.dry_run_error = error.describe()
        return False
    take_out_of_queue(run, RunStatus.ERROR)
    run.error = error.describe()
    run.ended_at = func.now()
    return True


def be_draft_again(run: TrainingRun) -> None:
    """Its dry run is over."""
    take_out_of_queue(run, RunStatus.DRAFT)
    run.is_dry_run = False
    run.dry_run_error = None
    run.progress = {}
    run.scheduled_at = run.started_at = None


def end_fruitlessly(session: Session, run: TrainingRun, reason: str, error: RunError) -> bool:
    """The run's attempt was lost through no fault of its own: it pauses where that was asked, or waits again.

    One that lost too many attempts without getting further ends in Error, with the cause that is given.

    Returns:
        Whether it ended.
    """
    is_last = _count_fruitless(session, run) + 1 >= MOST_FRUITLESS_ATTEMPTS and not run.is_pausing
    attempts.end_attempt(session, run.id, run.fence, AttemptEnd.ERROR if is_last else AttemptEnd.LOST, reason)
    if is_last:
        return end_in_error(run, error)
    if run.is_pausing:
        take_out_of_queue(run, RunStatus.PAUSED)
    else:
        put_in_queue(session, run, is_returned=True)
    return False


def _count_fruitless(session: Session, run: TrainingRun) -> int:
    """Attempts just before this one that were lost, one after the other, since the last checkpoint."""
    kept = checkpoints.list_of_runs(session, [run.id])[run.id]
    furthest = kept[0].attempt if kept else 0
    earlier = [
        attempt
        for attempt in attempts.list_of_runs(session, [run.id])[run.id]
        if furthest <= attempt.number < run.fence
    ]
    return sum(1 for _ in takewhile(lambda attempt: attempt.end == AttemptEnd.LOST, reversed(earlier)))


def forget_training(session: Session, run: TrainingRun) -> list[str]:
    """The run is to start from its base model again; returns digests of checkpoints to remove after the commit."""
    metrics.remove_after(session, run.id, -1)
    run.best = None
    run.progress = {}
    return checkpoints.remove(session, run.id)
