"""Backups: whole, of one moment, under load, killed at any instant, and brought back."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import URL, make_url, text

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.housekeeping.backup_creation import create_backup
from raven_scan.app.housekeeping.backup_folder import FORMAT, BackupFolder
from raven_scan.app.housekeeping.backup_restoring import RestoreResult, open_restore_target, verify_backup
from raven_scan.app.housekeeping.backup_source import make_source, open_source
from raven_scan.app.housekeeping.blob_needs import list_named_blobs, list_needed_blobs
from raven_scan.app.housekeeping.data_checks import check_storage
from raven_scan.app.housekeeping.database_dump import check_server_version
from raven_scan.app.wiring import Platform, build_platform, hold_database
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.errors import Busy, Conflict, Damaged, NotFound, RavenError
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.schema import upgrade_schema
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blobs import LocalBlobStore
from raven_scan.storage.removal import keep_blobs, remove_blobs

from .conftest import wait_until

TINY = TrainingParameters(epochs=2, batch_size=4, image_size=64)
FILLED_0001 = Path(__file__).parents[1] / "kernel" / "filled_home_0001.sql"


@pytest.fixture
def filled(platform: Platform, sample_folder: Path) -> Platform:
    """With a dataset in it."""
    platform.datasets.import_version(LOCAL_ADMINISTRATOR, sample_folder, ImportOptions(name="tiny"))
    return platform


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.fixture
def backup(filled: Platform, folder: Path) -> BackupFolder:
    """A whole one."""
    create_backup(make_source(filled), folder, ignore_progress)
    return BackupFolder(folder)


@pytest.fixture
def empty(tmp_path: Path, empty_database_url: str) -> Settings:
    """Where there is nothing yet."""
    return Settings(home=tmp_path / "other home", database_url=SecretStr(empty_database_url))


def restore(settings: Settings, folder: Path, *, replace: bool = False) -> RestoreResult:
    with open_restore_target(settings) as target:
        return target.restore(folder, ignore_progress, replace=replace)


def list_tables(settings: Settings) -> list[str]:
    with open_restore_target(settings) as target:
        return list(target.row_counts)


def assert_whole(settings: Settings) -> None:
    """Every blob that the database names is there and is what its digest says."""
    with build_platform(settings) as platform:
        needed = list_needed_blobs(platform)
        assert [digest for digest in needed if not platform.blobs.verify(digest)] == []


def give_weights(platform: Platform, content: bytes) -> str:
    """Makes the database name one more blob, and tells which."""
    digest = platform.blobs.put_bytes(content)
    change = (
        "UPDATE trained_models SET origin = 'imported', weights_digest = :digest WHERE name = 'yolox-nano'"
    )
    with platform.database.transaction() as session:
        session.execute(text(change), {"digest": digest})
    return digest


def connect(url: str | URL) -> psycopg.Connection[Any]:
    conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(conninfo)


def test_what_was_there_is_there_again(filled: Platform, folder: Path, empty: Settings):
    model = filled.trained_models.get_model(LOCAL_ADMINISTRATOR, "yolox-nano")
    run = filled.training_runs.create(
        LOCAL_ADMINISTRATOR, name="first", dataset="tiny", base_model="yolox-nano", parameters=TINY
    )
    made = create_backup(make_source(filled), folder, ignore_progress)
    result = restore(empty, folder)
    assert (result.aside, result.is_upgraded) == (None, False)
    assert result.copied.count == made.manifest.blob_count == len(list_needed_blobs(filled)) > 20
    with build_platform(empty) as other:
        assert other.training_runs.get_run(LOCAL_ADMINISTRATOR, "first") == run
        assert other.trained_models.get_model(LOCAL_ADMINISTRATOR, "yolox-nano") == model
        version = other.datasets.get_version(LOCAL_ADMINISTRATOR, "tiny")
        assert version == filled.datasets.get_version(LOCAL_ADMINISTRATOR, "tiny")
        assert other.datasets.find_readiness_problems(LOCAL_ADMINISTRATOR, version.id) == []
    assert_whole(empty)


def test_the_commands(
    raven: Callable[..., Any],
    sample_folder: Path,
    folder: Path,
    tmp_path: Path,
    empty_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
):
    assert raven("datasets", "import", sample_folder, "--name", "tiny").code == 0
    made = raven("backup", "create", folder, "--json")
    assert made.code == 0
    assert made.document["rows"]["datasets"] == 1
    assert made.document["copied_blobs"] == made.document["blobs"] > 20
    assert raven("backup", "verify", folder, "--json").document["id"] == made.document["id"]
    assert "Datasets" in raven("backup", "verify", folder).out
    monkeypatch.setenv("RAVEN_HOME", str(tmp_path / "other home"))
    monkeypatch.setenv("RAVEN_DATABASE_URL", empty_database_url)
    restored = raven("backup", "restore", folder, "--json")
    assert restored.code == 0
    assert (restored.document["id"], restored.document["earlier_tables"]) == (made.document["id"], None)
    assert [each["name"] for each in raven("datasets", "list", "--json").document["items"]] == ["tiny"]
    refused = raven("backup", "restore", folder, "--json")
    assert (refused.code, refused.document["error"]["code"]) == (5, "backup.target_not_empty")
    unasked = raven("backup", "restore", folder, "--replace", "--json")
    assert (unasked.code, unasked.document["error"]["code"]) == (5, "backup.not_confirmed")
    replaced = raven("backup", "restore", folder, "--replace", "--yes", "--json")
    assert replaced.code == 0
    assert replaced.document["earlier_tables"].startswith("replaced_")


def test_only_the_owner_can_read_it_and_no_secret_is_in_it(filled: Platform, folder: Path):
    token = filled.settings.home / "token"
    token.write_text("the secret token of this server\n")
    create_backup(make_source(filled), folder, ignore_progress)
    # What is below a folder that admits nobody need not say so again.
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in (folder, folder / "blobs", folder / "database", *files):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, f"{path} has mode {mode:o}"
    assert not any(b"secret token" in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_it_is_what_sha256sum_says(backup: BackupFolder):
    manifest = backup.read_manifest()
    sums = backup.make_sums_path(manifest.id)
    said = subprocess.run(
        ["/usr/bin/env", "sha256sum", "--check", "--strict", str(sums)],
        cwd=backup.path,
        capture_output=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout
    assert len(said.stdout.splitlines()) == manifest.blob_count + 1


def test_the_next_one_copies_what_is_new_and_removes_what_is_not_needed(
    filled: Platform, backup: BackupFolder, empty: Settings
):
    first = backup.read_manifest()
    unneeded = backup.blobs_folder / "ab" / "cd" / ("abcd" + "0" * 60)
    unneeded.parent.mkdir(parents=True)
    unneeded.write_bytes(b"of a checkpoint that is no more")
    give_weights(filled, b"new weights")
    second = create_backup(make_source(filled), backup.path, ignore_progress)
    assert (second.copied.count, second.removed_count) == (1, 1)
    assert second.manifest.blob_count == first.blob_count + 1
    assert {path.name for path in backup.database_folder.iterdir()} == {
        f"{second.manifest.id}.dump",
        f"{second.manifest.id}.sha256",
    }
    assert verify_backup(backup.path, ignore_progress) == second.manifest
    restore(empty, backup.path)
    assert_whole(empty)


CREATE_AND_SLEEP = """
import sys, time
from pathlib import Path
from pydantic import SecretStr
from raven_scan.app.housekeeping import backup_creation
from raven_scan.app.housekeeping.backup_folder import BackupFolder
from raven_scan.app.housekeeping.backup_source import make_source
from raven_scan.app.wiring import build_platform
from raven_scan.kernel.settings import Settings

