"""EvaluationsController: evaluations of models over REST."""

from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Query, Response

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.evaluations.review import EvaluationReview
from raven_scan.evaluations.schemas import (
    ComparisonOut,
    EvaluationCreate,
    EvaluationLogOut,
    EvaluationOut,
    EvaluationPage,
    GalleryPage,
)
from raven_scan.evaluations.service import EvaluationService
from raven_scan.evaluations.types import (
    DEFAULT_FIGURE,
    MOST_COMPARED,
    EvaluationFilter,
    EvaluationStatus,
    GalleryKind,
)
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest

_Part = Literal["train", "valid", "test"]
_MOST_COMPARING = 8
"""Comparisons may wait long for their process: in threads of their own, so that others are answered meanwhile."""
_REPORT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "All figures: with intervals, by class and size, curves, confusion, errors by kind.",
        "content": {"application/json": {"schema": {"type": "object", "title": "EvaluationReport"}}},
    }
}


def build_router(
    service: EvaluationService, review: EvaluationReview, get_actor: ActorDependency
) -> APIRouter:
    router = APIRouter(prefix="/api/v1/evaluations", tags=["evaluations"])
    comparing = CapacityLimiter(_MOST_COMPARING)

    @router.post("", status_code=201, response_model=EvaluationOut)
    def request(actor: Annotated[Actor, Depends(get_actor)], body: EvaluationCreate) -> Response:
        """Have a model evaluated; the same that has not ended yet is answered as it is."""
        return _answer(service.request(actor, body.model, body.dataset, body.part), status=201)

    @router.get("", response_model=EvaluationPage)
    def list_all(
        actor: Annotated[Actor, Depends(get_actor)],
        model: Annotated[str | None, Query(description="Name or id.")] = None,
        dataset: Annotated[str | None, Query(description="A dataset version: name@number or id.")] = None,
        part: _Part | None = None,
        status: EvaluationStatus | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Response:
        """List evaluations, newest first."""
        chosen = EvaluationFilter(model=model, dataset=dataset, part=part, status=status)
        return _answer(service.list_evaluations(actor, PageRequest.parse(limit, cursor), chosen))

    @router.get("/comparison", response_model=ComparisonOut)
    async def compare(
        actor: Annotated[Actor, Depends(get_actor)],
        model: Annotated[
            list[str],
            Query(
                max_length=MOST_COMPARED,
                description="Name or id, two to ten times; the others are compared with the first.",
            ),
        ],
        dataset: Annotated[
            str | None,
            Query(description="name@number or id; else the one of the first model's last evaluation."),
        ] = None,
        part: _Part = "test",
        figure: Annotated[
            str, Query(description="map50, map, map75, precision, recall, f1, …")
        ] = DEFAULT_FIGURE,
        class_: Annotated[str | None, Query(alias="class", description="Of this class alone.")] = None,
    ) -> Response:
        """Compare two to ten models on the same part, by their last evaluations there."""
        work = partial(
            review.compare_models,
            actor,
            model,
            dataset=dataset,
            part=part,
            figure=figure,
            class_name=class_,
        )
        return _answer(await to_thread.run_sync(work, limiter=comparing))

    @router.get("/{evaluation_id}", response_model=EvaluationOut)
    def get(actor: Annotated[Actor, Depends(get_actor)], evaluation_id: UUID) -> Response:
        """Read an evaluation."""
        return _answer(service.get_evaluation(actor, evaluation_id))

    @router.post("/{evaluation_id}/cancel", response_model=EvaluationOut)
    def cancel(actor: Annotated[Actor, Depends(get_actor)], evaluation_id: UUID) -> Response:
        """Cancel an evaluation that waits or is processed."""
        return _answer(service.cancel(actor, evaluation_id))

    @router.get("/{evaluation_id}/report", response_class=Response, responses=_REPORT)
    def read_report(actor: Annotated[Actor, Depends(get_actor)], evaluation_id: UUID) -> Response:
        """Read all figures of an evaluation that was a Success."""
        return Response(service.read_report_content(actor, evaluation_id), media_type="application/json")

    @router.get("/{evaluation_id}/log")
    def read_log(actor: Annotated[Actor, Depends(get_actor)], evaluation_id: UUID) -> EvaluationLogOut:
        """Read what the process that evaluated told."""
        return EvaluationLogOut(text=service.read_log(actor, evaluation_id))

    @router.get("/{evaluation_id}/images", response_model=GalleryPage)
    def list_worst_images(
        actor: Annotated[Actor, Depends(get_actor)],
        evaluation_id: UUID,
        kind: GalleryKind = GalleryKind.MISSED,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Response:
        """List the images with misses or false alarms, the worst first."""
        return _answer(review.list_worst_images(actor, evaluation_id, kind, PageRequest.parse(limit, cursor)))

    return router


def build_model_router(service: EvaluationService, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/trained-models", tags=["evaluations"])

    @router.get("/{ref}/evaluations", response_model=EvaluationPage)
    def list_of_model(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        dataset: Annotated[str | None, Query(description="A dataset version: name@number or id.")] = None,
        part: _Part | None = None,
        status: EvaluationStatus | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Response:
        """List a model's evaluations, newest first."""
        chosen = EvaluationFilter(model=ref, dataset=dataset, part=part, status=status)
        return _answer(service.list_evaluations(actor, PageRequest.parse(limit, cursor), chosen))

    return router


def _answer(value: Any, *, status: int = 200) -> Response:
    """Encoded as it is: what is checked against its schema twice takes ten times as long."""
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")
