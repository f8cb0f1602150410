"""Values of trained models."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from raven_scan.architectures.catalogue import StartingWeights
from raven_scan.pixels.rules import PixelRules


class Origin(StrEnum):
    """Where a model came from: an architecture's starting weights, a checkpoint from outside, or a run."""

    BUILTIN = "builtin"
    IMPORTED = "imported"
    TRAINED = "trained"


class Stage(StrEnum):
    """How far a model is on its way to detection."""

    CANDIDATE = "candidate"
    PUBLISHED = "published"
    REPLACED = "replaced"
    WITHDRAWN = "withdrawn"


FIGURE_NAMES = (
    "map",
    "map50",
    "map75",
    "map_small",
    "map_medium",
    "map_large",
    "precision",
    "recall",
    "f1",
    "confidence",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFigures:
    """What a model scores on one part, in 0-1; None where a figure cannot be had (no box of that size).

    Attributes:
        map: mean over IoU 0.50 to 0.95; map50 and map75 at one IoU; map_small, … by COCO's areas.
        precision: as recall and f1, at `confidence`, the threshold that maximises F1.
        image_count, box_count: what they were measured on; None where nobody told.
    """

    map: float | None = None
    map50: float | None = None
    map75: float | None = None
    map_small: float | None = None
    map_medium: float | None = None
    map_large: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    confidence: float | None = None
    image_count: int | None = None
    box_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures(PartFigures):
    """Also `by_class`: the same figures by class name."""

    by_class: dict[str, dict[str, float | None]] = field(default_factory=dict[str, dict[str, float | None]])

    @classmethod
    def collect(
        cls,
        figures: Mapping[str, float | None],
        *,
        by_class: Mapping[str, Mapping[str, float | None]] | None = None,
        image_count: int | None = None,
        box_count: int | None = None,
    ) -> "Figures":
        """From what a trainer tells (`wire.events`): other names are left out, what is not finite is None."""
        return cls(
            **_pick_figures(figures),
            by_class={name: _pick_figures(values) for name, values in (by_class or {}).items()},
            image_count=image_count,
            box_count=box_count,
        )


def _pick_figures(figures: Mapping[str, float | None]) -> dict[str, Any]:
    return {
        name: value if value is not None and math.isfinite(value) else None
        for name in FIGURE_NAMES
        if name in figures
        for value in [figures[name]]
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedFigures:
    """What others say that a model scores; not measured here.

    Attributes:
        map: box mAP in 0-1.
        source: who says so, and on what.
    """

    map: float | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointReport:
    """What an imported checkpoint was, and how it fitted its architecture.

    Attributes:
        file_name: of the checkpoint, without its folder.
        sha256: of that file.
        url: where it was pulled from, or None.
        matched: number of tensors that fitted.
        missing: tensors of the architecture that the checkpoint lacks.
        unexpected: tensors of the checkpoint that the architecture lacks.
        mismatched: tensors of another shape.
        left_out: how many keys of these lists are not shown.
        meta: what the checkpoint says of itself, plain data only.
    """

    file_name: str
    sha256: str
    url: str | None = None
    matched: int
    missing: list[str]
    unexpected: list[str]
    mismatched: list[str]
    left_out: int = 0
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageStep:
    """A model in the lineage that a package told.

    Attributes:
        platform: that had it: the fingerprint of the key that it vouches with.
        base_model, dataset_version, training_run: their names there, None where it came from none.
        dataset_digest: of the dataset version's content.
        checkpoint: what the file was called that it was read from, where it was; `checkpoint_digest` its sha256.
        pixel_rules: how files became the pixels that the packed model learned from; told of that one alone.
    """

    platform: str
    id: UUID
    name: str
    origin: Origin
    architecture: str
    created_at: datetime
    starting_weights: str | None = None
    weights_digest: str | None = None
    base_model: str | None = None
    dataset_version: str | None = None
    dataset_digest: str | None = None
    training_run: str | None = None
    parameters: dict[str, Any] | None = None
    checkpoint: str | None = None
    checkpoint_digest: str | None = None
    checkpoint_url: str | None = None
    environment: dict[str, str] = field(default_factory=dict[str, str])
    pixel_rules: PixelRules | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageOrigin:
    """The package that a model came in from another platform, as that one signed it.

    Attributes:
        key_name, key_fingerprint: of the key that it was signed with; the name that it had here.
        manifest_digest: sha256 of what was signed.
        platform_version: of the release that packed it.
        models: the model as it was there, and before it what it came from, nearest first.
        valid, test: what it scored there. Not measured here.
    """

    key_name: str
    key_fingerprint: str
    manifest_digest: str
    platform_version: str
    models: list[PackageStep]
    valid: Figures | None
    test: Figures | None


@dataclass(frozen=True, slots=True)
class LineageReference:
    """Something that a model came from. It may be gone since; renamed, it has its new name here."""

    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a model came from; None where it came from nothing here."""

    base_model: LineageReference | None
    dataset_version: LineageReference | None
    training_run: LineageReference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModelSummary:
    """A trained model in a list: what is short of `TrainedModelView`."""

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
    valid: PartFigures | None
    test: PartFigures | None
    leak_allowed: bool
    lineage: Lineage
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ModelFilter:
    """Which models a list has; None: whatever it is.

    Attributes:
        origins: any of these; empty for all.
        dataset_version, base_model, training_run: that it came from, by name or id.
        class_name: those that know this class.
        words: those in whose name, notes, architecture or lineage these words begin.
    """

    origins: tuple[Origin, ...] = ()
    stage: Stage | None = None
    architecture: str | None = None
    dataset_version: str | None = None
    base_model: str | None = None
    training_run: str | None = None
    class_name: str | None = None
    words: str | None = None


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of a model, to be downloaded. `digest`: its sha256."""

    path: Path
    digest: str
    size_bytes: int
    file_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModelView:
    """A trained model as users see it.

    Attributes:
        revision: grows with every edit of name and notes.
        classes: names in the order of the label index; empty where the head is yet to be made.
        starting_weights: what the weights have learned from before any run here.
        weights_digest: sha256 of the safetensors; None for a builtin model, which the trainer builds.
        configuration_digest: sha256 of MMDetection's configuration as JSON.
        leak_allowed: its dataset holds identical images in two parts, so its figures flatter it.
        dataset_version_digest: of the content that it learned from; None of models older than such records.
        environment: what trained it: code, libraries, machine.
        package: that it came in from another platform.
    """

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
    valid: Figures | None
    test: Figures | None
    reported: ReportedFigures | None
    leak_allowed: bool
    lineage: Lineage
    parameters: dict[str, Any] | None
    checkpoint: CheckpointReport | None
    environment: dict[str, str]
    created_by: str
    created_at: datetime
    dataset_version_digest: str | None = None
    package: PackageOrigin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTrainedModel:
    """What a training run made. The blobs are stored before.

    Attributes:
        name: its run's.
        weights_digest: sha256 of the safetensors in the blob store.
        configuration_digest: sha256 of the configuration as JSON in the blob store.
        leak_allowed: the dataset was imported with leaks allowed.
        dataset_version_digest: of the content that it learned from.
        created_by: who made its run; None: whoever stores it.
    """

    name: str
    architecture: str
    classes: list[str]
    starting_weights: StartingWeights | None
    weights_digest: str
    configuration_digest: str
    parameter_count: int
    valid: Figures
    test: Figures
    leak_allowed: bool
    base_model_id: UUID
    dataset_version_id: UUID
    dataset_version_name: str
    training_run_id: UUID
    training_run_name: str
    parameters: dict[str, Any]
    environment: dict[str, str]
    dataset_version_digest: str | None = None
    created_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPackagedModel:
    """A model of a package from another platform, verified. The blobs are stored before.

    Attributes:
        leak_allowed: as it was there.
        package: what is told of where it came from.
    """

    name: str
    architecture: str
    classes: list[str]
    starting_weights: StartingWeights | None
    weights_digest: str
    configuration_digest: str | None
    parameter_count: int | None
    leak_allowed: bool
    package: PackageOrigin
