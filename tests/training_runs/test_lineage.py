"""Where models come from, and what came of them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from sqlalchemy import text

from raven_scan.access.types import LOCAL_ADMINISTRATOR, Actor, Claim
from raven_scan.app.wiring import Platform
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.kernel.errors import NotFound
from raven_scan.kernel.ids import make_id
from raven_scan.trained_models.lineage_graph import LineageGraph, LineageNode, NodeKind, Presence
from raven_scan.trained_models.types import NewPackagedModel, Origin, PackageOrigin, PackageStep
from raven_scan.training_runs.types import TrainingRunView

from .finished_runs import ENVIRONMENT, finish_run

ADMIN = LOCAL_ADMINISTRATOR
CreateRun = Callable[..., TrainingRunView]
LONG_AHEAD = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def family(platform: Platform, create_run: CreateRun) -> None:
    """first, its children second and other, and third, which is second's."""
    for name, base_model in (
        ("first", "yolox-nano"),
        ("second", "first"),
        ("other", "first"),
        ("third", "second"),
    ):
        finish_run(platform, create_run(name, base_model=base_model))


def list_edges(graph: LineageGraph) -> set[tuple[str, str, str]]:
    names = {node.id: f"{node.kind}:{node.name}" for node in graph.nodes}
    return {(names[edge.source], names[edge.target], edge.relation) for edge in graph.edges}


def find(graph: LineageGraph, kind: NodeKind, name: str) -> LineageNode:
    return next(node for node in graph.nodes if (node.kind, node.name) == (kind, name))


@pytest.mark.usefixtures("family")
def test_a_lineage_goes_up_to_the_root_and_down_to_all_descendants(
    platform: Platform, dataset: DatasetVersionView
):
    graph = platform.lineage.get_lineage(ADMIN, "second")
    expected: set[tuple[str, str, str]] = set()
    for base_model, name in (("yolox-nano", "first"), ("first", "second"), ("second", "third")):
        expected |= {
            (f"trained_model:{base_model}", f"training_run:{name}", "base_model"),
            ("dataset_version:squares@1", f"training_run:{name}", "dataset_version"),
            (f"training_run:{name}", f"trained_model:{name}", "made"),
        }
    assert list_edges(graph) == expected  # the sibling of second is none of its ancestors or descendants
    assert len(graph.nodes) == 8
    assert [node.name for node in graph.nodes if node.is_subject] == ["second"]
    assert all(node.presence is Presence.THERE for node in graph.nodes)
    assert graph.nodes[0].name == "yolox-nano"
    run = find(graph, NodeKind.TRAINING_RUN, "first").training_run
    assert run is not None
    assert run.parameters["seed"] == 0
    assert run.environment == ENVIRONMENT
    assert run.attempt_count == 1
    version = find(graph, NodeKind.DATASET_VERSION, "squares@1").dataset_version
    assert version is not None
    assert version.digest == dataset.digest
    assert {node.name for node in platform.lineage.get_lineage(ADMIN, "yolox-nano").nodes} >= {
        "other",
        "third",
    }


@pytest.mark.usefixtures("family")
def test_a_lineage_says_what_is_gone(platform: Platform, dataset: DatasetVersionView):
    platform.model_stewardship.delete(ADMIN, "third")
    platform.run_stewardship.delete(ADMIN, "second")
    graph = platform.lineage.get_lineage(ADMIN, "second")
    assert find(graph, NodeKind.TRAINED_MODEL, "third").presence is Presence.IN_TRASH
    assert find(graph, NodeKind.TRAINING_RUN, "second").presence is Presence.IN_TRASH
    platform.run_stewardship.purge(ADMIN, LONG_AHEAD)
    with platform.database.transaction() as session:
        # As if everything had been purged that a deletion refuses as long as it is in use.
        session.execute(text("DELETE FROM dataset_versions"))
        session.execute(text("DELETE FROM trained_models WHERE name = 'first'"))
    graph = platform.lineage.get_lineage(ADMIN, "second")
    run = find(graph, NodeKind.TRAINING_RUN, "second")
    assert run.presence is Presence.DELETED
    assert run.training_run is not None
    assert run.training_run.environment == ENVIRONMENT  # its model keeps it
    version = find(graph, NodeKind.DATASET_VERSION, "squares@1")
    assert version.presence is Presence.DELETED
    assert version.dataset_version is not None
    assert version.dataset_version.digest == dataset.digest
    first = find(graph, NodeKind.TRAINED_MODEL, "first")
    assert (first.presence, first.trained_model) == (Presence.DELETED, None)


