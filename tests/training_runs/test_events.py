"""Events of a run: each thing once, in order, wherever the stream was cut, whichever server answers."""

import asyncio
import base64
import threading
import zlib
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI, Request
from httpx_sse import ServerSentEvent, connect_sse
from tests.metric_points import list_points
from tests.training_runs.test_execution import ScheduleRun, hold, make_checkpoint, record

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER, Actor, Claim
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.client.in_process import InProcessTransport
from raven_scan.kernel.errors import NotFound
from raven_scan.training_runs import events_api, events_wakeups
from raven_scan.training_runs.events_api import build_events_router
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
from raven_scan.training_runs.events_wakeups import RunWaker
from raven_scan.training_runs.types import CLASS_METRICS, MetricPoint, RunError, RunProgress, RunStatus

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


def make_client(app: FastAPI) -> httpx.Client:
    return httpx.Client(base_url="http://in-process", transport=InProcessTransport(app), timeout=60)


@pytest.fixture
def http(platform: Platform) -> Iterator[httpx.Client]:
    with make_client(build_app(platform, token=None, allow_server_paths=True)) as client:
        yield client


@contextmanager
def follow(
    http: httpx.Client, ref: str = "first", last_event_id: str | None = None, **parameters: Any
) -> Generator[Iterator[ServerSentEvent]]:
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
    points = list_points(platform, "first")
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


