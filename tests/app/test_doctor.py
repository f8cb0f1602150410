"""The doctor: says what is not well, and repairs what it can."""

import os
import re
import shutil
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.housekeeping import machine_checks
from raven_scan.app.housekeeping.blob_needs import list_needed_blobs
from raven_scan.app.housekeeping.tested_versions import TESTED_VERSIONS
from raven_scan.app.wiring import Platform, hold_database
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.embedded_postgres.server import EmbeddedPostgres
from raven_scan.kernel.schema import upgrade_schema
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.types import RunStatus

LOCK = Path(__file__).parents[2] / "requirements" / "lock.txt"

Doctor = Callable[..., dict[str, list[dict[str, Any]]]]


@pytest.fixture
def ask(raven: Callable[..., Any]) -> Doctor:
    """What the doctor says, by the names of the checks; its exit code must go with it."""

    def ask(*options: str) -> dict[str, list[dict[str, Any]]]:
        said = raven("doctor", *options, "--json")
        document = said.document
        assert said.code == (1 if document["errors"] else 0)
        checks: dict[str, list[dict[str, Any]]] = {}
        for check in document["checks"]:
            assert set(check) == {"name", "state", "message", "hint", "repaired"}
            assert check["hint"] or check["state"] == "ok"
            checks.setdefault(check["name"], []).append(check)
        return checks

    return ask


@pytest.fixture
def filled(platform: Platform, sample_folder: Path) -> Platform:
    platform.datasets.import_version(LOCAL_ADMINISTRATOR, sample_folder, ImportOptions(name="tiny"))
    return platform


@pytest.fixture
def waiting(filled: Platform) -> Platform:
    """With a run that waits."""
    filled.training_runs.create(
        LOCAL_ADMINISTRATOR,
        name="patient",
        dataset="tiny",
        base_model="yolox-nano",
        parameters=TrainingParameters(epochs=2, batch_size=4, image_size=64),
    )
    filled.training_runs.schedule(LOCAL_ADMINISTRATOR, "patient")
    return filled


def states(checks: list[dict[str, Any]]) -> set[str]:
    return {check["state"] for check in checks}


def find(checks: list[dict[str, Any]], words: str) -> dict[str, Any]:
    found = [check for check in checks if words in check["message"]]
    assert len(found) == 1, checks
    return found[0]


def test_all_is_well(filled: Platform, ask: Doctor, raven: Callable[..., Any]):
    del filled
    checks = ask("--deep")
    assert set(checks) == {
        "settings",
        "home",
        "disk",
        "shared memory",
        "devices",
        "versions",
        "database",
        "schema",
        "clock",
        "storage",
        "audit",
        "queue",
        "working folders",
    }
    # Room and packages are the machine's, which is not this test's.
    for name in set(checks) - {"disk", "shared memory", "versions", "devices"}:
        assert states(checks[name]) == {"ok"}, checks[name]
    assert "is there and what its digest says" in checks["storage"][0]["message"]
    human = raven("doctor")
    assert "working folders" in human.out
    assert "\x1b" not in human.out


