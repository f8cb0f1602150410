"""Runs side by side: what differs, what they score, how they learned."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.kernel.errors import Invalid, NotFound
from raven_scan.training_runs.comparison import MOST
from raven_scan.training_runs.comparison_schemas import RunComparisonOut
from raven_scan.training_runs.types import RunOptions, TrainingRunView

from .conftest import TINY
from .finished_runs import ENVIRONMENT, finish_run

ADMIN = LOCAL_ADMINISTRATOR
CreateRun = Callable[..., TrainingRunView]


def test_only_what_differs_is_said(platform: Platform, create_run: CreateRun):
    finish_run(platform, create_run("first"), test_map50=0.5)
    changed = TINY.model_copy(update={"seed": 7, "learning_rate": 0.5})
    finish_run(
        platform,
        create_run("second", parameters=changed, options=RunOptions(priority=3)),
        test_map50=0.6,
        environment={**ENVIRONMENT, "torch": "3.0.0"},
    )
    create_run("draft", base_model="first")
    compared = platform.run_comparisons.compare_runs(ADMIN, ["first", "second", "draft"])
    first_rate = platform.training_runs.get_run(ADMIN, "first").parameters.learning_rate
    weights = platform.trained_models.get_model(ADMIN, "first").weights_digest
    differences = {(each.group, each.name): each.values for each in compared.differences}
    draft_rate = platform.training_runs.get_run(ADMIN, "draft").parameters.learning_rate
    assert differences.pop(("parameters", "learning_rate")) == [first_rate, 0.5, draft_rate]
    differences.pop(("parameters", "frozen_stages"), None)  # decided by what the base model has learned
    assert differences == {
        ("inputs", "base_model"): ["yolox-nano", "yolox-nano", "first"],
        ("inputs", "base_weights_digest"): [None, None, weights],
        ("parameters", "seed"): [0, 7, 0],
        ("options", "priority"): [0, 3, 0],
        # Nothing has computed the Draft yet.
        ("environment", "torch"): ["2.14.1", "3.0.0", None],
    }
    assert [run.has_environment for run in compared.runs] == [True, True, False]
    figures = {(each.part, each.name): each for each in compared.figures}
    assert set(figures) == {(part, name) for part in ("valid", "test") for name in ("map", "map50")}
    test_map50 = figures["test", "map50"]
    assert test_map50.values == [0.5, 0.6, None]
    assert test_map50.differences[0] == 0
    assert test_map50.differences[1] == pytest.approx(0.1)
    assert test_map50.differences[2] is None


def test_runs_that_are_alike_differ_in_nothing(platform: Platform, create_run: CreateRun):
    create_run("first")
    create_run("second")
    compared = platform.run_comparisons.compare_runs(ADMIN, ["first", "second"])
    assert compared.differences == []
    assert compared.figures == []
    assert compared.curves == []


def test_curves_are_laid_over_each_other_over_rest(platform: Platform, create_run: CreateRun):
    finish_run(platform, create_run("first"), losses=[float(step) for step in range(1000)])
    finish_run(platform, create_run("second"), losses=[3.0, float("nan"), 1.0])
    create_run("draft")
    path = "/api/v1/training-runs/first/comparison"
    with TestClient(build_app(platform, token=None, allow_server_paths=False)) as client:
        answer = client.get(path, params={"with": ["second", "draft"], "metric": "loss", "points": 16})
        assert client.get(path).status_code == 422
        assert client.get(path, params={"with": "nobody"}).status_code == 404
    assert answer.status_code == 200
    content = RunComparisonOut.model_validate(answer.json())
    assert content.model_dump(mode="json") == answer.json()
    (curve,) = content.curves
    assert curve.metric == "loss"
    first, second, draft = curve.series
    assert first is not None
    assert first.is_thinned
    assert (first.steps[0], first.steps[-1]) == (1, 1000)
    assert len(first.steps) <= 16
    assert second is not None
    assert second.values == [3.0, None, 1.0]
    assert draft is None


def test_a_comparison_needs_two_to_ten_different_runs(platform: Platform, create_run: CreateRun):
    names = [create_run(f"run-{number}").name for number in range(MOST + 1)]
    compare = platform.run_comparisons.compare_runs
    assert len(compare(ADMIN, names[:MOST]).runs) == MOST
    for wrong in (names[:1], names, [names[0], names[1], names[0]]):
        with pytest.raises(Invalid) as refused:
            compare(ADMIN, wrong)
        assert refused.value.code == "training_run.bad_comparison"
    with pytest.raises(NotFound):
        compare(ADMIN, [names[0], "nobody"])
