"""The embedded server's lifetime: real servers, real processes, real kills."""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import psycopg
import pytest

from raven_scan.kernel.embedded_postgres.processes import get_boot_id, list_processes_in
from raven_scan.kernel.embedded_postgres.server import EmbeddedPostgres, Holding
from raven_scan.kernel.embedded_postgres.state_folder import write_file
from raven_scan.kernel.errors import Conflict, Unavailable

T = TypeVar("T")

# Holds the home in its argument, says who serves it, and lets go at the end of its input.
HOLDER = """
import sys
from pathlib import Path
from raven_scan.kernel.embedded_postgres.server import EmbeddedPostgres
postgres = EmbeddedPostgres(Path(sys.argv[1]))
with postgres.hold():
    print(postgres.status().pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def new_home(tmp_path: Path) -> Iterator[Path]:
    """A home that does not exist."""
    home = tmp_path / "raven ö 数据"
    yield home
    EmbeddedPostgres(home).stop(force=True)


@pytest.fixture(scope="module")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made") / "home"
    EmbeddedPostgres(home).start()
    EmbeddedPostgres(home).stop()
    return home


@pytest.fixture
def home(made_home: Path) -> Iterator[Path]:
    """A home where a database has been made, and no server runs."""
    yield made_home
    EmbeddedPostgres(made_home).stop(force=True)


def connect(holding: Holding) -> psycopg.Connection:
    return psycopg.connect(holding.url.replace("+psycopg", ""), autocommit=True)


def start_holder(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def read_server_pid(holder: subprocess.Popen[str]) -> int:
    assert holder.stdout is not None
    return int(holder.stdout.readline())


def finish(holder: subprocess.Popen[str]) -> None:
    holder.communicate(timeout=30)
    assert holder.returncode == 0


def get_server_pid(home: Path) -> int:
    pid = EmbeddedPostgres(home).status().pid
    assert pid is not None
    return pid


def find_parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def ends(pid: int, within_s: float) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ended = bool(select.select([descriptor], [], [], within_s)[0])
    os.close(descriptor)
    return ended


def wait_for(what: Callable[[], T | None], within_s: float = 20) -> T:
    deadline = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < deadline
        select.select([], [], [], 0.002)
    return found


def test_first_start_and_what_the_server_is(new_home: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in {"PGPORT": "1", "PGDATA": "/nowhere", "PGOPTIONS": "-c fsync=off"}.items():
        monkeypatch.setenv(name, value)
    postgres = EmbeddedPostgres(new_home)
    assert not postgres.status().running
    assert not new_home.exists()

    with postgres.hold() as holding:
        monkeypatch.delenv("PGOPTIONS")
        with connect(holding) as connection:
            shown = {
                name: connection.execute(f"SHOW {name}".encode()).fetchone()
                for name in ("listen_addresses", "fsync", "server_encoding", "data_checksums", "timezone")
            }
        status = postgres.status()

    assert shown == {
        "listen_addresses": ("",),
        "fsync": ("on",),
        "server_encoding": ("UTF8",),
        "data_checksums": ("on",),
        "timezone": ("UTC",),
    }
    assert status.running
    assert status.version.startswith("18.")
    assert status.data_folder == new_home.resolve() / "postgres" / "data"
    assert status.size_bytes > 10_000_000
    assert not status.pinned
    assert [holder.pid for holder in status.holders] == [os.getpid()]
    assert status.holders[0].command == " ".join(psutil.Process().cmdline())
    assert status.pid is not None
    assert ends(status.pid, within_s=5)
    assert EmbeddedPostgres(new_home).status().holders == ()


def test_processes_share_one_server_until_the_last_lets_go(new_home: Path):
    holders = [start_holder(new_home) for _ in range(4)]
    pids = {read_server_pid(holder) for holder in holders}
    assert len(pids) == 1
    (pid,) = pids
    log = (new_home / "postgres" / "server.log").read_text()
    assert log.count("starting PostgreSQL") == 1
    assert log.count("ERROR") == log.count("Traceback") == 0

    first, *others, last = holders
    finish(first)
    others[0].kill()
    others[0].communicate()
    finish(others[1])
    assert get_server_pid(new_home) == pid
    assert [holder.pid for holder in EmbeddedPostgres(new_home).status().holders] == [last.pid]
    finish(last)
    assert ends(pid, within_s=5)
    assert wait_for(lambda: not (new_home / "postgres/data/postmaster.pid").exists())


def test_the_server_ends_after_the_last_holder_was_killed(home: Path):
    holder = start_holder(home)
    pid = read_server_pid(holder)
    guardian = find_parent(pid)
    holder.kill()
    holder.communicate()
    assert ends(pid, within_s=5)
    assert ends(guardian, within_s=5)


def test_a_later_process_with_a_holders_number_does_not_hold(home: Path):
    holder = start_holder(home)
    pid = read_server_pid(holder)
    with EmbeddedPostgres(home).hold():
        entries = home / "postgres" / "holders.json"
        document = json.loads(entries.read_text())
        for entry in document["holders"]:
            if entry["pid"] == holder.pid:
                entry["start_mark"] = f"{get_boot_id()}/1"
        write_file(entries, json.dumps(document))
    assert ends(pid, within_s=5)
    assert holder.poll() is None
    finish(holder)


def test_several_holdings_of_one_process_count(home: Path):
    postgres = EmbeddedPostgres(home)
    first, second = postgres.hold(), postgres.hold()
    pid = get_server_pid(home)
    first.release()
    first.release()
    assert get_server_pid(home) == pid
    second.release()
    assert ends(pid, within_s=5)


def test_a_forked_child_cannot_let_go(home: Path):
    with EmbeddedPostgres(home).hold() as holding:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                holding.release()
            os._exit(0)
        os.waitpid(child, 0)
        assert len(EmbeddedPostgres(home).status().holders) == 1


def test_data_outlives_a_kill_of_the_server(home: Path):
    with EmbeddedPostgres(home).hold() as holding:
        url = holding.url
        with connect(holding) as connection:
            connection.execute("CREATE TABLE kept (number int)")
            connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
            backend = connection.info.backend_pid
            pid = get_server_pid(home)
            # A child that is stuck outlives its postmaster, and keeps the shared memory.
            os.kill(backend, signal.SIGSTOP)
            os.kill(pid, signal.SIGKILL)
            assert ends(pid, within_s=5)
            holding.ensure_running()
            assert get_server_pid(home) != pid
            assert ends(backend, within_s=5)
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        assert holding.url == url
        with connect(holding) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1000,)


def test_the_guardian_restarts_a_killed_server_unasked(home: Path):
    with EmbeddedPostgres(home).hold():
        pid = get_server_pid(home)
        os.kill(pid, signal.SIGKILL)
        assert wait_for(lambda: EmbeddedPostgres(home).status().pid not in (None, pid))


def test_a_stale_file_that_names_a_living_process_does_not_hinder(home: Path):
    postgres = EmbeddedPostgres(home)
    data = home / "postgres" / "data"
    lines = [str(os.getpid()), str(data), "1", "5432", ".", "", "1 1", "ready"]
    (data / "postmaster.pid").write_text("\n".join(lines) + "\n")
    (data / ".s.PGSQL.5432.lock").write_text("\n".join(lines[:5]) + "\n")
    assert not postgres.status().running
    with postgres.hold() as holding, connect(holding) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_who_asks_again_and_again_writes_nothing(home: Path):
    with EmbeddedPostgres(home).hold() as holding:
        before = {path: path.stat() for path in home.rglob("holders.json")}
        assert len(before) == 1
        holding.ensure_running()
        assert all(path.stat().st_ino == facts.st_ino for path, facts in before.items())
        assert len(EmbeddedPostgres(home).status().holders) == 1


def test_a_killed_guardian_is_replaced_and_holders_notice_nothing(home: Path):
    holder = start_holder(home)
    pid = read_server_pid(holder)
    guardian = find_parent(pid)
    with EmbeddedPostgres(home).hold() as holding, connect(holding) as connection:
        os.kill(guardian, signal.SIGKILL)
        assert ends(guardian, within_s=5)
        assert connection.execute("SELECT 1").fetchone() == (1,)
        holding.ensure_running()
        assert get_server_pid(home) == pid
        holder.kill()
        holder.communicate()
    assert ends(pid, within_s=5)


def test_the_last_to_let_go_stops_a_server_without_guardian(home: Path):
    with EmbeddedPostgres(home).hold():
        pid = get_server_pid(home)
        guardian = find_parent(pid)
        os.kill(guardian, signal.SIGKILL)
        assert ends(guardian, within_s=5)
    assert ends(pid, within_s=5)


def test_a_terminated_guardian_leaves_after_the_last_holder(home: Path):
    postgres = EmbeddedPostgres(home)
    postgres.start()
    with postgres.hold() as holding:
        pid = get_server_pid(home)
        os.kill(find_parent(pid), signal.SIGTERM)
        with connect(holding) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert not ends(pid, within_s=0.1)
    assert ends(pid, within_s=5)


def test_a_pinned_server_runs_until_it_is_stopped(home: Path):
    postgres = EmbeddedPostgres(home)
    postgres.start()
    pid = get_server_pid(home)
    with postgres.hold() as holding:
        with pytest.raises(Conflict) as refusal:
            postgres.stop()
        assert refusal.value.code == "database.held"
        assert refusal.value.parameters["holders"][0]["pid"] == os.getpid()
        assert str(os.getpid()) in refusal.value.message
        with connect(holding) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert postgres.status().pinned
    assert get_server_pid(home) == pid
    postgres.stop()
    assert ends(pid, within_s=0)
    status = postgres.status()
    assert (status.running, status.pinned) == (False, False)
    postgres.stop()


def test_holders_recover_from_a_stop_by_force(home: Path):
    postgres = EmbeddedPostgres(home)
    with postgres.hold() as holding:
        pid = get_server_pid(home)
        postgres.stop(force=True)
        assert ends(pid, within_s=0)
        assert not postgres.status().running
        holding.ensure_running()
        with connect(holding) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        pid = get_server_pid(home)
    assert ends(pid, within_s=5)


def test_a_kill_in_the_middle_of_the_first_start_is_overcome(new_home: Path):
    holder = start_holder(new_home)

    def find_initdb() -> tuple[Path, int] | None:
        for folder in (new_home / "postgres").glob("initdb-*"):
            for pid in list_processes_in(folder, ("initdb",)):
                return folder, pid
        return None

    unfinished, initdb = wait_for(find_initdb)
    os.kill(find_parent(initdb), signal.SIGKILL)
    assert read_server_pid(holder) > 0
    assert not unfinished.exists()
    finish(holder)


def test_a_failed_first_start_leaves_nothing_and_can_be_repeated(new_home: Path):
    (new_home / "postgres").mkdir(parents=True, mode=0o700)
    new_home.chmod(0o700)
    leftover = new_home / "postgres" / "initdb-left"
    leftover.mkdir()
    (leftover / "PG_VERSION").write_text("18\n")
    holder = start_holder(new_home)

    def find_initdb() -> int | None:
        return next(
            (
                pid
                for folder in (new_home / "postgres").glob("initdb-*")
                for pid in list_processes_in(folder, ("initdb",))
            ),
            None,
        )

    os.kill(wait_for(find_initdb), signal.SIGKILL)
    output, _ = holder.communicate()
    assert holder.returncode != 0
    assert output == ""
    assert not list((new_home / "postgres").glob("initdb-*"))
    assert not (new_home / "postgres" / "data").exists()
    assert EmbeddedPostgres(new_home).status().holders == ()
    with EmbeddedPostgres(new_home).hold():
        assert get_server_pid(new_home)


def test_data_of_another_version_is_refused_and_not_touched(new_home: Path):
    data = new_home / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(Unavailable) as refusal:
        EmbeddedPostgres(new_home).hold()
    assert refusal.value.code == "database.other_version"
    assert refusal.value.parameters == {"folder": str(data.resolve()), "found": "16", "needed": "18"}
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_broken_data_gives_one_error_with_the_log(home: Path):
    postgres = EmbeddedPostgres(home)
    (home / "postgres/data/global/pg_control").rename(home / "kept")
    with pytest.raises(Unavailable) as refusal:
        postgres.hold()
    assert refusal.value.code == "database.start_failed"
    assert "pg_control" in refusal.value.message
    assert postgres.status().holders == ()
    (home / "kept").rename(home / "postgres/data/global/pg_control")
    with postgres.hold():
        assert get_server_pid(home)


def test_a_lost_password_is_told(home: Path):
    postgres = EmbeddedPostgres(home)
    with postgres.hold() as holding:
        (home / "postgres" / "password").rename(home / "kept")
        with pytest.raises(Unavailable) as refusal:
            _ = holding.url
        (home / "kept").rename(home / "postgres" / "password")
    assert refusal.value.code == "database.password_missing"


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable) as refusal:
        EmbeddedPostgres(tmp_path / "file").hold()
    assert refusal.value.code == "database.folder_unusable"
    assert "Not a directory" in refusal.value.message


def test_the_server_ends_where_its_folder_was_removed(new_home: Path):
    holder = start_holder(new_home)
    pid = read_server_pid(holder)
    shutil.rmtree(new_home)
    holder.kill()
    holder.communicate()
    assert ends(pid, within_s=20)


def test_the_log_does_not_grow_without_end(home: Path):
    postgres = EmbeddedPostgres(home)
    log = home / "postgres" / "server.log"
    with postgres.hold():
        with log.open("ab") as file:
            file.write(b"x" * 17_000_000)
        postgres.hold().release()
        wait_for(lambda: log.stat().st_size < 2_000_000)