def test_slips_of_the_pen_in_settings_are_told(ask: Doctor, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAVEN_DEVISE", "cpu")
    monkeypatch.setenv("RAVEN_JSON", "1")
    said = ask()["settings"]
    assert [(check["state"], check["hint"]) for check in said] == [("warning", "Did you mean RAVEN_DEVICE?")]


def test_bad_settings_are_refused(raven: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAVEN_LOG_LEVEL", "LOUD")
    said = raven("doctor", "--json")
    assert (said.code, said.document["error"]["code"]) == (2, "settings.invalid")


def test_a_database_that_does_not_answer(ask: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("RAVEN_DATABASE_URL", f"postgresql://raven:secret@/raven?host={tmp_path}")
    checks = ask("--repair")
    assert states(checks["database"]) == {"error"}
    assert "secret" not in str(checks)
    # The rest is looked at all the same.
    assert {"home", "disk", "devices", "versions", "shared memory"} < set(checks)
    assert "storage" not in checks


@pytest.fixture
def embedded(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    del environment
    monkeypatch.delenv("RAVEN_DATABASE_URL")
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return home


def test_an_embedded_database_that_cannot_start(embedded: Path, ask: Doctor):
    data = embedded / "postgres" / "data"
    assert "none yet" in ask()["database"][0]["message"]
    assert not data.exists()
    data.mkdir(parents=True, mode=0o700)
    (data / "PG_VERSION").write_text("17\n")
    assert "PostgreSQL 17" in find(ask()["database"], "made by")["message"]
    (data / "PG_VERSION").write_text("18\n")
    (embedded / "postgres" / "password").write_text("secret")
    said = ask("--repair")["database"]
    assert said[-1]["state"] == "error"
    assert "did not start" in said[-1]["message"]
    assert "server.log" in said[-1]["hint"]


def test_what_lies_around_of_an_embedded_database(embedded: Path, ask: Doctor):
    server = EmbeddedPostgres(embedded)
    with server.hold():
        leftover = embedded / "postgres" / "initdb-abc"
        leftover.mkdir()
        os.utime(leftover, (0, 0))
        assert states(ask()["database"]) == {"ok", "warning"}
        assert find(ask("--repair")["database"], "first start")["repaired"]
        assert not leftover.exists()
    server.stop(force=True)
    # As after a power cut; the number is nobody's.
    (embedded / "postgres" / "data" / "postmaster.pid").write_text("4194304\n")
    said = ask()["database"]
    assert "not stopped in order" in said[0]["message"]
    assert states(said) == {"ok"}
    server.stop(force=True)


def test_files_that_are_something_else(embedded: Path, ask: Doctor):
    (embedded / "postgres" / "holders.json").mkdir(parents=True)
    (embedded / "postgres" / "data").mkdir()
    (embedded / "postgres").chmod(0o700)
    assert [check["state"] for check in ask()["database"]] == ["error"]
    # What it cannot foresee is told too, without a traceback.
    (embedded / "postgres" / "holders.json").rmdir()
    (embedded / "postgres" / "data").rmdir()
    with hold_database(Settings(home=embedded)) as (database, _):
        upgrade_schema(database.engine)
    (embedded / "work").write_text("no folder")
    assert "work cannot be used: File exists" in find(ask()["home"], "File exists")["message"]


def test_lost_and_damaged_blobs(filled: Platform, ask: Doctor):
    digests = sorted(list_needed_blobs(filled))
    filled.blobs.remove(digests[0])
    damaged = filled.blobs.get_path(digests[1])
    damaged.chmod(0o600)
    damaged.write_bytes(b"rotten")
    quick = ask()["storage"]
    assert digests[0] in find(quick, "missing")["message"]
    assert states(quick) == {"error"}
    deep = ask("--deep", "--repair")["storage"]
    assert digests[1] in find(deep, "damaged")["message"]
    assert digests[0] in find(deep, "missing")["message"]


def test_blobs_that_nothing_names(filled: Platform, ask: Doctor):
    young, old = filled.blobs.put_bytes(b"just imported"), filled.blobs.put_bytes(b"forgotten")
    two_days_ago = time.time() - timedelta(days=2).total_seconds()
    os.utime(filled.blobs.get_path(old), (two_days_ago, two_days_ago))
    assert find(ask()["storage"], "named by nothing")["message"].startswith("1 files")
    assert filled.blobs.has(old)
    assert find(ask("--repair")["storage"], "named by nothing")["repaired"]
    assert filled.blobs.has(young)
    assert not filled.blobs.has(old)
    assert [check["state"] for check in ask()["storage"]] == ["ok"]


def test_nothing_is_collected_while_names_are_lost(filled: Platform, ask: Doctor):
    with filled.database.transaction() as session:
        table = session.execute(text("SELECT images_digest FROM dataset_versions")).scalar_one()
    filled.blobs.remove(table)
    for facts in list(filled.blobs.list_blobs()):
        os.utime(filled.blobs.get_path(facts.digest), (0, 0))
    before = {facts.digest for facts in filled.blobs.list_blobs()}
    assert "error" in states(ask("--repair")["storage"])
    assert {facts.digest for facts in filled.blobs.list_blobs()} == before


def test_runs_that_nobody_will_execute(waiting: Platform, ask: Doctor):
    said = find(ask()["queue"], "no worker lives")
    assert said["state"] == "warning"
    assert "patient" in said["message"]
    waiting.workers.beat("node:1:1.0", ["cpu"])
    assert states(ask()["queue"]) == {"ok"}


def test_runs_whose_worker_is_lost(waiting: Platform, ask: Doctor):
    attempt = waiting.execution.begin_next(WORKER, worker="node:1:1.0", free=["cpu"], capacity=["cpu"])
    assert attempt is not None
    waiting.workers.beat("node:2:1.0", ["cpu"])
    assert states(ask()["queue"]) == {"ok"}
    with waiting.database.transaction() as session:
        session.execute(
            text("UPDATE training_run_attempts SET heartbeat_at = heartbeat_at - make_interval(mins => 5)")
        )
    assert find(ask()["queue"], "not been heard of")["state"] == "warning"
    assert find(ask("--repair")["queue"], "lost their worker")["repaired"]
    run = waiting.training_runs.get_run(LOCAL_ADMINISTRATOR, "patient")
    assert run.status is RunStatus.WAITING


def test_working_folders_of_killed_processes(waiting: Platform, ask: Doctor):
    attempt = waiting.execution.begin_next(WORKER, worker="node:1:1.0", free=["cpu"], capacity=["cpu"])
    assert attempt is not None
    work = waiting.settings.work_folder
    kept = work / str(attempt.run_id) / "attempt-1"
    of_nobody = work / str(uuid4()) / "attempt-1"
    scratch = work / f"upload-{uuid4().hex}"
    for folder in (kept, of_nobody, scratch):
        folder.mkdir(parents=True)
        (folder / "file").write_text("half")
    scratch.with_name(f"{scratch.name}.lock").touch()
    assert find(ask()["working folders"], "2 working folders")["state"] == "warning"
    assert find(ask("--repair")["working folders"], "2 working folders")["repaired"]
    assert [*work.iterdir()] == [kept.parent]
    assert states(ask()["working folders"]) == {"ok"}
    waiting.execution.hand_back(WORKER, attempt, "")
    assert find(ask("--repair")["working folders"], "1 working folders")["repaired"]
    assert [*work.iterdir()] == []


def test_a_data_folder_that_others_may_enter(filled: Platform, ask: Doctor):
    home = filled.settings.home
    home.chmod(0o755)
    (home / "blobs").chmod(0o750)
    (home / "token").write_text("secret\n")
    (home / "token").chmod(0o644)
    said = ask()["home"]
    assert sorted(check["state"] for check in said) == ["error", "warning", "warning"]
    repaired = ask("--repair")["home"]
    assert [check["repaired"] for check in repaired] == [True, True, True]
    assert {path.stat().st_mode & 0o777 for path in (home, home / "blobs")} == {0o700}
    assert not (home / "token").exists()
    assert states(ask()["home"]) == {"ok"}


def test_a_data_folder_among_others_things_is_left_as_it_is(filled: Platform, ask: Doctor):
    home = filled.settings.home
    home.chmod(0o755)
    (home / "of somebody else").touch()
    assert states(ask("--repair")["home"]) == {"warning"}
    assert home.stat().st_mode & 0o777 == 0o755


def test_tables_of_other_releases(filled: Platform, ask: Doctor):
    with filled.database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    checks = ask("--repair")
    assert "later release" in find(checks["schema"], "9999")["message"]
    assert states(checks["schema"]) == {"error"}
    assert "storage" not in checks
    with filled.database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    said = ask("--repair")["schema"]
    assert (said[0]["state"], said[0]["hint"]) == ("error", "After a backup: `raven db upgrade`.")


def test_a_device_that_is_not_there(ask: Doctor, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAVEN_DEVICE", "cuda:63")
    assert find(ask()["devices"], "RAVEN_DEVICE is cuda:63")["state"] == "error"


def test_gpus_that_pytorch_cannot_use(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine_checks, "find_devices", lambda: ["cuda:0", "cuda:1"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    said = list(machine_checks.check_devices("auto"))
    assert [check.state for check in said] == ["error"]
    assert "There are 2 GPUs, but PyTorch can use 0: PyTorch finds no GPU" in said[0].message
    monkeypatch.setattr(machine_checks, "_PROBE", "raise RuntimeError('the driver is too old')")
    assert "the driver is too old" in next(machine_checks.check_devices("auto")).message


def test_shared_memory_that_is_too_small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(machine_checks, "_SHARED_MEMORY", Path("/proc"))
    assert [check.state for check in machine_checks.check_shared_memory()] == ["warning"]
    monkeypatch.setattr(machine_checks, "_SHARED_MEMORY", tmp_path / "none")
    assert [check.state for check in machine_checks.check_shared_memory()] == ["error"]


def test_packages_that_clash_or_are_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("opencv-python", "timm"):
        folder = tmp_path / f"{name.replace('-', '_')}-9.9.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    said = [(check.state, check.message) for check in machine_checks.check_versions()]
    assert (
        "error",
        "opencv-python is installed beside opencv-python-headless; both bring the module cv2.",
    ) in said
    assert any("timm 9.9 instead of" in message for _, message in said)
    monkeypatch.setitem(TESTED_VERSIONS, "a-package-of-nobody", "1.0")
    assert any("missing: a-package-of-nobody" in check.message for check in machine_checks.check_versions())


def test_the_tested_versions_are_those_of_the_lock():
    locked = {
        (found["name"], found["version"])
        for line in LOCK.read_text().splitlines()
        if (found := re.fullmatch(r"(?P<name>[\w-]+)==(?P<version>[^ ;]+)(?P<marker>.*)", line))
        and not found["marker"].startswith(" ; python_full_version >=")
    }
    assert set(TESTED_VERSIONS.items()) - locked == set(), "write them to tested_versions.py"


def test_the_disk_of_a_home_that_is_not_there_yet(
    ask: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAVEN_HOME", str(tmp_path / "to" / "come"))
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
    checks = ask()
    assert "does not exist yet" in checks["home"][0]["message"]
    assert "free on the disk" in checks["disk"][0]["message"]
