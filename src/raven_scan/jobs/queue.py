"""The queue, on Procrastinate: a job is enqueued in the caller's own transaction.

So what happened and the job that it brings are stored together or not at all. What a job does is said by the
handlers of `jobs.worker`. Training runs are no jobs of this queue: their own table is theirs (`jobs.dispatcher`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

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
        start_at: datetime | None = None,
    ) -> int:
        """Enqueues a job as part of the session's transaction, returns its id; workers hear of it at the commit."""
        connection = session.connection().connection.driver_connection
        return self._app.configure_task(
            task,
            allow_unknown=True,
            schedule_at=start_at,
            connection=connection,
        ).defer(**arguments)

    def find_dead_jobs(self, session: Session, job_ids: Sequence[int], *, taken_for_s: float) -> set[int]:
        """Those that no worker will ever run: gone, ended, or taken so long ago that the taker must have died."""
        query = text(
            """
            SELECT asked.id FROM unnest(CAST(:ids AS bigint[])) AS asked (id)
            WHERE NOT EXISTS (
                SELECT FROM procrastinate_jobs AS job
                WHERE job.id = asked.id AND (job.status = 'todo' OR (job.status = 'doing' AND EXISTS (
                    SELECT FROM procrastinate_events AS event
                    WHERE event.job_id = job.id AND event.type = 'started'
                        AND event.at > now() - make_interval(secs => :taken_for_s)
                )))
            )
            """
        )
        rows = session.execute(query, {"ids": list(job_ids), "taken_for_s": taken_for_s})
        return set(rows.scalars())
