"""The dispatcher, on work that waits in a table of a real PostgreSQL."""

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from raven_scan.jobs import dispatcher as dispatching
from raven_scan.jobs.dispatcher import Dispatcher, TakenWork
from raven_scan.kernel.embedded_postgres.server import EmbeddedPostgres

CHANNEL = "test_work"
DEADLINE_S = 30.0

_TAKE = """
UPDATE work SET taken = true WHERE name = (
    SELECT name FROM work WHERE NOT taken AND needed <= %s AND start_at <= now()
    ORDER BY place LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING name, needed
"""


@pytest.fixture
def conninfo(empty_database_url: str) -> str:
    return make_libpq_url(empty_database_url)


def make_libpq_url(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


class Desk:
    """Work as rows: how many devices each needs, and whether it was taken; what is taken is noted and then held up."""

    def __init__(self, conninfo: str, devices: Sequence[str]) -> None:
        self.conninfo = conninfo
        self.began: list[tuple[str, tuple[str, ...]]] = []
        self.ended: list[str] = []
        self.came = threading.Semaphore(0)
        self.may_end: dict[str, threading.Event] = {}
        self.failing: set[str] = set()
        self.asked = 0
        self.asked_with: list[tuple[list[str], list[str]]] = []
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS work (name text, place serial, needed int, taken bool DEFAULT false,"
                " start_at timestamptz DEFAULT now())"
            )
        self.dispatcher = Dispatcher(conninfo, CHANNEL, devices, self.take_next)

    def add(self, *names: str, needed: int = 1, delay_s: float = 0.0, notify: bool = True):
        with psycopg.connect(self.conninfo) as connection:
            for name in names:
                self.may_end.setdefault(name, threading.Event())
                connection.execute(
                    "INSERT INTO work (name, needed, start_at)"
                    " VALUES (%s, %s, now() + make_interval(secs => %s))",
                    (name, needed, delay_s),
                )
            if notify:
                connection.execute(f"NOTIFY {CHANNEL}".encode())

    def take_next(self, *, free: Sequence[str], capacity: Sequence[str]) -> TakenWork | None:
        self.asked += 1
        self.asked_with.append((list(free), list(capacity)))
        with psycopg.connect(self.conninfo) as connection:
            row = connection.execute(_TAKE, (len(free),)).fetchone()
        if row is None:
            return None
        name, needed = row
        return TakenWork(list(free[:needed]), partial(self.do, name, tuple(free[:needed])))

    def do(self, name: str, devices: tuple[str, ...], stop: threading.Event) -> None:
        self.began.append((name, devices))
        self.came.release()
        deadline = time.monotonic() + DEADLINE_S
        while not self.may_end[name].wait(0.01) and not stop.is_set():
            assert time.monotonic() < deadline
        if name in self.failing:
            raise RuntimeError(name)
        self.ended.append(name)

    def wait_for_work(self, count: int = 1):
        for _ in range(count):
            assert self.came.acquire(timeout=DEADLINE_S), "it was not begun in time"

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.began]


@pytest.fixture
def open_desk(conninfo: str) -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def open_one(*devices: str, at: str = conninfo) -> Desk:
        desk = Desk(at, devices or ["cpu"])
        desks.append(desk)
        desk.dispatcher.start()
        return desk

    yield open_one
    for desk in desks:
        desk.dispatcher.stop()
        assert desk.dispatcher.join(DEADLINE_S)


def wait_until(is_so: Callable[[], bool]):
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.01)


def test_work_is_begun_as_long_as_devices_are_free(open_desk: Callable[..., Desk]):
    desk = open_desk("cuda:0", "cuda:1")
    desk.add("a", "b", "c")
    desk.wait_for_work(2)
    assert sorted(desk.began) == [("a", ("cuda:0",)), ("b", ("cuda:1",))]
    # Asked again by a further notice: it has nothing to give.
    asked = desk.asked
    desk.add("d")
    desk.may_end["b"].set()
    desk.wait_for_work()
    assert desk.began[2] == ("c", ("cuda:1",))
    assert desk.asked_with[asked:] == [(["cuda:1"], ["cuda:0", "cuda:1"])]
    desk.may_end["a"].set()
    desk.wait_for_work()
    assert desk.began[3] == ("d", ("cuda:0",))


def test_work_for_two_devices_gets_both_and_gives_both_back(open_desk: Callable[..., Desk]):
    desk = open_desk("cuda:0", "cuda:1")
    desk.add("wide", needed=2)
    desk.wait_for_work()
    desk.add("a", "b")
    desk.may_end["wide"].set()
    desk.wait_for_work(2)
    assert desk.began[0] == ("wide", ("cuda:0", "cuda:1"))
    assert {devices for _, devices in desk.began[1:]} == {("cuda:0",), ("cuda:1",)}


def test_several_slots_of_one_name_are_counted(open_desk: Callable[..., Desk]):
    desk = open_desk("cpu", "cpu")
    desk.add("a", "b", "c")
    desk.wait_for_work(2)
    assert desk.names == ["a", "b"]
    assert desk.asked_with[-1] != ([], ["cpu", "cpu"]), "it asked without a free device"
    desk.may_end["a"].set()
    desk.wait_for_work()
    assert desk.names == ["a", "b", "c"]


