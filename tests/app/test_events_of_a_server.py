"""Events of a run over a real server: one that is killed, and one that is asked to end."""

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import EventSource, connect_sse

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.wiring import Platform
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.progress import ignore_progress
from raven_scan.training_runs.attempt import Attempt
from raven_scan.training_runs.types import MetricPoint, RunProgress

from .conftest import Process

LONGEST_END_S = 4.0


def begin(platform: Platform, folder: Path) -> Attempt:
    platform.datasets.import_version(LOCAL_ADMINISTRATOR, folder, ImportOptions(name="tiny"), ignore_progress)
    platform.training_runs.create(
        LOCAL_ADMINISTRATOR,
        name="first",
        dataset="tiny",
        base_model="yolox-nano",
        parameters=TrainingParameters(epochs=2, image_size=64),
    )
    platform.training_runs.schedule(LOCAL_ADMINISTRATOR, "first")
    attempt = platform.execution.begin_next(WORKER, worker="elsewhere:1:0.00", free=["cpu"], capacity=["cpu"])
    assert attempt is not None
    return attempt


def tell(platform: Platform, attempt: Attempt, step: int) -> None:
    platform.execution.record(
        WORKER,
        attempt,
        progress=RunProgress(step=step),
        points=[MetricPoint("loss", step, 0, 1.0)],
        warnings=[],
        best=None,
        checkpoint=None,
        log=b"a line\n",
        log_position=7 * (step - 1),
    )


@contextmanager
def follow(document: Any, last_event_id: str = "") -> Generator[EventSource]:
    headers = {
        "Authorization": f"Bearer {Path(document['token_file']).read_text().strip()}",
        "Last-Event-ID": last_event_id,
    }
    url = f"{document['server']}/api/v1/training-runs/first/events"
    with (
        httpx.Client(timeout=60) as http,
        connect_sse(http, "GET", url, params={"log": "true"}, headers=headers) as source,
    ):
        assert source.response.headers["content-type"].startswith("text/event-stream")
        yield source


def test_a_server_is_killed_and_the_next_ends_in_time_while_somebody_reads(
    platform: Platform, start_raven: Callable[..., Process], sample_folder: Path
) -> None:
    attempt = begin(platform, sample_folder)
    servers = [start_raven("serve", "--port", "0", "--no-worker", "--json") for _ in range(2)]
    steps: list[int] = []
    lines, last_id = 0, ""
    with follow(servers[0].wait_for_document()) as source:
        events = source.iter_sse()
        for step in range(1, 4):
            tell(platform, attempt, step)
        try:
            for event in events:
                steps += [] if event.event != "metrics" else event.json()["series"][0]["steps"]
                lines += 0 if event.event != "log" else event.json()["text"].count("\n")
                last_id = event.id
                if lines >= 3 and len(steps) >= 3:
                    servers[0].end(signal.SIGKILL)
        except httpx.TransportError:
            pass
    tell(platform, attempt, 4)
    with follow(servers[1].wait_for_document(), last_id) as source:
        events = source.iter_sse()
        while lines < 4 or len(steps) < 4:
            event = next(events)
            steps += [] if event.event != "metrics" else event.json()["series"][0]["steps"]
            lines += 0 if event.event != "log" else event.json()["text"].count("\n")
        assert servers[1].end() < LONGEST_END_S
        assert list(events) == [], "ended as a stream ends, not cut off"
    assert steps == [1, 2, 3, 4]
    assert lines == 4
    assert "graceful" not in servers[1].err