home, url, folder, stage = sys.argv[1:]

def sleep():
    print("there", flush=True)
    time.sleep(600)  # until it is killed

def progress(name, done, total):
    if name == stage:
        sleep()

if stage == "manifest":
    BackupFolder.write_manifest = lambda self, manifest: sleep()
with build_platform(Settings(home=Path(home), database_url=SecretStr(url))) as platform:
    backup_creation.create_backup(make_source(platform), Path(folder), progress)
"""


def kill_when_there(arguments: list[str]) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        said = child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
    finally:
        child.kill()
        complaint = child.communicate()[1]
    assert said == b"there\n", complaint


@pytest.mark.parametrize("stage", ["copying blobs", "dumping the database", "manifest", "tidying"])
def test_a_killed_backup_leaves_the_one_before(
    filled: Platform, backup: BackupFolder, database_url: str, stage: str
):
    first = backup.read_manifest()
    give_weights(filled, b"new weights")
    kill_when_there([CREATE_AND_SLEEP, str(filled.settings.home), database_url, str(backup.path), stage])
    left = verify_backup(backup.path, ignore_progress)
    assert (left.id == first.id) == (stage != "tidying")
    again = create_backup(make_source(filled), backup.path, ignore_progress)
    assert verify_backup(backup.path, ignore_progress) == again.manifest
    assert len(list(backup.database_folder.iterdir())) == 2
    assert list((backup.blobs_folder / "incoming").iterdir()) == []


def test_a_first_backup_that_was_killed_is_none(filled: Platform, folder: Path, database_url: str):
    kill_when_there(
        [CREATE_AND_SLEEP, str(filled.settings.home), database_url, str(folder), "dumping the database"]
    )
    with pytest.raises(NotFound, match="not finished"):
        verify_backup(folder, ignore_progress)
    create_backup(make_source(filled), folder, ignore_progress)
    verify_backup(folder, ignore_progress)


RESTORE_AND_SLEEP = """
import sys, time
from pathlib import Path
from pydantic import SecretStr
from raven_scan.app.housekeeping import database_dump
from raven_scan.app.housekeeping.backup_restoring import open_restore_target
from raven_scan.kernel.schema import upgrade_schema
from raven_scan.kernel.settings import Settings