def test_wherever_it_is_cut_nothing_is_lost_and_nothing_is_told_twice(
    platform: Platform, schedule_run: ScheduleRun
):
    """By two servers in turn, while attempts are lost, and what they did after their last checkpoint is done again."""
    cuts = Random(11)  # noqa: S311 - it is to be the same each time
    run = schedule_run()

    def write() -> None:
        random = Random(7)  # noqa: S311
        step, log = 0, 0
        attempt = hold(platform, run)
        for lap in range(6):
            if lap > 0:
                attempt = hold(platform, run)
                kept = attempt.checkpoints[0] if attempt.checkpoints else None
                platform.execution.go_on_from(WORKER, attempt, kept)
                step = kept.step if kept else 0
            for _ in range(random.randint(3, 8)):
                count = random.randint(1, 60)
                lines = "".join(f"{log + each:06d}\n" for each in range(count)).encode()
                points = [
                    MetricPoint(name, each, lap, None if each % 7 == 0 else random.random())
                    for each in range(step + 1, step + count + 1)
                    for name in ("loss", "learning_rate")
                ]
                step, log = step + count, log + count
                points.append(MetricPoint("valid/map", step, lap, random.random()))
                is_kept = random.random() < 0.3
                record(
                    platform,
                    attempt,
                    points=points,
                    log=lines,
                    progress=RunProgress(step=step),
                    checkpoint=make_checkpoint(platform, step) if is_kept else None,
                )
            if lap < 5:
                platform.execution.hand_back(WORKER, attempt, "stopped")
        platform.execution.fail(WORKER, attempt, ERROR)

    writer = threading.Thread(target=write)
    reader, last_id, connections = Reader(), None, 0
    with ExitStack() as stack:
        servers = [
            stack.enter_context(make_client(build_app(platform, token=None, allow_server_paths=True)))
            for _ in range(2)
        ]
        writer.start()
        while reader.end is None:
            connections += 1
            assert connections < 1000
            with follow(servers[connections % 2], last_event_id=last_id, log="true") as events:
                for event in islice(events, cuts.randint(1, 3)):
                    reader.take(read(event))
                    last_id = event.id
        writer.join()
    assert connections > 5
    assert reader.points == list_stored(platform)
    assert reader.log == "".join(f"{number:06d}\n" for number in range(reader.log_offset // 7)), (
        "the log as it was told"
    )
    assert reader.log_offset == platform.training_runs.read_log(ADMIN, "first", 0, 1).size_bytes
    assert reader.runs[-1].run.status is RunStatus.ERROR


def test_points_that_were_removed_are_told_to_whom_they_were_told(
    platform: Platform, schedule_run: ScheduleRun, http: httpx.Client
):
    run = schedule_run()
    attempt = hold(platform, run)
    record(platform, attempt, points=make_points(range(1, 4)), checkpoint=make_checkpoint(platform, 3))
    record(platform, attempt, points=make_points(range(4, 7)))
    with follow(http) as events:
        next(events)
        told = next(events)
        assert isinstance(read(told), MetricsEvent)
    platform.execution.hand_back(WORKER, attempt, "stopped")
    again = hold(platform, run)
    platform.execution.go_on_from(WORKER, again, again.checkpoints[0])
    # Further than before already, when its reader comes back.
    record(platform, again, points=make_points(range(4, 10), value=2.0))
    reader = Reader(
        points={(name, step): 1.0 * step for name in ("loss", "learning_rate") for step in range(1, 7)}
    )
    with follow(http, last_event_id=told.id) as events:
        for event in islice(events, 3):
            reader.take(read(event))
    assert reader.resets == [3]
    assert reader.points == list_stored(platform)


def test_metrics_by_class_are_told_once_however_many_and_whatever_they_are_called(
    platform: Platform, schedule_run: ScheduleRun, http: httpx.Client
):
    run = schedule_run()
    attempt = hold(platform, run)
    # No header of HTTP would hold their names, nor some of their characters.
    names = [
        "a/b",
        "Plastik\u00a0\u200bm\u00fcll",
        "\u202eright to left",
        *(f"{index:03} " + "x" * 190 for index in range(100)),
    ]

    def tell(step: int) -> None:
        points = [
            MetricPoint(f"{CLASS_METRICS}{name}", step, 0, None if step == 2 else 0.5) for name in names
        ]
        kept = make_checkpoint(platform, step) if step == 2 else None
        record(platform, attempt, points=[MetricPoint("loss", step, 0, 1.0), *points], checkpoint=kept)

    reader, last_id = Reader(), ""
    for step in range(1, 5):
        tell(step)
        with follow(http, last_event_id=last_id or None) as events:
            for event in events:
                reader.take(read(event))
                last_id = event.id
                if ("loss", step) in reader.points:
                    break
        assert len(last_id) < 400
    assert reader.points == list_stored(platform)
    assert len(reader.points) == 4 * (len(names) + 1)
    # An attempt that goes on from an earlier step tells them again.
    platform.execution.hand_back(WORKER, attempt, "stopped")
    attempt = hold(platform, run)
    platform.execution.go_on_from(WORKER, attempt, attempt.checkpoints[0])
    tell(3)
    with follow(http, last_event_id=last_id) as events:
        for event in events:
            reader.take(read(event))
            if reader.resets and ("loss", 3) in reader.points:
                break
    assert reader.resets == [2]
    assert reader.points == list_stored(platform)
    assert len(reader.points) == 3 * (len(names) + 1)


def test_from_now_on_only_what_is_new_is_told(
    platform: Platform, schedule_run: ScheduleRun, http: httpx.Client
):
    attempt = hold(platform, schedule_run())
    record(platform, attempt, points=make_points(range(1, 100)), log=b"before\n")
    with follow(http, history="false", log="true") as events:
        assert isinstance(read(next(events)), RunEvent)
        record(platform, attempt, points=make_points(range(100, 101)), log=b"after\n")
        assert isinstance(metrics := read(next(events)), MetricsEvent)
        assert [series.steps for series in metrics.series] == [[100], [100]]
        assert isinstance(log := read(next(events)), LogEvent)
        assert (log.text, log.offset) == ("after\n", 7)


def test_a_run_that_is_deleted_ends_its_streams(
    platform: Platform, schedule_run: ScheduleRun, http: httpx.Client
):
    schedule_run()
    with follow(http) as events:
        assert isinstance(read(next(events)), RunEvent)
        platform.run_stewardship.delete(ADMIN, "first")
        *_, last = events
        assert read(last) == EndEvent(status=None)
    assert http.get("/api/v1/training-runs/first/events").status_code == 404


def test_who_may_not_see_runs_finds_none(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    nobody = Actor(id=uuid4(), name="nobody", claims=frozenset(Claim) - {Claim.TRAINING_RUN_VIEW})
    with pytest.raises(NotFound):
        platform.run_events.open(nobody, "first", None, has_history=True)
    _, place = platform.run_events.open(ADMIN, "first", None, has_history=True)
    with pytest.raises(NotFound):
        platform.run_events.look(nobody, run.id, place, has_metrics=True, has_log=True)


@pytest.mark.parametrize("event_id", ["", "x", "é", "AAAA", "q" * 5000, "bombs"])
def test_an_id_that_is_none_is_refused(
    platform: Platform, schedule_run: ScheduleRun, http: httpx.Client, event_id: str
):
    schedule_run()
    platform.run_control.cancel(ADMIN, "first")
    if event_id == "bombs":
        packed = zlib.compress(b"\x91" + bytes(50_000_000), 9, wbits=-15)
        event_id = base64.urlsafe_b64encode(packed[:30_000]).decode()
    headers = {b"Last-Event-ID": event_id.encode("latin-1")}
    answer = http.get("/api/v1/training-runs/first/events", headers=headers)
    if event_id:
        assert (answer.status_code, answer.json()["code"]) == (422, "training_run.bad_event_id")
    else:
        assert answer.status_code == 200


def test_the_place_in_one_run_is_none_in_another(
    platform: Platform, schedule_run: ScheduleRun, http: httpx.Client
):
    for name in ("first", "second"):
        schedule_run(name=name)
        platform.run_control.cancel(ADMIN, name)
    with follow(http, "first") as events:
        *_, last = events
    answer = http.get("/api/v1/training-runs/second/events", headers={"Last-Event-ID": last.id})
    assert answer.status_code == 422


def test_who_is_signed_out_is_told_nothing_more(
    platform: Platform, schedule_run: ScheduleRun, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(events_api, "_CHECK_INTERVAL_S", 0.2)
    attempt = hold(platform, schedule_run())
    admitted = threading.Event()
    admitted.set()

    async def is_admitted(_: Request) -> bool:
        return admitted.is_set()

    app = FastAPI()
    waker = RunWaker(platform.database)
    app.include_router(build_events_router(platform.run_events, waker, lambda: ADMIN, is_admitted))
    with make_client(app) as client, follow(client) as events:
        assert isinstance(read(next(events)), RunEvent)
        record(platform, attempt, points=make_points(range(1, 2)))
        assert MetricsEvent in (type(read(event)) for event in events)
        admitted.clear()
        assert list(events) == []


def test_readers_are_woken_though_nobody_listens(
    platform: Platform, schedule_run: ScheduleRun, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(events_wakeups, "EVENTS_CHANNEL", "nobody_tells_of_this")
    monkeypatch.setattr(events_api, "_CHECK_INTERVAL_S", 0.3)
    attempt = hold(platform, schedule_run())
    with follow(http) as events:
        next(events)
        record(platform, attempt, points=make_points(range(1, 2)))
        assert MetricsEvent in (type(read(event)) for event in events)


def test_many_readers_share_looks_and_hold_no_connection(platform: Platform, schedule_run: ScheduleRun):
    attempt = hold(platform, schedule_run())
    app = build_app(platform, token=None, allow_server_paths=True)
    count = 200

    async def read_along() -> list[list[bytes]]:
        told: list[list[bytes]] = [[] for _ in range(count)]
        have_begun = asyncio.Event()

        async def follow_alone(number: int) -> None:
            async def receive() -> dict[str, Any]:
                await asyncio.Event().wait()
                raise AssertionError

            async def send(message: dict[str, Any]) -> None:
                told[number].append(message.get("body", b""))
                if all(len(each) > 1 for each in told):
                    have_begun.set()

            path = "/api/v1/training-runs/first/events"
            scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.4"},
                "http_version": "1.1",
                "method": "GET",
                "scheme": "http",
                "path": path,
                "raw_path": path.encode(),
                "query_string": b"",
                "root_path": "",
                "headers": [],
                "server": ("in-process", 80),
                "client": ("127.0.0.1", 0),
            }
            await app(scope, receive, send)  # type: ignore[arg-type]

        readers = [asyncio.create_task(follow_alone(number)) for number in range(count)]
        await asyncio.wait_for(have_begun.wait(), 60)
        await asyncio.to_thread(record, platform, attempt, points=make_points(range(1, 50)))
        in_use = platform.database.engine.pool.checkedout()  # type: ignore[attr-defined]
        await asyncio.to_thread(platform.execution.fail, WORKER, attempt, ERROR)
        await asyncio.wait_for(asyncio.gather(*readers), 60)
        assert in_use <= 10
        return told

    for each in asyncio.run(read_along()):
        assert b"event: end" in b"".join(each)
        assert b"".join(each).count(b"event: metrics\n") == 1
