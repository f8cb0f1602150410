"""The audit trail, from outside."""

from datetime import datetime

from raven_scan.access.audit_schemas import AuditPage, AuditVerificationOut
from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.kernel.progress import Progress, ignore_progress

_PATH = "/api/v1/audit"


class AsyncAuditClient:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        by: str | None = None,
        action: str | None = None,
        target_kind: str | None = None,
        target_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        q: str | None = None,
    ) -> AuditPage:
        """Who did what, newest first.

        Args:
            limit: at most so many.
            cursor: `next` of the page before.
            by: the name or the id of who did it.
            action: how it begins, such as `training_run.`.
            target_kind: what it was done to, such as `training_run`.
            target_id: of that.
            since: not before that time, which has a time zone.
            until: before that time.
            q: words, or their beginnings, in a name, an address, the action or a detail.
        """
        parameters = {
            "limit": limit,
            "cursor": cursor,
            "by": by,
            "action": action,
            "target_kind": target_kind,
            "target_id": target_id,
            "since": None if since is None else since.isoformat(),
            "until": None if until is None else until.isoformat(),
            "q": q,
        }
        return AuditPage.model_validate(await self._connection.get(_PATH, parameters))

    async def verify(
        self, *, head: str | None = None, on_progress: Progress = ignore_progress
    ) -> AuditVerificationOut:
        """Has the whole trail read, and tells the first entry that is not what it was.

        Args:
            head: what an earlier verification told, as NUMBER:HASH; it shows whether the end was cut off since.
            on_progress: called while it goes on.
        """
        found = await self._connection.do_long_work(f"{_PATH}/verify", on_progress, content={"head": head})
        return AuditVerificationOut.model_validate(found)
