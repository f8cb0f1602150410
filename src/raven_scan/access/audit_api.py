"""AuditController: the audit trail over REST."""

import json
from collections.abc import Iterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from raven_scan.access.audit_schemas import AuditPage, AuditVerify, describe_entry, describe_verification
from raven_scan.access.audit_service import AuditService
from raven_scan.access.audit_types import EntryFilter
from raven_scan.access.types import Actor, ActorDependency, Claim
from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.long_work import stream_work
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest

_LINES = "application/x-ndjson"
_WORK: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One JSON object a line: progress, and at last done (with what was found) or failed.",
        "content": {_LINES: {"schema": {"type": "string"}}},
    }
}


def build_audit_router(service: AuditService, get_actor: ActorDependency) -> APIRouter:
    """The router of the audit trail.

    Args:
        service: the use cases.
        get_actor: dependency that tells who asks.
    """
    router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

    @router.get("")
    def list_all(
        actor: Annotated[Actor, Depends(get_actor)],
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        by: Annotated[str | None, Query(description="Who did it: a name, or an id.")] = None,
        action: Annotated[str | None, Query(description="How it begins, such as training_run.")] = None,
        target_kind: Annotated[str | None, Query(description="Such as training_run.")] = None,
        target_id: UUID | None = None,
        since: AwareDatetime | None = None,
        until: Annotated[AwareDatetime | None, Query(description="Entries before that time.")] = None,
        q: Annotated[
            str | None,
            Query(
                description="Words, or their beginnings, in a name, an address, the action or a detail.",
                max_length=200,
            ),
        ] = None,
    ) -> AuditPage:
        """List entries of the audit trail, newest first."""
        chosen = EntryFilter(
            actor=None if by is None else parse_id(by) or by,
            action=action,
            target_kind=target_kind,
            target_id=target_id,
            since=since,
            until=until,
            search=q,
        )
        page = service.list_entries(actor, PageRequest.parse(limit, cursor), chosen)
        return AuditPage(items=[describe_entry(entry) for entry in page.items], next=page.next)

    @router.post("/verify", responses=_WORK, response_class=StreamingResponse)
    def verify(
        actor: Annotated[Actor, Depends(get_actor)], body: AuditVerify | None = None
    ) -> StreamingResponse:
        """Read the whole trail, and tell the first entry that is not what it was."""
        actor.require(Claim.AUDIT_VIEW)
        head = None if body is None else body.make_head()

        def write_lines() -> Iterator[str]:
            for event in stream_work(
                lambda progress: service.verify(actor, known_head=head, progress=progress),
                lambda found: describe_verification(found).model_dump(mode="json"),
            ):
                yield json.dumps(event) + "\n"

        return StreamingResponse(write_lines(), media_type=_LINES)

    return router
