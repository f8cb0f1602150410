"""Which workers count as there."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from sqlalchemy import text

import raven_scan
from raven_scan.jobs.gpu_load import DeviceLoad
from raven_scan.jobs.machine_load import WorkerLoad
from raven_scan.jobs.registry import WorkerRegistry
from raven_scan.jobs.worker_names import make_worker_name
from raven_scan.kernel.database import Database

LEASE_TIMEOUT_S = 12.0
ELSEWHERE = "elsewhere:1:0.00"


@pytest.fixture
def registry(database: Database) -> WorkerRegistry:
    return WorkerRegistry(database, lease_timeout_s=LEASE_TIMEOUT_S)


@pytest.fixture
def let_time_pass(database: Database) -> Callable[[float], None]:
    """Nobody tells anything for so long."""

    def pass_time(seconds: float) -> None:
        with database.transaction() as session:
            session.execute(
                text("UPDATE workers SET heartbeat_at = heartbeat_at - make_interval(secs => :s)"),
                {"s": seconds},
            )

    return pass_time


def list_names(registry: WorkerRegistry) -> list[str]:
    return [worker.name for worker in registry.list_alive()]


def count_rows(database: Database) -> int:
    with database.transaction() as session:
        return session.execute(text("SELECT count(*) FROM workers")).scalar_one()


def test_one_that_told_of_itself_is_there_with_its_slots(registry: WorkerRegistry):
    registry.beat(ELSEWHERE, ["cuda:0", "cpu", "cpu"])
    (worker,) = registry.list_alive()
    assert (worker.name, worker.slots, worker.is_draining) == (ELSEWHERE, ["cuda:0", "cpu", "cpu"], False)
    assert worker.version == raven_scan.__version__
    assert worker.started_at == worker.heartbeat_at
    assert worker.started_at.tzinfo is not None


def test_each_beat_makes_it_young_and_says_what_it_has_now(
    registry: WorkerRegistry, let_time_pass: Callable[[float], None]
):
    registry.beat(ELSEWHERE, ["cpu"])
    let_time_pass(5)
    started_at = registry.list_alive()[0].started_at
    registry.beat(ELSEWHERE, ["cpu", "cuda:0"])
    (worker,) = registry.list_alive()
    assert worker.slots == ["cpu", "cuda:0"]
    assert worker.started_at == started_at
    assert worker.heartbeat_at >= started_at


def test_each_beat_says_how_busy_it_is_now(registry: WorkerRegistry):
    load = WorkerLoad(37.5, 3, 8, {"cuda:0": DeviceLoad(None, 2, 4)})
    registry.beat(ELSEWHERE, ["cuda:0"], load=load)
    assert registry.list_alive()[0].load == load
    registry.beat(ELSEWHERE, ["cuda:0"], load=WorkerLoad())
    registry.drain(ELSEWHERE)
    assert registry.list_alive()[0].load == WorkerLoad()
    registry.beat(ELSEWHERE, ["cuda:0"])
    assert registry.list_alive()[0].load is None


def test_one_that_is_silent_is_there_until_its_lease_has_run_out(
    registry: WorkerRegistry, let_time_pass: Callable[[float], None]
):
    registry.beat(ELSEWHERE, ["cpu"])
    let_time_pass(LEASE_TIMEOUT_S - 3)
    assert list_names(registry) == [ELSEWHERE]
    let_time_pass(4)
    assert list_names(registry) == []
    registry.beat(ELSEWHERE, ["cpu"])
    assert list_names(registry) == [ELSEWHERE], "it was only away"


def test_one_that_drains_is_there_and_says_so(registry: WorkerRegistry):
    registry.beat(ELSEWHERE, ["cpu"])
    registry.drain(ELSEWHERE)
    assert [worker.is_draining for worker in registry.list_alive()] == [True]
    registry.beat(ELSEWHERE, ["cpu"], is_draining=True)
    assert [worker.is_draining for worker in registry.list_alive()] == [True]


def test_one_that_left_is_gone_and_others_stay(registry: WorkerRegistry):
    registry.beat(ELSEWHERE, ["cpu"])
    registry.beat("other:1:0.00", ["cpu"])
    registry.leave(ELSEWHERE)
    registry.leave("never-was:1:0.00")
    assert list_names(registry) == ["other:1:0.00"]


def test_a_process_of_this_machine_that_is_dead_is_not_listed_however_young_its_beat(
    registry: WorkerRegistry,
):
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "from raven_scan.jobs.worker_names import make_worker_name; print(make_worker_name())",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    dead = told.stdout.strip()
    registry.beat(dead, ["cpu"])
    registry.beat(make_worker_name(), ["cpu"])
    assert list_names(registry) == [make_worker_name()]


def test_one_that_was_not_heard_of_for_long_is_forgotten(
    database: Database, registry: WorkerRegistry, let_time_pass: Callable[[float], None]
):
    registry.beat(ELSEWHERE, ["cpu"])
    let_time_pass(300)
    registry.beat("other:1:0.00", ["cpu"])
    registry.forget_silent()
    assert count_rows(database) == 2
    let_time_pass(301)
    registry.beat("other:1:0.00", ["cpu"])
    registry.forget_silent()
    assert count_rows(database) == 1
    assert list_names(registry) == ["other:1:0.00"]
