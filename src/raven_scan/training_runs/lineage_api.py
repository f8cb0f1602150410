"""Lineage of trained models over REST."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Response

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.trained_models.lineage_schemas import LineageGraphOut
from raven_scan.training_runs.lineage import LineageService


def build_lineage_router(service: LineageService, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/trained-models", tags=["trained models"])

    @router.get("/{ref}/lineage", response_model=LineageGraphOut)
    def get_lineage(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> Response:
        """Read where a model comes from, and what came of it."""
        graph = service.get_lineage(actor, ref)
        return Response(msgspec.json.encode(graph), media_type="application/json")

    return router
