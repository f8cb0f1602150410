"""The audit trail over REST and from the command line; use cases that are in it; backups that carry it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text

from raven_scan.access.audit import Target, record
from raven_scan.access.audit_service import AuditService
from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.housekeeping.backup_creation import create_backup
from raven_scan.app.housekeeping.backup_restoring import open_restore_target
from raven_scan.app.housekeeping.backup_source import make_source
from raven_scan.app.housekeeping.checks import CheckState
from raven_scan.app.housekeeping.trail_checks import check_audit_trail
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform, hold_database
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.errors import Conflict
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.types import RunError

from .conftest import Said

TOKEN = "a-token"


@pytest.fixture
def client(platform: Platform) -> Iterator[TestClient]:
    application = build_app(platform, token=SecretStr(TOKEN), allow_server_paths=False)
    with TestClient(application, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client


def do(platform: Platform, count: int = 1) -> None:
    with platform.database.transaction() as session:
        for number in range(count):
            record(session, LOCAL_ADMINISTRATOR, "thing.changed", Target("thing", None, "a"), number=number)


def forge(platform: Platform) -> None:
    with platform.database.transaction() as session:
        session.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER ALL"))
        session.execute(text("UPDATE audit_entries SET actor_name = 'Eve' WHERE number = 2"))


def test_entries_are_listed_over_rest(client: TestClient, platform: Platform):
    do(platform, 3)
    first = client.get("/api/v1/audit", params={"action": "thing.", "limit": 2}).json()
    assert [item["details"] for item in first["items"]] == [{"number": 2}, {"number": 1}]
    assert first["items"][0]["actor"] == {
        "id": str(LOCAL_ADMINISTRATOR.id),
        "name": "local administrator",
        "via": "data folder",
        "address": "",
    }
    assert first["items"][0]["target"] == {"kind": "thing", "id": None, "name": "a"}
    second = client.get(
        "/api/v1/audit", params={"action": "thing.", "limit": 2, "cursor": first["next"]}
    ).json()
    assert ([item["details"] for item in second["items"]], second["next"]) == ([{"number": 0}], None)
    at = first["items"][0]["at"]
    assert client.get("/api/v1/audit", params={"until": at, "q": "thing"}).json()["items"] == []
    for bad in (
        {"since": "2026-01-31T14:00"},
        {"cursor": "x"},
        {"limit": 0},
        {"q": " ".join("abcdefghijklm")},
    ):
        assert client.get("/api/v1/audit", params=bad).status_code == 422, bad


def verify(client: TestClient, body: object = None) -> dict[str, object]:
    *progress, last = client.post("/api/v1/audit/verify", json=body).text.splitlines()
    assert all(json.loads(line)["event"] == "progress" for line in progress)
    done = json.loads(last)
    assert done["event"] == "done"
    return done["result"]


def test_the_trail_is_verified_over_rest(client: TestClient, platform: Platform):
    do(platform, 3)
    good = verify(client)
    assert (good["intact"], good["problem"]) == (True, None)
    do(platform)
    assert verify(client, {"head": good["head"]})["intact"] is True
    assert client.post("/api/v1/audit/verify", json={"head": "3"}).status_code == 422
    forge(platform)
    bad = verify(client)
    assert bad["intact"] is False
    assert bad["problem"] == {
        "number": 2,
        "fault": "changed",
        "message": "Entry 2 was changed: its content has not its hash.",
    }


def test_the_command_line_lists_and_verifies(raven: Callable[..., Said], platform: Platform):
    do(platform, 3)
    listed = raven("audit", "list", "--action", "thing.", "--since", "2020-01-31", "--json")
    assert [item["details"]["number"] for item in listed.document["items"]] == [2, 1, 0]
    assert raven("audit", "list", "--by", "nobody", "--until", "tomorrow").code == 2
    assert "thing.changed" in raven("audit", "list").out
    good = raven("audit", "verify", "--json")
    assert (good.code, good.document["intact"]) == (0, True)
    head = good.document["head"]
    assert head in raven("audit", "verify", "--head", head).out
    number, _, digest = head.partition(":")
    cut = raven("audit", "verify", "--head", f"{int(number) + 1}:{digest}")
    assert cut.code == 1
    assert "gone" in cut.out
    assert "raven backup restore" in cut.err
    assert "is no head" in raven("audit", "verify", "--head", "12").err
    forge(platform)
    bad = raven("audit", "verify", "--json")
    assert (bad.code, bad.document["problem"]["number"]) == (1, 2)


def test_an_entry_is_told_in_two_lines_without_what_is_empty(raven: Callable[..., Said], platform: Platform):
    with platform.database.transaction() as session:
        details = {"digest": "a" * 64, "roles": ["Viewer", "Trainer"], "preset": None, "is_dry_run": False}
        record(session, LOCAL_ADMINISTRATOR, "thing.changed", Target("thing", None, "[red]one"), **details)
    first, second = raven("audit", "list", "--action", "thing.").out.splitlines()
    assert first.endswith(f"{LOCAL_ADMINISTRATOR.name}  thing.changed  [red]one")
    assert second.endswith(f"; roles: Viewer, Trainer; digest: {'a' * 12}…; is_dry_run: no")


def test_what_users_and_workers_do_is_in_the_trail(platform: Platform, sample_folder: Path):
    before = platform.audit.verify(LOCAL_ADMINISTRATOR).checked_count
    admin, runs, control = LOCAL_ADMINISTRATOR, platform.training_runs, platform.run_control
    for _ in range(2):  # the second time nothing is new
        platform.datasets.import_version(admin, sample_folder, ImportOptions(name="tiny"))
    parameters = TrainingParameters(epochs=1, batch_size=4, image_size=64)
    runs.create(admin, name="run", dataset="tiny", base_model="yolox-nano", parameters=parameters)
    with pytest.raises(Conflict):
        runs.create(admin, name="run", dataset="tiny", base_model="yolox-nano", parameters=parameters)
    runs.schedule(admin, "run")
    control.move(admin, "run", 1)
    control.pause(admin, "run")
    control.resume(admin, "run")
    control.cancel(admin, "run")
    control.retry(admin, "run")
    attempt = platform.execution.begin_next(WORKER, worker="a-worker", free=["cpu"], capacity=["cpu"])
    assert attempt is not None
    error = RunError(code="crashed", message="It crashed.", hint="", log_tail=[], evidence={})
    platform.execution.fail(WORKER, attempt, error)
    platform.presets.save(admin, name="preset", run="run")
    platform.presets.delete(admin, "preset")
    page = platform.audit.list_entries(admin, PageRequest(limit=500))
    found = [(entry.action, entry.actor_name) for entry in reversed(page.items) if entry.number > before]
    local = admin.name
    assert found == [
        ("dataset.imported", local),
        ("training_run.created", local),
        ("training_run.scheduled", local),
        ("training_run.moved", local),
        ("training_run.paused", local),
        ("training_run.resumed", local),
        ("training_run.cancelled", local),
        ("training_run.retried", local),
        ("training_run.ended", WORKER.name),
        ("training_preset.created", local),
        ("training_preset.deleted", local),
    ]
    ended = next(entry for entry in page.items if entry.action == "training_run.ended")
    assert (ended.target.name, ended.details) == ("run", {"status": "Error", "error": "crashed"})
    assert platform.audit.verify(admin).problem is None


def test_the_doctor_sees_that_the_trail_was_changed(platform: Platform):
    do(platform, 3)
    (good,) = check_audit_trail(platform)
    assert good.state is CheckState.OK
    forge(platform)
    changed, unguarded = check_audit_trail(platform)
    assert changed.state is CheckState.ERROR
    assert "Entry 2 was changed" in changed.message
    assert unguarded.state is CheckState.WARNING


def test_a_backup_carries_the_trail_and_it_goes_on_after_the_restore(
    platform: Platform, empty_database_url: str, tmp_path: Path
):
    do(platform, 5)
    head = platform.audit.verify(LOCAL_ADMINISTRATOR).head
    create_backup(make_source(platform), tmp_path / "backup", ignore_progress)
    newest = platform.audit.list_entries(LOCAL_ADMINISTRATOR, PageRequest(limit=1)).items[0]
    assert newest.action == "backup.created"
    settings = Settings(home=tmp_path / "other", database_url=SecretStr(empty_database_url))
    with open_restore_target(settings) as target:
        target.restore(tmp_path / "backup", ignore_progress)
    with hold_database(settings) as (database, _):
        trail = AuditService(database)
        newest = trail.list_entries(LOCAL_ADMINISTRATOR, PageRequest(limit=1)).items[0]
        assert newest.action == "backup.restored"
        assert trail.verify(LOCAL_ADMINISTRATOR, known_head=head).problem is None
        assert trail.is_guarded(LOCAL_ADMINISTRATOR)
