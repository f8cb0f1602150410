"""Verification of trained models over REST."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.kernel.long_work import stream_work
from raven_scan.trained_models.lineage_schemas import ModelProofOut
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.verification import ModelProof, ModelVerification

_LINES = "application/x-ndjson"
_WORK: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One JSON object a line: progress, and at last done (with the proof) or failed.",
        "content": {_LINES: {"schema": {"type": "string"}}},
    }
}


def build_verification_router(
    verification: ModelVerification, models: TrainedModelService, get_actor: ActorDependency
) -> APIRouter:
    router = APIRouter(prefix="/api/v1/trained-models", tags=["trained models"])

    @router.post("/{ref}/verify", responses=_WORK, response_class=StreamingResponse)
    def verify(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> StreamingResponse:
        """Prove that weights, configuration and dataset version are what they were."""
        model = models.get_model(actor, ref)

        def write_lines() -> Iterator[str]:
            work = stream_work(lambda told: verification.verify(actor, str(model.id), told), _describe)
            for event in work:
                yield json.dumps(event) + "\n"

        return StreamingResponse(write_lines(), media_type=_LINES)

    return router


def _describe(proof: ModelProof) -> dict[str, Any]:
    return ModelProofOut.model_validate(proof).model_dump(mode="json")
