"""Trained models over REST."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, model_validator

from raven_scan.architectures.catalogue import StartingWeights
from raven_scan.trained_models.types import Origin, Stage


class _Schema(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class LineageReferenceOut(_Schema):
    """What a model came from; it may be gone since."""

    id: UUID
    name: str


class LineageOut(_Schema):
    """What a model came from; null where it came from nothing here."""

    base_model: LineageReferenceOut | None
    dataset_version: LineageReferenceOut | None
    training_run: LineageReferenceOut | None


class PartFiguresOut(_Schema):
    """Figures in 0-1; null where one cannot be had. Precision, recall and f1 are at `confidence`."""

    map: float | None
    map50: float | None
    map75: float | None
    map_small: float | None
    map_medium: float | None
    map_large: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    confidence: float | None
    image_count: int | None
    box_count: int | None


class FiguresOut(PartFiguresOut):
    """Also by the classes' names."""

    by_class: dict[str, dict[str, float | None]]


class ReportedFiguresOut(_Schema):
    """What others say that a model scores; not measured here."""

    map: float | None
    source: str


class CheckpointReportOut(_Schema):
    """How an imported checkpoint fitted its architecture; `left_out` counts keys that are not listed."""

    file_name: str
    sha256: str
    url: str | None
    matched: int
    missing: list[str]
    unexpected: list[str]
    mismatched: list[str]
    left_out: int
    meta: dict[str, Any]


class PackagePixelRulesOut(_Schema):
    """How files became the pixels that the packed model learned from; bands are counted from 0."""

    bands: tuple[int, int, int] | None
    percentiles: tuple[tuple[float, float], tuple[float, float], tuple[float, float]] | None


class PackageStepOut(_Schema):
    """A model in the lineage that a package told, on the platform that had it: a key's fingerprint."""

    platform: str
    id: UUID
    name: str
    origin: Origin
    architecture: str
    created_at: datetime
    starting_weights: str | None
    weights_digest: str | None
    base_model: str | None
    dataset_version: str | None
    dataset_digest: str | None
    training_run: str | None
    parameters: dict[str, Any] | None
    checkpoint: str | None
    checkpoint_digest: str | None
    checkpoint_url: str | None
    environment: dict[str, str]
    pixel_rules: PackagePixelRulesOut | None


class PackageOriginOut(_Schema):
    """The package that a model came in, as its platform signed it; `valid` and `test` were not measured here.

    `models`: the model as it was there, then what it came from, nearest first.
    """

    key_name: str
    key_fingerprint: str
    manifest_digest: str
    platform_version: str
    models: list[PackageStepOut]
    valid: FiguresOut | None
    test: FiguresOut | None


class TrainedModelSummaryOut(_Schema):
    """A trained model in a list; read one by itself for its classes' figures, parameters and files."""

    id: UUID
    name: str
    notes: str
    revision: int
    origin: Origin
    stage: Stage
    architecture: str
    classes: list[str]
    starting_weights: StartingWeights | None
    weights_size_bytes: int | None
    parameter_count: int | None
    valid: PartFiguresOut | None
    test: PartFiguresOut | None
    leak_allowed: bool
    lineage: LineageOut
    created_by: str
    created_at: datetime


class TrainedModelOut(_Schema):
    """A trained model. `leak_allowed`: its dataset has identical images in two parts, so figures flatter it."""

    id: UUID
    name: str
    notes: str
    revision: int
    origin: Origin
    stage: Stage
    architecture: str
    classes: list[str]
    starting_weights: StartingWeights | None
    weights_digest: str | None
    weights_size_bytes: int | None
    configuration_digest: str | None
    parameter_count: int | None
    valid: FiguresOut | None
    test: FiguresOut | None
    reported: ReportedFiguresOut | None
    leak_allowed: bool
    lineage: LineageOut
    parameters: dict[str, Any] | None
    checkpoint: CheckpointReportOut | None
    environment: dict[str, str]
    created_by: str
    created_at: datetime
    dataset_version_digest: str | None = None
    package: PackageOriginOut | None = None


class TrainedModelPage(_Schema):
    items: list[TrainedModelSummaryOut]
    next: str | None


class TrainedModelImport(BaseModel):
    """A checkpoint that was uploaded, or a file on the server's machine, where that is allowed."""

    model_config = ConfigDict(extra="forbid")

    path: str | None = None
    upload: UUID | None = None
    architecture: str
    name: str

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.path is None) == (self.upload is None):
            raise ValueError("give either a path or an upload")
        return self


class TrainedModelPull(BaseModel):
    """A checkpoint of MMDetection's model index: a name there, or an architecture's. Without `name`, its own."""

    model_config = ConfigDict(extra="forbid")

    model: str
    name: str | None = None


class TrainedModelEdit(BaseModel):
    """What is to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = None
    notes: str | None = None
