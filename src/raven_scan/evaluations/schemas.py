"""Evaluations over REST."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from raven_scan.evaluations.types import EvaluationStatus
from raven_scan.figures.difference import Verdict


class _Schema(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class EvaluationReferenceOut(_Schema):
    """A model or a dataset version; its name may have changed since it was told."""

    id: UUID
    name: str


class FigureOut(_Schema):
    """A figure in 0-1 with its 95 % confidence interval; without a value, `reason` says why it cannot be had."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None


class EvaluationErrorOut(_Schema):
    """Why an evaluation ended in Error, and what to do next."""

    code: str
    message: str
    hint: str
    log_tail: list[str]


class EvaluationProgressOut(_Schema):
    """What it does now; `done` of `total` images are predicted."""

    phase: str
    done: int
    total: int


class EvaluationOut(_Schema):
    """A model's evaluation on a part of a dataset version.

    `training_run_id`: the run at whose end it was made; null where somebody asked for it.
    """

    id: UUID
    model: EvaluationReferenceOut
    dataset_version: EvaluationReferenceOut
    part: str
    status: EvaluationStatus
    progress: EvaluationProgressOut
    warnings: list[str]
    figures: dict[str, FigureOut] | None
    image_count: int | None
    box_count: int | None
    images_per_s: float | None
    error: EvaluationErrorOut | None
    training_run_id: UUID | None
    worker: str | None
    device: str | None
    attempt_count: int
    created_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class QueuedEvaluationOut(_Schema):
    """An evaluation that waits, and why, or is at work; evaluations come before all training runs that wait."""

    id: UUID
    model: EvaluationReferenceOut
    dataset_version: EvaluationReferenceOut
    part: str
    status: EvaluationStatus
    progress: EvaluationProgressOut
    worker: str | None
    device: str | None
    created_by: str
    created_at: datetime
    reason_code: str | None
    reason: str | None


class EvaluationPage(_Schema):
    items: list[EvaluationOut]
    next: str | None


class EvaluationCreate(BaseModel):
    """A model, and the dataset version (name@number, or the newest by its name) that it is to be evaluated on."""

    model_config = ConfigDict(extra="forbid")

    model: str
    dataset: str
    part: Literal["train", "valid", "test"] = "test"


class EvaluationLogOut(_Schema):
    """The last part of what the process that evaluates told; while it goes on, what it has told so far."""

    text: str


class DifferenceOut(_Schema):
    """By how much a model is better than the first one; `verdict` says in words what it means.

    `low` and `high` are the bounds of its 95 % confidence interval; `first` is this model's figure, `second` the one
    of the model that it is compared with; `reason` says what stands behind a verdict that tells nothing.
    """

    figure: str
    value: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    first: float | None
    second: float | None
    image_count: int
    resamples: int
    reason: str | None


class ComparedModelOut(_Schema):
    """A model in a comparison; the first one has no difference to itself."""

    model: EvaluationReferenceOut
    evaluation_id: UUID
    value: float | None
    difference: DifferenceOut | None


class ComparisonOut(_Schema):
    """Models on the same part of the same dataset version; the first is what the others are compared with."""

    dataset_version: EvaluationReferenceOut
    part: str
    figure: str
    class_name: str | None
    models: list[ComparedModelOut]


class TrueBoxOut(_Schema):
    """A true box: x, y, width, height in pixels of the image."""

    class_name: str
    box: tuple[float, float, float, float] = Field(description="x, y, width, height")
    crowd: bool
    found: bool


class DetectedBoxOut(_Schema):
    """A detection: x, y, width, height in pixels of the image; `hit`: it found a true box."""

    class_name: str
    box: tuple[float, float, float, float] = Field(description="x, y, width, height")
    confidence: float
    hit: bool


class ImageResultOut(_Schema):
    """What was on an image, and what was detected, at the confidence with the best F1."""

    image_id: int
    file_name: str
    misses: int
    false_alarms: int
    worst_confidence: float | None
    true_boxes: list[TrueBoxOut]
    detections: list[DetectedBoxOut]


class GalleryImageOut(_Schema):
    """An image on which the model does badly.

    `digest`, and its size in pixels, are null where its dataset version is not to be seen, or gone. Else the picture is
    at `/api/v1/datasets/{version}/images/{digest}`.
    """

    place: int
    digest: str | None
    width: int | None
    height: int | None
    result: ImageResultOut


class GalleryPage(_Schema):
    items: list[GalleryImageOut]
    next: str | None
