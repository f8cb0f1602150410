"""Metrics for charts: fewer points, of which none that stands out is missing; and all of them, for downloads."""

import math
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from tests.training_runs.test_events import http
from tests.training_runs.test_execution import ScheduleRun, hold, record

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.wiring import Platform
from raven_scan.training_runs import metric_history
from raven_scan.training_runs.metric_thinning import choose_points
from raven_scan.training_runs.schemas import MetricsOut
from raven_scan.training_runs.types import CLASS_METRICS, MetricPoint

__all__ = ["http"]

STEPS = 5000
SPIKES = {777: 1e6, 3333: -1e6}


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    values=st.lists(st.one_of(st.just(math.nan), st.floats(-1e3, 1e3)), max_size=400),
    gaps=st.lists(st.integers(1, 50), min_size=400, max_size=400),
    most=st.integers(8, 100),
)
def test_what_stands_out_is_kept(values: list[float], gaps: list[int], most: int):
    series = np.array(values)
    steps = np.cumsum(gaps[: len(values)], dtype=np.int32)
    kept = choose_points(steps, series, most)
    assert len(kept) <= most
    assert list(kept) == sorted(set(kept))
    if not values:
        return
    assert {0, len(values) - 1} <= set(kept)
    assert np.isnan(series[kept]).any() == np.isnan(series).any()
    there = series[~np.isnan(series)]
    if len(there):
        assert np.nanmax(series[kept]) == there.max()
        assert np.nanmin(series[kept]) == there.min()


def fill(platform: Platform, schedule_run: ScheduleRun) -> Any:
    attempt = hold(platform, schedule_run())
    for first in range(1, STEPS + 1, 100):
        points = [
            MetricPoint(name, step, step // 1000, SPIKES.get(step, math.sin(step)) if step != 4000 else None)
            for step in range(first, first + 100)
            for name in ("loss", "learning_rate")
        ]
        points.append(MetricPoint("valid/map", first + 99, 0, 0.5))
        record(platform, attempt, points=points)
    return attempt


@pytest.mark.parametrize("has_outlines", [False, True])
def test_a_chart_of_a_long_run_shows_every_spike(
    platform: Platform,
    schedule_run: ScheduleRun,
    http: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    *,
    has_outlines: bool,
):
    if has_outlines:
        monkeypatch.setattr(metric_history, "_MOST_LOOKED_AT", 100)
    attempt = fill(platform, schedule_run)
    path = "/api/v1/training-runs/first/metrics"

    def read(**parameters: Any) -> MetricsOut:
        return MetricsOut.model_validate(http.get(path, params=parameters).raise_for_status().json())

    thinned = read(points=200)
    assert thinned.thinning is not None
    assert thinned.thinning.points == 200
    series = {each.name: each for each in thinned.series}
    assert list(series) == ["learning_rate", "loss", "valid/map"]
    loss = series["loss"]
    assert loss.is_thinned
    assert 50 <= len(loss.steps) <= 200
    assert (loss.steps[0], loss.steps[-1]) == (1, STEPS)
    assert loss.steps == sorted(set(loss.steps))
    told = dict(zip(loss.steps, loss.values, strict=True))
    assert {step: told.get(step) for step in SPIKES} == SPIKES
    assert 4000 in told
    assert told[4000] is None
    assert dict(zip(loss.steps, loss.epochs, strict=True))[3333] == 3
    assert len(series["valid/map"].steps) == 50

    part = read(points=50_000, name="loss", from_step=700, to_step=800)
    (loss,) = part.series
    assert (loss.steps[0] >= 700, loss.steps[-1] <= 800, 777 in loss.steps) == (True, True, True)

    # What is done again after a checkpoint is drawn once.
    platform.execution.go_on_from(WORKER, attempt, None)
    record(platform, attempt, points=[MetricPoint("loss", step, 0, 2.0) for step in range(1, 1500)])
    (loss,) = read(points=200).series
    assert set(loss.values) == {2.0}
    assert loss.steps[-1] == 1499
    with platform.database.transaction() as session:
        outlined = session.scalar(
            text("SELECT count(*) FROM training_run_metric_outlines WHERE value <> 2.0")
        )
    assert outlined == 0


def test_the_whole_history_comes_as_a_stream(
    platform: Platform, schedule_run: ScheduleRun, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(metric_history, "_STEPS_AT_ONCE", 999)
    fill(platform, schedule_run)
    whole = MetricsOut.model_validate(http.get("/api/v1/training-runs/first/metrics").json())
    assert whole.thinning is None
    loss = next(each for each in whole.series if each.name == "loss")
    assert loss.steps == list(range(1, STEPS + 1))
    assert loss.values[776] == 1e6
    assert loss.values[3999] is None
    assert not loss.is_thinned
    missing = http.get("/api/v1/training-runs/nothing/metrics")
    assert missing.status_code == 404
    assert http.get("/api/v1/training-runs/first/metrics", params={"points": 3}).status_code == 422


def test_a_run_without_metrics_has_none(create_run: Callable[..., Any], http: httpx.Client):
    create_run()
    for parameters in ({}, {"points": 100}):
        answer = http.get("/api/v1/training-runs/first/metrics", params=parameters).json()
        assert answer == {"series": [], "thinning": None}


def test_many_classes_do_not_make_a_run_long(
    platform: Platform, schedule_run: ScheduleRun, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(metric_history, "_MOST_LOOKED_AT", STEPS)
    attempt = hold(platform, schedule_run())
    names = [f"{CLASS_METRICS}{index}" for index in range(30)]
    # Every ten steps a validation: outlines would keep two in 64 steps.
    points = [
        MetricPoint(name, step, step // 10, step / STEPS) for step in range(10, 2001, 10) for name in names
    ]
    record(platform, attempt, points=points)
    histories = platform.run_metrics.read_thinned(LOCAL_ADMINISTRATOR, "first", [], points=300)
    assert [len(each.steps) for each in histories] == [200] * len(names)
    assert not any(each.is_thinned for each in histories)
