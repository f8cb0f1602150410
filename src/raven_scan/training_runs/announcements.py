"""Tells that a run has ended, in the transaction in which it does."""

from sqlalchemy.orm import Session

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor
from raven_scan.notifications.service import NotificationService
from raven_scan.notifications.types import RunEnded
from raven_scan.training_runs.models import TrainingRun
from raven_scan.training_runs.repository import attempts
from raven_scan.training_runs.types import Figures, RunStatus


class RunAnnouncer:
    """Announces ends of runs; whoever calls holds the run's row."""

    def __init__(self, notifications: NotificationService) -> None:
        self._notifications = notifications

    def announce_end(
        self, actor: Actor, session: Session, run: TrainingRun, figures: Figures | None = None
    ) -> None:
        """Where the run has ended in Success or Error; for any other status nothing happens."""
        # The times of its end are the database's.
        session.flush()
        session.refresh(run)
        if run.status not in {RunStatus.SUCCESS, RunStatus.ERROR} or run.ended_at is None:
            return
        error = run.error or {}
        target = Target("training_run", run.id, run.name)
        record(session, actor, "training_run.ended", target, status=run.status, error=error.get("code"))
        self._notifications.announce(
            actor,
            RunEnded(
                id=run.id,
                name=run.name,
                status="Success" if run.status == RunStatus.SUCCESS else "Error",
                started_at=run.started_at,
                ended_at=run.ended_at,
                attempts=len(attempts.list_of_runs(session, [run.id])[run.id]),
                dataset=run.dataset_version_name,
                base_model=run.base_model_name,
                model=run.model_name,
                figures=figures or {},
                error_code=error.get("code"),
                error_message=error.get("message"),
                error_hint=error.get("hint"),
                log_tail=error.get("log_tail", []),
                created_by_id=run.created_by_id,
            ),
        )
