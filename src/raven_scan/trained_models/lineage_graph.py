"""What a lineage is made of: models, the runs that made them, the dataset versions that these learned from."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from raven_scan.trained_models.types import Origin, Stage


class NodeKind(StrEnum):
    TRAINED_MODEL = "trained_model"
    TRAINING_RUN = "training_run"
    DATASET_VERSION = "dataset_version"


class Presence(StrEnum):
    """Whether something is still to be had.

    Hidden: the asker may not see more than its name. Elsewhere: on the platform that a package came from.
    """

    THERE = "there"
    IN_TRASH = "in_trash"
    DELETED = "deleted"
    HIDDEN = "hidden"
    ELSEWHERE = "elsewhere"


class Relation(StrEnum):
    """How one thing led to the next: the run began from it, learned from it, or made it; a package carried it over."""

    BASE_MODEL = "base_model"
    DATASET_VERSION = "dataset_version"
    MADE = "made"
    PACKED = "packed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """Of a model.

    Attributes:
        stage, created_by: None of one that is elsewhere.
        checkpoint: of an imported one: the file's name, and where it was pulled from.
        weights_digest, configuration_digest: sha256.
    """

    origin: Origin
    stage: Stage | None
    architecture: str
    checkpoint: str | None
    weights_digest: str | None
    configuration_digest: str | None
    test_map50: float | None
    created_by: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Of a run that made a model.

    Attributes:
        parameters: as they were decided, seed included.
        environment: code, libraries and machine of the attempt that succeeded.
        attempt_count: None where the run is gone.
    """

    parameters: dict[str, Any]
    environment: dict[str, str]
    attempt_count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """Of a dataset version. `digest`: of its content; None where it is gone, and nobody wrote it down."""

    digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageNode:
    """One thing.

    Attributes:
        id: unique in the graph.
        ref: its own id; None where only its name is known.
        is_subject: whose lineage this is.
        trained_model, training_run, dataset_version: by `kind`; None where it is gone or hidden.
    """

    id: str
    kind: NodeKind
    ref: UUID | None
    name: str
    presence: Presence
    is_subject: bool = False
    trained_model: ModelFacts | None = None
    training_run: RunFacts | None = None
    dataset_version: VersionFacts | None = None


@dataclass(frozen=True, slots=True)
class LineageEdge:
    """From what was before to what came of it; both are ids of nodes."""

    source: str
    target: str
    relation: Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageGraph:
    """Up to the roots, and down to all descendants.

    Attributes:
        nodes: what was before comes first.
        is_cut: there are more descendants than are named.
    """

    nodes: list[LineageNode]
    edges: list[LineageEdge]
    is_cut: bool = False
