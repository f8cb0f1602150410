"""The trash over REST."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.app.housekeeping.trash import Trash
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest
from raven_scan.kernel.trash_schemas import PurgedOut, TrashItemOut, TrashPage


def build_trash_router(trash: Trash, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/trash", tags=["trash"])

    @router.get("")
    def list_items(
        actor: Annotated[Actor, Depends(get_actor)], limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> TrashPage:
        """List what was deleted, of the kinds that you may delete, last deleted first."""
        page = trash.list_items(actor, PageRequest.parse(limit, cursor))
        return TrashPage(
            items=[
                TrashItemOut(
                    kind=item.kind,
                    id=item.id,
                    name=item.name,
                    deleted_at=item.deleted_at,
                    deleted_by=item.deleted_by,
                    purge_at=trash.find_purge_time(item),
                )
                for item in page.items
            ],
            next=page.next,
        )

    @router.post("/{id}/restore", status_code=204)
    def restore(actor: Annotated[Actor, Depends(get_actor)], id: UUID) -> None:  # noqa: A002 - its name outside
        """Restore something; refused where another thing has its name by now."""
        trash.restore(actor, id)

    @router.delete("/{id}", status_code=204)
    def purge(actor: Annotated[Actor, Depends(get_actor)], id: UUID) -> None:  # noqa: A002
        """Remove something for good, now."""
        trash.purge(actor, id)

    @router.delete("")
    def empty(actor: Annotated[Actor, Depends(get_actor)]) -> PurgedOut:
        """Remove everything for good that you may delete, now."""
        return PurgedOut(purged=trash.empty(actor))

    return router
