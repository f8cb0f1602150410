"""The trash over REST: it belongs to no slice, and the client knows it."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel


class TrashItemOut(BaseModel):
    """Something that was deleted. It goes for good at `purge_at`, or within a day after."""

    kind: str
    id: UUID
    name: str
    deleted_at: datetime
    deleted_by: str
    purge_at: datetime


class TrashPage(BaseModel):
    items: list[TrashItemOut]
    next: str | None


class PurgedOut(BaseModel):
    """How many of each kind are gone for good."""

    purged: dict[str, int]