def test_a_notice_wakes_it_long_before_it_would_look_by_itself(
    open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dispatching, "_POLLING_INTERVAL_S", 10 * DEADLINE_S)
    desk = open_desk()
    wait_until(lambda: desk.asked > 0)
    desk.add("a")
    desk.wait_for_work()
    desk.may_end["a"].set()
    wait_until(lambda: desk.ended == ["a"])
    desk.add("b")
    desk.wait_for_work()


def test_a_device_that_becomes_free_wakes_it(open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dispatching, "_POLLING_INTERVAL_S", 10 * DEADLINE_S)
    desk = open_desk()
    desk.add("a", "b")
    desk.wait_for_work()
    desk.may_end["a"].set()
    desk.wait_for_work()
    assert desk.names == ["a", "b"]


def test_work_whose_time_comes_is_begun_without_a_notice(open_desk: Callable[..., Desk]):
    desk = open_desk()
    desk.add("later", delay_s=1.0)
    desk.add("now")
    desk.wait_for_work()
    assert desk.names == ["now"]
    desk.may_end["now"].set()
    desk.wait_for_work()
    assert desk.names == ["now", "later"]


def test_work_that_fails_frees_its_device(open_desk: Callable[..., Desk]):
    desk = open_desk()
    desk.failing.add("bad")
    desk.add("bad", "good")
    desk.wait_for_work()
    desk.may_end["bad"].set()
    desk.wait_for_work()
    assert desk.names == ["bad", "good"]
    assert desk.ended == []


def test_stopping_asks_the_work_to_end_takes_no_more_and_join_waits(open_desk: Callable[..., Desk]):
    desk = open_desk("cpu", "cpu")
    desk.add("a", "b", "c")
    desk.wait_for_work(2)
    assert not desk.dispatcher.is_stopping
    assert not desk.dispatcher.join(0.05)
    desk.dispatcher.stop()
    assert desk.dispatcher.is_stopping
    assert desk.dispatcher.join(DEADLINE_S)
    assert sorted(desk.ended) == ["a", "b"]
    assert "c" not in desk.names


def test_join_tells_that_work_does_not_end_in_time(conninfo: str):
    release, began = threading.Event(), threading.Event()

    def ignore_stop(stop: threading.Event) -> None:
        del stop
        began.set()
        assert release.wait(DEADLINE_S)

    given = iter([TakenWork(["cpu"], ignore_stop)])
    dispatcher = Dispatcher(conninfo, CHANNEL, ["cpu"], lambda **_: next(given, None))
    dispatcher.start()
    assert began.wait(DEADLINE_S)
    dispatcher.stop()
    assert not dispatcher.join(0.1)
    release.set()
    assert dispatcher.join(DEADLINE_S)


def test_a_source_that_fails_is_asked_again(
    conninfo: str, open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dispatching, "_RETRY_S", 0.01)
    desk = open_desk()
    wait_until(lambda: desk.asked > 0)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("ALTER TABLE work RENAME TO elsewhere")
        asked = desk.asked
        wait_until(lambda: desk.asked > asked + 1)
        connection.execute("ALTER TABLE elsewhere RENAME TO work")
    desk.add("a")
    desk.wait_for_work()


def test_two_dispatchers_share_the_work_and_do_none_twice(open_desk: Callable[..., Desk]):
    desks = [open_desk("cpu", "cpu"), open_desk("cpu")]
    names = [f"work-{number:02d}" for number in range(30)]
    ended = threading.Event()
    ended.set()
    for desk in desks:
        desk.may_end = dict.fromkeys(names, ended)
    desks[0].add(*names)
    wait_until(lambda: sum(len(desk.ended) for desk in desks) >= len(names))
    assert sorted(desks[0].ended + desks[1].ended) == names
    assert all(desk.ended for desk in desks)


@contextmanager
def run_server(folder: Path) -> Generator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder)
    try:
        yield server
    finally:
        server.stop(force=True)


def test_the_server_may_be_restarted_meanwhile(tmp_path: Path, open_desk: Callable[..., Desk]):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with run_server(home) as server, server.hold() as holding:
        desk = open_desk("cuda:0", "cuda:1", at=make_libpq_url(holding.url))
        desk.add("before", "ends-meanwhile")
        desk.wait_for_work(2)
        server.stop(force=True)
        desk.may_end["ends-meanwhile"].set()
        wait_until(lambda: desk.ended == ["ends-meanwhile"])
        holding.ensure_running()
        desk.add("after", "last")
        desk.wait_for_work()
        assert desk.names == ["before", "ends-meanwhile", "after"], "work went on, and its device was free"
        desk.may_end["before"].set()
        desk.wait_for_work()
        assert desk.began[-1] == ("last", ("cuda:0",))
        desk.dispatcher.stop()
        assert desk.dispatcher.join(DEADLINE_S)
