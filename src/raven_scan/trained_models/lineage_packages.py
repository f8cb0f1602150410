"""What a model was on other platforms before it came in by a package, as that told it."""

from raven_scan.trained_models.lineage_graph import (
    LineageEdge,
    LineageNode,
    ModelFacts,
    NodeKind,
    Presence,
    Relation,
    RunFacts,
    VersionFacts,
)
from raven_scan.trained_models.types import PackageOrigin, PackageStep


def draw_package(
    package: PackageOrigin, *, shows_runs: bool, shows_versions: bool
) -> tuple[list[LineageNode], list[LineageEdge]]:
    """Nodes and edges of all that is elsewhere; the last node is the model that was packed.

    Args:
        package: that a model came in.
        shows_runs: else they have names alone.
        shows_versions: else they have names alone.
    """
    nodes: list[LineageNode] = []
    edges: list[LineageEdge] = []
    before: str | None = None
    for step in reversed(package.models):
        id_ = _make_id(NodeKind.TRAINED_MODEL, step)
        if step.training_run is None:
            if before is not None:  # it came in by a package there, too
                edges.append(LineageEdge(before, id_, Relation.PACKED))
        else:
            run_nodes, run_edges = _draw_run(
                step, step.training_run, before, shows_runs=shows_runs, shows_versions=shows_versions
            )
            nodes += run_nodes
            edges += [
                *run_edges,
                LineageEdge(_make_id(NodeKind.TRAINING_RUN, step), id_, Relation.MADE),
            ]
        nodes.append(_make_model(step, id_))
        before = id_
    return nodes, edges


def _draw_run(
    step: PackageStep, run: str, base_id: str | None, *, shows_runs: bool, shows_versions: bool
) -> tuple[list[LineageNode], list[LineageEdge]]:
    """The run that made a model, with what it was made of. `base_id`: its base model's node, where there is one."""
    nodes: list[LineageNode] = []
    edges: list[LineageEdge] = []
    id_ = _make_id(NodeKind.TRAINING_RUN, step)
    if base_id is None and step.base_model is not None:
        base_id = f"{_make_id(NodeKind.TRAINED_MODEL, step)}:base"
        nodes.append(_make_node(base_id, NodeKind.TRAINED_MODEL, step.base_model))
    if base_id is not None:
        edges.append(LineageEdge(base_id, id_, Relation.BASE_MODEL))
    if step.dataset_version is not None:
        # A name may have been given again there, to another content.
        version_id = (
            f"{NodeKind.DATASET_VERSION}:{step.platform}:{step.dataset_version}:{step.dataset_digest or ''}"
        )
        facts = VersionFacts(digest=step.dataset_digest) if shows_versions else None
        nodes.append(
            _make_node(version_id, NodeKind.DATASET_VERSION, step.dataset_version, dataset_version=facts)
        )
        edges.append(LineageEdge(version_id, id_, Relation.DATASET_VERSION))
    facts = (
        RunFacts(parameters=step.parameters or {}, environment=step.environment, attempt_count=None)
        if shows_runs
        else None
    )
    nodes.append(_make_node(id_, NodeKind.TRAINING_RUN, run, training_run=facts))
    return nodes, edges


def _make_model(step: PackageStep, id_: str) -> LineageNode:
    return LineageNode(
        id=id_,
        kind=NodeKind.TRAINED_MODEL,
        ref=step.id,
        name=step.name,
        presence=Presence.ELSEWHERE,
        trained_model=ModelFacts(
            origin=step.origin,
            stage=None,
            architecture=step.architecture,
            checkpoint=step.checkpoint_url or step.checkpoint,
            weights_digest=step.weights_digest,
            configuration_digest=None,
            test_map50=None,
            created_by=None,
            created_at=step.created_at,
        ),
    )


def _make_node(
    id_: str,
    kind: NodeKind,
    name: str,
    *,
    training_run: RunFacts | None = None,
    dataset_version: VersionFacts | None = None,
) -> LineageNode:
    return LineageNode(
        id=id_,
        kind=kind,
        ref=None,
        name=name,
        presence=Presence.ELSEWHERE,
        training_run=training_run,
        dataset_version=dataset_version,
    )


def _make_id(kind: NodeKind, step: PackageStep) -> str:
    return f"{kind}:{step.platform}:{step.id}"
