"""The system over REST: is it alive, which version is it, do its database and its worker work."""

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

import raven_scan
from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.database import Database


class HealthOut(BaseModel):
    status: Literal["ok"] = "ok"


class DatabaseOut(BaseModel):
    reachable: bool


class SystemOut(BaseModel):
    version: str
    database: DatabaseOut
    worker: Annotated[bool, Field(description="Whether this server has a worker inside that runs.")]


def build_system_router(
    database: Database, has_worker: Callable[[], bool], get_actor: Callable[..., Actor]
) -> APIRouter:
    router = APIRouter(prefix="/api/v1/system", tags=["system"])

    @router.get("/health", summary="Is the server alive? Needs no sign-in.")
    def show_health() -> HealthOut:  # pyright: ignore[reportUnusedFunction]
        return HealthOut()

    @router.get("", summary="Version, database and worker")
    def show_system(actor: Annotated[Actor, Depends(get_actor)]) -> SystemOut:  # pyright: ignore[reportUnusedFunction]
        actor.require(Claim.SYSTEM_VIEW)
        return SystemOut(
            version=raven_scan.__version__,
            database=DatabaseOut(reachable=_is_reachable(database)),
            worker=has_worker(),
        )

    return router


def _is_reachable(database: Database) -> bool:
    try:
        with database.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return False
    return True
