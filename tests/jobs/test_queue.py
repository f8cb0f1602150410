"""The queue and the worker, on a real PostgreSQL."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url, text

from raven_scan.jobs.housekeeper import Housekeeper
from raven_scan.jobs.queue import JobQueue
from raven_scan.jobs.worker import QueueWorker
from raven_scan.jobs.worker_names import is_worker_gone, make_worker_name
from raven_scan.kernel.database import Database

DEADLINE_S = 20.0


@pytest.fixture
def conninfo(database_url: str) -> str:
    return make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)


class Worker:
    """A worker that notes what it was given."""

    def __init__(self, conninfo: str, *, handler: Callable[..., None] | None = None) -> None:
        self.seen: list[str] = []
        self.came = threading.Semaphore(0)
        self.handler = handler
        self.worker = QueueWorker(
            conninfo,
            {"work": self.work},
            name="tester",
        )
        self.worker.start()

    def work(self, stop: threading.Event, name: str) -> None:
        self.seen.append(name)
        self.came.release()
        if self.handler:
            self.handler(stop)

    def wait_for_job(self):
        assert self.came.acquire(timeout=DEADLINE_S)

    def close(self):
        self.worker.stop()
        assert self.worker.join(DEADLINE_S)


@pytest.fixture
def start_worker(conninfo: str) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def start(**options: Any) -> Worker:
        workers.append(Worker(conninfo, **options))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


def enqueue(database: Database, name: str, **options: Any) -> int:
    with database.transaction() as session:
        return JobQueue().enqueue(session, "work", {"name": name}, **options)


def count_jobs(database: Database) -> int:
    with database.transaction() as session:
        return session.execute(text("SELECT count(*) FROM procrastinate_jobs")).scalar_one()


def wait_until(condition: Callable[[], bool]):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.02)


def test_a_job_runs_once_its_transaction_is_committed(
    database: Database, start_worker: Callable[..., Worker]
):
    worker = start_worker()
    with database.transaction() as session:
        JobQueue().enqueue(session, "work", {"name": "kept"})
        assert worker.seen == []
    worker.wait_for_job()
    assert worker.seen == ["kept"]
    wait_until(lambda: count_jobs(database) == 0)


def test_a_job_of_a_transaction_that_fails_was_never_there(database: Database):
    def fail():
        with database.transaction() as session:
            JobQueue().enqueue(session, "work", {"name": "lost"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert count_jobs(database) == 0


def test_a_handler_that_fails_does_not_stop_the_worker(
    database: Database, start_worker: Callable[..., Worker]
):
    def fail(_stop: threading.Event):
        raise RuntimeError

    worker = start_worker(handler=fail)
    enqueue(database, "one")
    worker.wait_for_job()
    enqueue(database, "two")
    worker.wait_for_job()
    assert worker.seen == ["one", "two"]


def test_stopping_asks_the_handler_to_end(database: Database, start_worker: Callable[..., Worker]):
    ended = threading.Event()

    def work_until_stopped(stop: threading.Event):
        assert stop.wait(DEADLINE_S)
        ended.set()

    worker = start_worker(handler=work_until_stopped)
    enqueue(database, "long")
    worker.wait_for_job()
    worker.close()
    assert ended.is_set()


def test_a_worker_outlives_its_connections(
    database: Database, conninfo: str, start_worker: Callable[..., Worker]
):
    worker = start_worker()
    enqueue(database, "before")
    worker.wait_for_job()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    # This process's own, which are not tried before they are used again so soon.
    database.engine.dispose()
    enqueue(database, "after")
    worker.wait_for_job()
    assert worker.seen == ["before", "after"]


def test_a_job_for_later_waits(database: Database, start_worker: Callable[..., Worker]):
    later = enqueue(database, "later", start_at=datetime.now(UTC) + timedelta(hours=1))
    enqueue(database, "now")
    worker = start_worker()
    worker.wait_for_job()
    assert worker.seen == ["now"]
    with database.transaction() as session:
        session.execute(
            text("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE id = :id"), {"id": later}
        )
    worker.wait_for_job()
    assert worker.seen == ["now", "later"]


def test_housekeeping_goes_on_whatever_it_raises():
    ticked = threading.Semaphore(0)

    def tick():
        ticked.release()
        raise RuntimeError

    housekeeper = Housekeeper(tick, interval_s=0.01)
    housekeeper.start()
    for _ in range(3):
        assert ticked.acquire(timeout=DEADLINE_S)
    housekeeper.stop()


def test_jobs_that_nobody_will_run_are_found(database: Database):
    queue = JobQueue()
    waiting = enqueue(database, "waits")
    with database.transaction() as session:
        assert queue.find_dead_jobs(session, [waiting, 999_999], taken_for_s=10) == {999_999}
        session.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))
        session.execute(
            text("INSERT INTO procrastinate_events (job_id, type) VALUES (:id, 'started')"), {"id": waiting}
        )
        assert queue.find_dead_jobs(session, [waiting], taken_for_s=10) == set()
        session.execute(text("UPDATE procrastinate_events SET at = at - interval '1 hour'"))
        assert queue.find_dead_jobs(session, [waiting], taken_for_s=10) == {waiting}


def test_a_worker_is_gone_when_its_process_is():
    name = make_worker_name()
    host, pid, mark = name.rsplit(":", 2)
    assert not is_worker_gone(name)
    assert is_worker_gone(f"{host}:{pid}:{mark}0")
    assert not is_worker_gone(f"elsewhere:{pid}:{mark}0")
    assert not is_worker_gone(f"{host}:{pid}:of-another-container.12")
    assert not is_worker_gone("named otherwise")
