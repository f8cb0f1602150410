"""What stops runs and starts them again, as users ask for it."""

from sqlalchemy import func

from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.removal import remove_blobs
from raven_scan.training_runs.errors import wrong_status
from raven_scan.training_runs.repository import logs, runs
from raven_scan.training_runs.run_log import format_line
from raven_scan.training_runs.service import get_run, record_run, view_changed_run
from raven_scan.training_runs.transitions import forget_training, put_in_queue, take_out_of_queue
from raven_scan.training_runs.types import RunStatus, TrainingRunView


class TrainingRunControl:
    """Cancel, pause, resume, retry, put before others."""

    def __init__(self, database: Database, blobs: BlobStore, clock: Clock) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock

    def cancel(self, actor: Actor, ref: str) -> TrainingRunView:
        """Ends a run at once; its last checkpoint is kept, for a retry.

        Its worker finds the lease gone within seconds, and ends the trainer.

        Args:
            actor: needs `training_run:cancel`.
            ref: name or id.

        Raises:
            NotFound: there is no such run.
            Conflict: it has not been scheduled, or has ended.
        """
        with self._database.transaction() as session:
            run = get_run(session, actor, ref, claim=Claim.TRAINING_RUN_CANCEL, lock=True)
            if run.status not in {RunStatus.WAITING, RunStatus.PROCESSING, RunStatus.PAUSED}:
                raise wrong_status(
                    "cancelled",
                    run.name,
                    RunStatus(run.status),
                    "Waiting, Processing or Paused",
                    "`raven runs list` shows how each run stands.",
                )
            take_out_of_queue(run, RunStatus.CANCELLED)
            run.ended_at = func.now()
            logs.append(session, run.id, format_line(self._clock.now(), f"Cancelled by {actor.name}."))
            record_run(session, actor, "cancelled", run)
            return view_changed_run(session, run)

    def pause(self, actor: Actor, ref: str) -> TrainingRunView:
        """Asks a run to pause: its trainer writes a checkpoint and ends, its slot is free, its status is Paused.

        One that waits is Paused at once; one that is Processing when its checkpoint is written.

        Raises:
            NotFound: there is no such run.
            Conflict: it neither waits nor is Processing.
        """
        with self._database.transaction() as session:
            run = get_run(session, actor, ref, claim=Claim.TRAINING_RUN_CANCEL, lock=True)
            if run.status == RunStatus.WAITING:
                take_out_of_queue(run, RunStatus.PAUSED)
            elif run.status == RunStatus.PROCESSING:
                run.is_pausing = True
            elif run.status != RunStatus.PAUSED:
                raise wrong_status(
                    "paused",
                    run.name,
                    RunStatus(run.status),
                    "Waiting or Processing",
                    "`raven runs list` shows how each run stands.",
                )
            record_run(session, actor, "paused", run)
            return view_changed_run(session, run)

    def resume(self, actor: Actor, ref: str) -> TrainingRunView:
        """A paused run waits again, and goes on from its checkpoint.

        Raises:
            NotFound: there is no such run.
            Conflict: it is not Paused.
        """
        with self._database.transaction() as session:
            run = get_run(session, actor, ref, claim=Claim.TRAINING_RUN_SCHEDULE, lock=True)
            if run.status != RunStatus.PAUSED:
                raise wrong_status(
                    "resumed",
                    run.name,
                    RunStatus(run.status),
                    "Paused",
                    "`raven runs retry` runs one again that ended in Error or was cancelled.",
                )
            put_in_queue(session, run)
            record_run(session, actor, "resumed", run)
            return view_changed_run(session, run)

    def retry(self, actor: Actor, ref: str, *, from_start: bool = False) -> TrainingRunView:
        """A run that ended in Error, or was cancelled, waits again.

        Args:
            actor: needs `training_run:schedule`.
            ref: name or id.
            from_start: from its base model, rather than from its last checkpoint.

        Raises:
            NotFound: there is no such run.
            Conflict: it has not ended so.
        """
        removed: list[str] = []
        with self._database.transaction() as session:
            run = get_run(session, actor, ref, claim=Claim.TRAINING_RUN_SCHEDULE, lock=True)
            if run.status not in {RunStatus.ERROR, RunStatus.CANCELLED}:
                raise wrong_status(
                    "retried",
                    run.name,
                    RunStatus(run.status),
                    "in Error or Cancelled",
                    "`raven runs clone` makes a new run like it.",
                )
            if from_start:
                removed = forget_training(session, run)
            line = f"Tried again{' from the start' if from_start else ''} by {actor.name}."
            logs.append(session, run.id, format_line(self._clock.now(), line))
            put_in_queue(session, run)
            record_run(session, actor, "retried", run, from_start=from_start)
            view = view_changed_run(session, run)
        remove_blobs(self._database, self._blobs, removed)
        return view

    def set_priority(self, actor: Actor, ref: str, priority: int) -> TrainingRunView:
        """Of two that wait, the one of the higher priority comes first; a run that does not wait keeps it for later.

        Args:
            actor: needs `training_run:schedule`.
            ref: name or id.
            priority: from -1000 to 1000.

        Raises:
            NotFound: there is no such run.
        """
        with self._database.transaction() as session:
            run = get_run(session, actor, ref, claim=Claim.TRAINING_RUN_SCHEDULE, lock=True)
            if run.priority != priority:
                change = {"from": run.priority, "to": priority}
                run.priority = priority
                if run.status == RunStatus.WAITING:
                    runs.notify_workers(session)
                record_run(session, actor, "priority_changed", run, priority=change)
            return view_changed_run(session, run)

    def move(self, actor: Actor, ref: str, place: int) -> None:
        """Gives a run that waits another place in the queue.

        It takes the priority of whoever is then behind it, or before it, where its own would put it elsewhere.

        Args:
            actor: needs `training_run:schedule`.
            ref: name or id.
            place: from 1; beyond the end: the last.

        Raises:
            NotFound: there is no such run.
            Conflict: it does not wait.
        """
        with self._database.transaction() as session:
            run = get_run(session, actor, ref, claim=Claim.TRAINING_RUN_SCHEDULE)
            runs.lock_queue(session)
            order = [other for other in runs.lock_waiting(session) if other.id != run.id]
            run = get_run(session, actor, ref, lock=True)
            if run.status != RunStatus.WAITING:
                raise wrong_status(
                    "moved", run.name, RunStatus(run.status), "Waiting", "`raven queue` shows what waits."
                )
            index = min(place, len(order) + 1) - 1
            before = order[index - 1].priority if index > 0 else None
            behind = order[index].priority if index < len(order) else None
            if before is not None and run.priority > before:
                run.priority = before
            if behind is not None and run.priority < behind:
                run.priority = behind
            order.insert(index, run)
            record_run(session, actor, "moved", run, place=index + 1, priority=run.priority)
            for position, each in enumerate(order, 1):
                each.queue_position = position
