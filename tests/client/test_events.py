"""Events of a run, read by clients whose server comes and goes."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import Process, wait_until

from raven_scan.client import AsyncRavenClient, RavenClient
from raven_scan.kernel.errors import NotFound, Unavailable
from raven_scan.training_runs.events_schemas import AnyRunEvent, EndEvent, LogEvent, MetricsEvent, RunEvent
from raven_scan.training_runs.types import RunStatus

EPOCHS = 60  # of a tenth of a second each


@pytest.fixture
def serve(
    start_raven: Callable[..., Process], environment: dict[str, str]
) -> Callable[..., tuple[Process, Any]]:
    del environment

    def start(port: str = "0") -> tuple[Process, Any]:
        process = start_raven("serve", "--port", port, "--no-worker", "--json")
        return process, process.wait_for_document()

    return start


def create(raven: RavenClient, folder: Path, *, epochs: int) -> Any:
    raven.datasets.import_path(folder, name="tiny")
    return raven.runs.create(
        name="first", dataset="tiny", base_model="rtmdet-lite0", parameters={"epochs": epochs}
    )


def check_told_once(told: list[AnyRunEvent], epochs: int) -> None:
    steps = [
        step
        for event in told
        if isinstance(event, MetricsEvent)
        for series in event.series
        if series.name == "loss"
        for step in series.steps
    ]
    assert steps == sorted(set(steps))
    assert steps[-1] == epochs * 10
    log = [event for event in told if isinstance(event, LogEvent)]
    assert [event.offset for event in log[1:]] == [event.next_offset for event in log[:-1]]
    assert log[0].offset == 0
    assert [event.status for event in told if isinstance(event, EndEvent)] == [RunStatus.SUCCESS]
    assert isinstance(told[-1], EndEvent)


def test_events_go_on_over_a_server_that_is_killed(
    serve: Callable[..., tuple[Process, Any]],
    start_worker: Callable[..., Any],
    sample_folder: Path,
) -> None:
    """Each event is told once, to a synchronous and to an asynchronous reader."""
    process, document = serve()
    port = document["server"].rsplit(":", 1)[1]
    token = Path(document["token_file"]).read_text().strip()
    told: list[AnyRunEvent] = []
    told_asynchronously: list[AnyRunEvent] = []

    async def read() -> None:
        async with AsyncRavenClient(document["server"], token) as raven:
            run = await raven.runs.get("first")
            told_asynchronously.extend([event async for event in run.events(log=True)])

    with RavenClient(document["server"], token) as raven:
        run = create(raven, sample_folder, epochs=EPOCHS)
        run.schedule()
        start_worker()
        reader = threading.Thread(target=lambda: asyncio.run(read()))
        reader.start()

        def strike() -> None:
            wait_until(lambda: sum(isinstance(event, MetricsEvent) for event in told) >= 2, "events")
            process.end(signal.SIGKILL)
            serve(port)

        striker = threading.Thread(target=strike)
        striker.start()
        told.extend(run.events(log=True))
        striker.join()
        reader.join()
        check_told_once(told, EPOCHS)
        check_told_once(told_asynchronously, EPOCHS)
        # The run that is followed was kept up to date.
        assert run.status is RunStatus.SUCCESS
        assert run == raven.runs.get("first")
        assert [type(event) for event in raven.runs.events("first", metrics=False)] == [RunEvent, EndEvent]


def test_a_run_that_is_not_there_has_no_events(serve: Callable[..., tuple[Process, Any]]) -> None:
    process, document = serve()
    token = Path(document["token_file"]).read_text().strip()
    with RavenClient(document["server"], token) as raven:
        with pytest.raises(NotFound):
            next(raven.runs.events("nothing"))
        process.end(signal.SIGKILL)
        with pytest.raises(Unavailable):
            next(raven.runs.events("nothing"))


def test_a_reader_may_leave_early(
    serve: Callable[..., tuple[Process, Any]], start_worker: Callable[..., Any], sample_folder: Path
) -> None:
    """Its connection is free again."""
    _, document = serve()
    token = Path(document["token_file"]).read_text().strip()

    async def leave() -> None:
        async with AsyncRavenClient(document["server"], token) as raven:
            run = await raven.runs.get("first")
            async with contextlib.aclosing(run.events()) as told:
                assert isinstance(await anext(told), RunEvent)
            async for event in run.events():
                assert isinstance(event, RunEvent)
                break
            assert (await run.refresh()).name == "first"

    with RavenClient(document["server"], token) as raven:
        run = create(raven, sample_folder, epochs=30)
        run.schedule()
        start_worker()
        for event in run.events():
            assert isinstance(event, RunEvent)
            break
        asyncio.run(leave())
        with pytest.raises(TimeoutError, match="'first' is still"):
            run.wait(timeout_s=0)
        assert run.cancel().status in {RunStatus.CANCELLED, RunStatus.PROCESSING}
        assert run.wait().status is RunStatus.CANCELLED
