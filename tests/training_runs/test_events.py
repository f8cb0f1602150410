"""Events of a run: each thing once, in order, wherever the stream was cut, whichever server answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, connect_sse
from tests.training_runs.test_execution import ScheduleRun, hold, record

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.client.in_process import InProcessTransport
from raven_scan.training_runs.events_schemas import (
    RUN_EVENT,
    AnyRunEvent,
    EndEvent,
    LogEvent,
    MetricsEvent,
    MetricsResetEvent,
    ProgressEvent,
    RunEvent,
)
from raven_scan.training_runs.types import MetricPoint, RunError, RunProgress, RunStatus

ADMIN = LOCAL_ADMINISTRATOR
ERROR = RunError(code="crashed", message="It crashed.", hint="Look at the log.")


@dataclass
class Reader:
    """What somebody knows who takes every event in."""

    runs: list[RunEvent] = field(default_factory=list[RunEvent])
    progress: list[ProgressEvent] = field(default_factory=list[ProgressEvent])
    points: dict[tuple[str, int], float | None] = field(default_factory=dict[tuple[str, int], float | None])
    log: str = ""
    log_offset: int = 0
    resets: list[int] = field(default_factory=list[int])
    end: EndEvent | None = None

    def take(self, event: AnyRunEvent) -> None:
        match event:
            case RunEvent():
                assert not self.runs or self.runs[-1] != event, "told twice"
                self.runs.append(event)
            case ProgressEvent():
                self.progress.append(event)
            case MetricsEvent():
                for series in event.series:
                    for step, value in zip(series.steps, series.values, strict=True):
                        assert (series.name, step) not in self.points, "told twice"
                        self.points[series.name, step] = value
            case MetricsResetEvent():
                self.resets.append(event.step)
                self.points = {key: value for key, value in self.points.items() if key[1] <= event.step}
            case LogEvent():
                assert event.offset == self.log_offset, "lost or told twice"
                self.log += event.text
                self.log_offset = event.next_offset
            case EndEvent():
                self.end = event


@pytest.fixture
def http(platform: Platform) -> Iterator[httpx.Client]:
    app = build_app(platform, token=None, allow_server_paths=True)
    with httpx.Client(base_url="http://in-process", transport=InProcessTransport(app), timeout=60) as client:
        yield client


@contextmanager
def follow(
    http: httpx.Client, ref: str = "first", last_event_id: str | None = None, **parameters: Any
) -> Iterator[Iterator[ServerSentEvent]]:
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    with connect_sse(
        http, "GET", f"/api/v1/training-runs/{ref}/events", headers=headers, params=parameters
    ) as source:
        source.response.raise_for_status()
        yield source.iter_sse()


def read(event: ServerSentEvent) -> AnyRunEvent:
    described = RUN_EVENT.validate_json(event.data)
    assert event.event == described.event
    return described


def make_points(steps: range, value: float = 1.0) -> list[MetricPoint]:
    return [MetricPoint(name, step, 1, value * step) for step in steps for name in ("loss", "learning_rate")]


def list_stored(platform: Platform) -> dict[tuple[str, int], float | None]:
    points = platform.training_runs.list_metrics(ADMIN, "first", [])
    return {(point.name, point.step): point.value for point in points}


def test_what_is_there_comes_first_and_then_what_is_new_until_it_rests(
    platform: Platform, schedule_run: ScheduleRun, http: httpx.Client
):
    run = schedule_run()
    attempt = hold(platform, run)
    record(platform, attempt, points=make_points(range(1, 4)), log=b"one\n")
    with follow(http, log="true") as events:
        assert isinstance(first := read(next(events)), RunEvent)
        assert first.run.status is RunStatus.PROCESSING
        assert isinstance(metrics := read(next(events)), MetricsEvent)
        assert {series.name: series.steps for series in metrics.series} == {
            "learning_rate": [1, 2, 3],
            "loss": [1, 2, 3],
        }
        assert isinstance(log := read(next(events)), LogEvent)
        assert (log.text, log.offset, log.next_offset) == ("one\n", 0, 4)
        record(platform, attempt, progress=RunProgress(phase="training", step=4))
        assert isinstance(progress := read(next(events)), ProgressEvent)
        assert progress.progress.step == 4
        record(platform, attempt, points=make_points(range(4, 5)), log=b"two\n", progress=RunProgress(step=4))
        platform.execution.fail(WORKER, attempt, ERROR)
        reader = Reader(log="one\n", log_offset=4)
        last = None
        for last in events:
            reader.take(read(last))
        assert last is not None
    assert reader.end == EndEvent(status=RunStatus.ERROR)
    assert reader.runs[-1].run.status is RunStatus.ERROR
    assert reader.log == "one\ntwo\n"
    assert set(reader.points) == {("loss", 4), ("learning_rate", 4)}
    # A browser comes back by itself, and is told that there is nothing to come back for.
    again = http.get(
        "/api/v1/training-runs/first/events", headers={"Last-Event-ID": last.id}, params={"log": "true"}
    )
    assert again.status_code == 204


def test_a_run_that_is_tried_again_goes_on_in_the_same_stream(
    platform: Platform, schedule_run: ScheduleRun, http: httpx.Client
):
    attempt = hold(platform, schedule_run())
    record(platform, attempt, points=make_points(range(1, 6)))
    platform.execution.fail(WORKER, attempt, ERROR)
    with follow(http) as events:
        *_, last = events
    platform.run_control.retry(ADMIN, "first", from_start=True)
    with follow(http, last_event_id=last.id) as events:
        assert isinstance(read(next(events)), RunEvent)
        assert read(next(events)) == MetricsResetEvent(step=-1)
