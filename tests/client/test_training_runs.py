"""Watching runs over a connection that comes and goes."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from raven_scan.client import RavenClient
from raven_scan.kernel.errors import NotFound, Unavailable
from raven_scan.training_runs.schemas import Progress, Reference, TrainingRunOut
from raven_scan.training_runs.types import RunStatus

RUN_ID = uuid4()


def make_run(status: RunStatus, epoch: int = 0) -> dict[str, Any]:
    reference = Reference(id=RUN_ID, name="x")
    empty: dict[str, Any] = dict.fromkeys(Progress.model_fields)
    return TrainingRunOut.model_validate(
        {
            **dict.fromkeys(TrainingRunOut.model_fields),
            "id": RUN_ID,
            "name": "first",
            "status": status,
            "epoch": epoch,
            "epochs": 3,
            "dataset_version": reference,
            "base_model": reference,
            "architecture": "rtmdet-lite0",
            "parameters": {},
            "progress": {**empty, "phase": "training", "epoch": epoch, "epochs": 3, "step": 0, "steps": 9},
            "warnings": [],
            "attempts": [],
            "options": {},
            "is_dry_run": False,
            "is_pausing": False,
            "notes": "",
            "revision": 1,
            "checkpoints": [],
            "created_by": "x",
            "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
    ).model_dump(mode="json")


def connect(answers: Iterator[Callable[[], httpx.Response]]) -> RavenClient:
    return RavenClient("http://server", transport=httpx.MockTransport(lambda _: next(answers)()))


def answer(status: RunStatus, epoch: int = 0) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(200, json=make_run(status, epoch))


def refuse() -> httpx.Response:
    raise httpx.ConnectError("refused")


def test_watch_tells_each_change_and_bears_a_server_that_restarts() -> None:
    waiting, processing, success = RunStatus.WAITING, RunStatus.PROCESSING, RunStatus.SUCCESS
    answers = [
        answer(waiting),
        answer(waiting),
        refuse,
        answer(processing, 1),
        lambda: httpx.Response(502),
        answer(processing, 2),
        answer(success, 3),
    ]
    with connect(iter(answers)) as client:
        seen = [(run.status, run.epoch) for run in client.runs.watch("first", poll_s=0)]
    assert [status for status, _ in seen] == [waiting, processing, processing, success]
    assert [epoch for _, epoch in seen] == [0, 1, 2, 3]


@pytest.mark.parametrize("status", [RunStatus.PAUSED, RunStatus.DRAFT, RunStatus.CANCELLED, RunStatus.ERROR])
def test_watch_ends_where_a_run_is_at_rest(status: RunStatus) -> None:
    """A run is a Draft again after a dry run."""
    with connect(iter([answer(RunStatus.PROCESSING), answer(status)])) as client:
        assert [run.status for run in client.runs.watch("first", poll_s=0)] == [RunStatus.PROCESSING, status]


def test_watch_gives_up_where_a_server_stays_away() -> None:
    answers = iter([answer(RunStatus.WAITING), refuse, refuse])
    with connect(answers) as client:
        watching = client.runs.watch("first", poll_s=0, patience_s=0)
        next(watching)
        with pytest.raises(Unavailable):
            next(watching)


def test_watch_does_not_wait_for_what_is_not_there() -> None:
    problem = {"code": "x.y", "kind": "not_found", "detail": "No.", "hint": "", "parameters": {}}
    with connect(iter([refuse])) as client, pytest.raises(Unavailable):
        next(client.runs.watch("first"))
    with connect(iter([lambda: httpx.Response(404, json=problem)])) as client, pytest.raises(NotFound):
        client.runs.wait("first")
