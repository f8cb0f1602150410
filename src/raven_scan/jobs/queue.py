"""The queue, on Procrastinate: a job is enqueued in the caller's own transaction.

So a status and its job change together or not at all. What a job does is said by the handlers of
`jobs.worker`; what keeps two workers from doing it at once is the lease of the slice that owns the work.
"""

from datetime import datetime
from typing import Any, cast

import procrastinate
from sqlalchemy import text
from sqlalchemy.orm import Session


class JobQueue:
    """Puts jobs into the queue."""

    def __init__(self) -> None:
        # Never opened: every query goes over the caller's connection.
        self._app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())

    def enqueue(
        self,
        session: Session,
        task: str,
        arguments: dict[str, Any],
        *,
        priority: int = 0,
        start_at: datetime | None = None,
    ) -> int:
        """Enqueues a job as part of the session's transaction, returns its id; workers hear of it at the commit."""
        connection = session.connection().connection.driver_connection
        return self._app.configure_task(
            task,
            allow_unknown=True,
            priority=priority,
            schedule_at=start_at,
            connection=connection,
        ).defer(**arguments)

    def discard(self, session: Session, job_id: int) -> None:
        """Takes a job out of the queue, whatever state it is in; a job that is gone already is no error."""
        state = session.execute(
            text("SELECT status FROM procrastinate_jobs WHERE id = :id FOR UPDATE"), {"id": job_id}
        ).scalar_one_or_none()
        if cast("str | None", state) == "todo":
            session.execute(text("SELECT procrastinate_cancel_job_v1(:id, false, true)"), {"id": job_id})
        elif state == "doing":
            session.execute(
                text("SELECT procrastinate_finish_job_v1(:id, 'failed'::procrastinate_job_status, true)"),
                {"id": job_id},
            )