@pytest.mark.usefixtures("family")
def test_what_somebody_may_not_see_has_no_more_than_its_name(platform: Platform):
    platform.run_stewardship.delete(ADMIN, "second")
    graph = platform.lineage.get_lineage(
        Actor(make_id(), "somebody", frozenset({Claim.TRAINED_MODEL_VIEW})), "second"
    )
    hidden = [node for node in graph.nodes if node.kind is not NodeKind.TRAINED_MODEL]
    assert {node.name for node in hidden} == {"squares@1", "first", "second", "third"}
    for node in hidden:
        assert node.presence is Presence.HIDDEN
        assert node.training_run is None
        assert node.dataset_version is None
    with pytest.raises(NotFound):
        platform.lineage.get_lineage(Actor(make_id(), "nobody", frozenset()), "second")


def test_starting_weights_come_from_nothing(platform: Platform):
    graph = platform.lineage.get_lineage(ADMIN, "yolox-nano")
    assert [node.name for node in graph.nodes] == ["yolox-nano"]
    assert graph.edges == []


def test_a_lineage_goes_on_where_a_package_came_from(platform: Platform, create_run: CreateRun):
    def make_step(name: str, origin: Origin, **of_run: Any) -> PackageStep:
        return PackageStep(
            platform="theirs",
            id=make_id(),
            name=name,
            origin=origin,
            architecture="yolox-nano",
            created_at=LONG_AHEAD,
            **of_run,
        )

    of_run = {"dataset_version": "dunes@3", "dataset_digest": "abc", "parameters": {"seed": 9}}
    platform.trained_models.create_from_package(
        ADMIN,
        NewPackagedModel(
            name="packed",
            architecture="yolox-nano",
            classes=["waste"],
            starting_weights=None,
            weights_digest=platform.blobs.put_bytes(save({"weight": np.ones(3, np.float32)})),
            configuration_digest=None,
            parameter_count=3,
            leak_allowed=False,
            package=PackageOrigin(
                key_name="theirs",
                key_fingerprint="theirs",
                manifest_digest="0" * 64,
                platform_version="0.1.0",
                models=[
                    make_step("sand", Origin.TRAINED, training_run="sand run", base_model="beach", **of_run),
                    make_step("beach", Origin.TRAINED, training_run="beach run", base_model="gone", **of_run),
                ],
                valid=None,
                test=None,
            ),
        ),
    )
    finish_run(platform, create_run("child", base_model="packed"))
    graph = platform.lineage.get_lineage(ADMIN, "child")
    theirs = {
        (source, target, relation)
        for source, target, relation in list_edges(graph)
        if "child" not in source + target
    }
    assert theirs == {
        ("trained_model:gone", "training_run:beach run", "base_model"),
        ("dataset_version:dunes@3", "training_run:beach run", "dataset_version"),
        ("training_run:beach run", "trained_model:beach", "made"),
        ("trained_model:beach", "training_run:sand run", "base_model"),
        ("dataset_version:dunes@3", "training_run:sand run", "dataset_version"),
        ("training_run:sand run", "trained_model:sand", "made"),
        ("trained_model:sand", "trained_model:packed", "packed"),
    }
    assert find(graph, NodeKind.TRAINED_MODEL, "sand").presence is Presence.ELSEWHERE
    run = find(graph, NodeKind.TRAINING_RUN, "sand run").training_run
    assert run is not None
    assert run.parameters == {"seed": 9}
    assert find(graph, NodeKind.TRAINED_MODEL, "packed").presence is Presence.THERE