home, url, folder, part = sys.argv[1:]

def write_a_part(source, target, server_major_version):
    script = source.read()
    target.write(script[: round(len(script) * float(part))])
    target.flush()
    print("there", flush=True)
    time.sleep(600)  # until it is killed

database_dump._copy_script = write_a_part
with open_restore_target(Settings(home=Path(home), database_url=SecretStr(url))) as target:
    target.restore(Path(folder), lambda stage, done, total: None, replace=bool(target.row_counts))
"""


@pytest.mark.parametrize("part", ["0.0", "0.3", "0.72", "1.0"])
def test_a_killed_restore_changes_nothing(
    backup: BackupFolder, empty: Settings, empty_database_url: str, part: str
):
    def end_all() -> None:
        kill_when_there([RESTORE_AND_SLEEP, str(empty.home), empty_database_url, str(backup.path), part])
        wait_for_no_sessions(empty_database_url)

    end_all()
    assert list_tables(empty) == []
    restore(empty, backup.path)
    assert_whole(empty)
    end_all()
    with connect(empty_database_url) as connection:
        schemas = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'replaced%'"
        ).fetchall()
    assert schemas == []
    assert_whole(empty)


def wait_for_no_sessions(url: str) -> None:
    with connect(url) as connection:
        connection.autocommit = True
        wait_until(
            lambda: (
                connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
                ).fetchone()
                == (0,)
            ),
            "the end of the killed one's sessions",
        )


def damage_blob(backup: BackupFolder) -> str:
    path = next(path for path in sorted(backup.blobs_folder.glob("??/??/*")))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    return path.name


def remove_blob(backup: BackupFolder) -> str:
    path = next(path for path in sorted(backup.blobs_folder.glob("??/??/*")))
    path.unlink()
    return path.name


def damage_dump(backup: BackupFolder) -> str:
    path = backup.make_dump_path(backup.read_manifest().id)
    path.write_bytes(path.read_bytes()[:-100])
    return path.name


def damage_sums(backup: BackupFolder) -> str:
    path = backup.make_sums_path(backup.read_manifest().id)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    return path.name


def damage_manifest(backup: BackupFolder) -> str:
    path = backup.path / "manifest.json"
    path.write_bytes(path.read_bytes()[:-20])
    return "cannot be read"


@pytest.mark.parametrize("damage", [damage_blob, remove_blob, damage_dump, damage_sums, damage_manifest])
def test_a_damaged_backup_is_refused_before_anything_is_changed(
    backup: BackupFolder, empty: Settings, damage: Callable[[BackupFolder], str]
):
    what = damage(backup)
    with pytest.raises(Damaged) as refusal:
        restore(empty, backup.path)
    assert what in refusal.value.message
    assert refusal.value.code in {"backup.damaged", "backup.unreadable"}
    assert list_tables(empty) == []
    assert list(empty.blobs_folder.glob("??")) == []
    with pytest.raises(Damaged):
        verify_backup(backup.path, ignore_progress)


def test_all_damages_are_told(backup: BackupFolder, raven: Callable[..., Any]):
    damaged = {damage_blob(backup), remove_blob(backup)}
    for path in sorted(backup.blobs_folder.glob("??/??/*"))[-2:]:
        path.unlink()
        damaged.add(path.name)
    said = raven("backup", "verify", backup.path, "--json")
    assert said.code == 8
    problems = said.document["error"]["parameters"]["problems"]
    assert {problem["file"].rpartition("/")[2] for problem in problems} == damaged


def change_manifest(backup: BackupFolder, **changes: object) -> None:
    path = backup.path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("changes", [{"format": FORMAT + 1}, {"schema_revision": "9999"}])
def test_one_of_a_later_release_is_refused(backup: BackupFolder, empty: Settings, changes: dict[str, object]):
    change_manifest(backup, **changes, release="99.0")
    with pytest.raises(Conflict, match=r"later release \(99\.0") as refusal:
        restore(empty, backup.path)
    assert refusal.value.code == "backup.later_release"
    assert list_tables(empty) == []


def test_a_dump_that_lost_rows_is_not_committed(backup: BackupFolder, empty: Settings):
    manifest = backup.read_manifest()
    change_manifest(backup, row_counts={**manifest.row_counts, "datasets": 2})
    with pytest.raises(RavenError, match="datasets has not the rows that it had"):
        restore(empty, backup.path)
    assert list_tables(empty) == []


def test_one_of_an_earlier_release_is_brought_up_to_date(
    database_url: str, folder: Path, empty: Settings, tmp_path: Path
):
    """Made before the upgrade, by this release, of tables that its services do not know."""
    with connect(database_url) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.execute(FILLED_0001.read_bytes())
    earlier = Settings(home=tmp_path / "home", database_url=SecretStr(database_url))
    earlier.blobs_folder.mkdir(parents=True)
    digest = LocalBlobStore(earlier.blobs_folder).put_bytes(b"named by who knows what")
    with open_source(earlier) as source:
        made = create_backup(source, folder, ignore_progress)
    assert (made.manifest.schema_revision, made.manifest.row_counts["training_runs"]) == ("0001", 8)
    assert restore(empty, folder).is_upgraded
    with build_platform(empty) as platform:
        assert len(platform.training_runs.list_runs(LOCAL_ADMINISTRATOR, PageRequest()).items) == 8
        assert platform.blobs.get_bytes(digest) == b"named by who knows what"
    with connect(database_url) as connection:
        # The tables that were backed up are as they were.
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]


def test_tables_that_are_not_ours_are_not_backed_up(empty: Settings, database_url: str, folder: Path):
    with open_source(empty) as source, pytest.raises(Conflict) as refusal:
        create_backup(source, folder, ignore_progress)
    assert refusal.value.code == "backup.no_tables"
    with connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    later = Settings(home=empty.home, database_url=SecretStr(database_url))
    with pytest.raises(Conflict) as refusal, open_source(later):
        pass
    assert refusal.value.code == "database.later_release"


def test_a_server_that_pg_dump_is_too_old_for_is_refused():
    check_server_version(13)
    check_server_version(18)
    with pytest.raises(Conflict, match="PostgreSQL 19"):
        check_server_version(19)


def test_what_is_replaced_is_moved_aside_and_its_blobs_are_spared(
    filled: Platform, backup: BackupFolder, empty: Settings, sample_folder: Path
):
    with hold_database(empty) as (database, _):
        upgrade_schema(database.engine)
    with build_platform(empty) as other:
        other.datasets.import_version(LOCAL_ADMINISTRATOR, sample_folder, ImportOptions(name="theirs"))
        give_weights(other, b"their weights")
        theirs = list_needed_blobs(other)
    assert theirs - list_needed_blobs(filled)
    with pytest.raises(Conflict):
        restore(empty, backup.path)
    result = restore(empty, backup.path, replace=True)
    assert result.aside is not None
    with build_platform(empty) as other:
        names = [each.name for each in other.datasets.list_datasets(LOCAL_ADMINISTRATOR, PageRequest()).items]
        assert names == ["tiny"]
        assert list_named_blobs(other) >= theirs
        said = [check.message for check in check_storage(other, ignore_progress, deep=False, repair=True)]
        assert any(f"DROP SCHEMA {result.aside} CASCADE" in message for message in said)
        assert list_needed_blobs(other) == list_needed_blobs(filled)
        with other.database.transaction() as session:
            assert session.scalars(text(f"SELECT name FROM {result.aside}.datasets")).all() == ["theirs"]  # noqa: S608
        # The backup of the restored one has nothing of what was moved aside.
        again = create_backup(make_source(other), backup.path, ignore_progress)
    assert again.manifest.row_counts["datasets"] == 1
    assert again.manifest.blob_count == len(list_needed_blobs(filled))
    with build_platform(empty) as other:
        with other.database.transaction() as session:
            session.execute(text(f"DROP SCHEMA {result.aside} CASCADE"))
        assert list_named_blobs(other) == list_needed_blobs(filled)


def test_damaged_blobs_of_the_storage_are_mended(filled: Platform, backup: BackupFolder, empty: Settings):
    restore(empty, backup.path)
    with build_platform(empty) as other:
        digest = min(list_needed_blobs(other))
        path = other.blobs.get_path(digest)
    path.chmod(0o600)
    path.write_bytes(b"rotten")
    result = restore(empty, backup.path, replace=True)
    assert result.copied.count == 1
    assert path.read_bytes() == filled.blobs.get_bytes(digest)
    assert_whole(empty)


def test_a_database_in_use_is_not_replaced(backup: BackupFolder, empty: Settings, empty_database_url: str):
    with connect(empty_database_url), pytest.raises(Conflict) as refusal:
        restore(empty, backup.path)
    assert refusal.value.code == "backup.database_in_use"
    restore(empty, backup.path)


def test_lost_blobs_keep_a_backup_from_being_made(filled: Platform, folder: Path, raven: Callable[..., Any]):
    digests = sorted(list_needed_blobs(filled))
    filled.blobs.remove(digests[0])
    damaged = filled.blobs.get_path(digests[1])
    damaged.chmod(0o600)
    damaged.write_bytes(b"rotten")
    with pytest.raises(Conflict) as refusal:
        create_backup(make_source(filled), folder, ignore_progress)
    assert refusal.value.code == "backup.blobs_lost"
    assert refusal.value.parameters == {"missing": [digests[0]], "damaged": [digests[1]]}
    with pytest.raises(NotFound):
        verify_backup(folder, ignore_progress)
    made = raven("backup", "create", folder, "--allow-missing", "--json")
    assert made.document["missing_blobs"] == digests[:2]
    assert verify_backup(folder, ignore_progress).blob_count == len(digests) - 2


def test_a_table_that_is_lost_keeps_its_images_from_being_known(filled: Platform, folder: Path):
    with filled.database.transaction() as session:
        table = session.execute(text("SELECT images_digest FROM dataset_versions")).scalar_one()
    filled.blobs.remove(table)
    with pytest.raises(NotFound):
        create_backup(make_source(filled), folder, ignore_progress)
    made = create_backup(make_source(filled), folder, ignore_progress, allow_missing=True)
    assert made.manifest.missing_blobs == [table]


def test_folders_that_are_not_for_backups_are_refused(filled: Platform, tmp_path: Path):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "letter.txt").write_text("dear")
    for path, code in (
        (tmp_path / "documents", "backup.folder_not_empty"),
        (filled.settings.home / "backup", "backup.inside_home"),
        (filled.settings.home.parent, "backup.inside_home"),
    ):
        with pytest.raises(Conflict) as refusal:
            create_backup(make_source(filled), path, ignore_progress)
        assert refusal.value.code == code
    assert [path.name for path in (tmp_path / "documents").iterdir()] == ["letter.txt"]
    with pytest.raises(NotFound):
        verify_backup(tmp_path / "documents", ignore_progress)
    with pytest.raises(NotFound):
        verify_backup(tmp_path / "nowhere", ignore_progress)


def test_blobs_are_not_removed_while_a_backup_needs_them(filled: Platform, backup: BackupFolder):
    digest = filled.blobs.put_bytes(b"a checkpoint")
    with keep_blobs(filled.database.engine):
        remove_blobs(filled.database, filled.blobs, [digest])
        assert filled.blobs.has(digest)
        with pytest.raises(Busy), keep_blobs(filled.database.engine, timeout_s=0.2):
            pass
    remove_blobs(filled.database, filled.blobs, [digest])
    assert not filled.blobs.has(digest)
    with backup.hold(alone=False):
        verify_backup(backup.path, ignore_progress)
        with pytest.raises(Busy):
            create_backup(make_source(filled), backup.path, ignore_progress)


def test_it_can_be_read_from_a_disk_that_nobody_writes_to(
    backup: BackupFolder, empty: Settings, tmp_path: Path
):
    copy = tmp_path / "copy"
    shutil.copytree(backup.path, copy)
    for path in (*copy.rglob("*"), copy):
        path.chmod(0o500 if path.is_dir() else 0o400)
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    restore(empty, copy)
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before
    assert_whole(empty)


def test_what_is_good_is_said_to_be(backup: BackupFolder, raven: Callable[..., Any]):
    said = raven("backup", "verify", backup.path)
    assert (said.code, "Good: every file is what it was" in said.out) == (0, True)
    document = raven("backup", "verify", backup.path, "--json").document
    assert document["verified"] is True
    # Builtin models are nobody's: they are there before anything is.
    own = document["rows"]["trained_models"] - document["builtin_models"]
    (line,) = (line for line in said.out.splitlines() if line.startswith("Models"))
    assert line.split() == ["Models", str(own)]
