"""Lineage and verification over REST."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from raven_scan.kernel.verification import Verdict
from raven_scan.trained_models.lineage_graph import NodeKind, Presence, Relation
from raven_scan.trained_models.types import Origin, Stage


class _Schema(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ModelFactsOut(_Schema):
    """`checkpoint`: what an imported model was read from. Stage and creator are null of one that is elsewhere."""

    origin: Origin
    stage: Stage | None
    architecture: str
    checkpoint: str | None
    weights_digest: str | None
    configuration_digest: str | None
    test_map50: float | None
    created_by: str | None
    created_at: datetime


class RunFactsOut(_Schema):
    """`environment`: code, libraries and machine; `attempt_count` is null where the run is gone."""

    parameters: dict[str, Any]
    environment: dict[str, str]
    attempt_count: int | None


class VersionFactsOut(_Schema):
    """`digest`: of its content; null where nobody wrote it down."""

    digest: str | None


class LineageNodeOut(_Schema):
    """A model, a run or a dataset version. Facts are null of the other kinds, and of what is gone or hidden."""

    id: str = Field(description="Unique in the graph; edges name it.")
    kind: NodeKind
    ref: UUID | None = Field(description="Its own id; null where only its name is known.")
    name: str
    presence: Presence = Field(
        description="Hidden: you may not see more than its name. Elsewhere: on the platform that a package came from."
    )
    is_subject: bool
    trained_model: ModelFactsOut | None
    training_run: RunFactsOut | None
    dataset_version: VersionFactsOut | None


class LineageEdgeOut(_Schema):
    """From what was before to what came of it."""

    source: str
    target: str
    relation: Relation


class LineageGraphOut(_Schema):
    """Up to the roots, and down to all descendants. `is_cut`: there are more descendants than are named."""

    nodes: list[LineageNodeOut]
    edges: list[LineageEdgeOut]
    is_cut: bool


class VerifiedItemOut(_Schema):
    """One thing that was looked at; `count`: how many files or records it stands for."""

    item: str
    verdict: Verdict
    message: str
    digest: str | None
    count: int
    hint: str


class ModelProofOut(_Schema):
    """`is_good`: nothing is damaged or missing."""

    model_id: UUID
    model_name: str
    is_good: bool
    items: list[VerifiedItemOut]
