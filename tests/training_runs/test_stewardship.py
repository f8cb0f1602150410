"""Looking after runs: names, notes, priority, the trash."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import save_file
from sqlalchemy import func, insert, select, update

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER, Actor, Claim
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Stale
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.trained_models.types import Figures, NewTrainedModel
from raven_scan.training_runs.models import TrainingRun, TrainingRunLogPart, TrainingRunMetric
from raven_scan.training_runs.repository import trash
from raven_scan.training_runs.types import RunProgress, RunStatus, TrainingRunView

ADMIN = LOCAL_ADMINISTRATOR
CreateRun = Callable[..., TrainingRunView]
LATER = datetime(2100, 1, 1, tzinfo=UTC)


def without(claim: Claim) -> Actor:
    return replace(ADMIN, claims=ADMIN.claims - {claim})


def change(platform: Platform, run: TrainingRunView, **values: Any) -> None:
    with platform.database.transaction() as session:
        session.execute(update(TrainingRun).where(TrainingRun.id == run.id).values(**values))


def list_trash(platform: Platform) -> list[UUID]:
    return [item.id for item in platform.run_stewardship.list_deleted(ADMIN, PageRequest()).items]


def test_name_and_notes_are_changed_and_the_revision_grows(platform: Platform, create_run: CreateRun):
    run = create_run()
    assert (run.notes, run.revision) == ("", 1)
    edited = platform.run_stewardship.edit(ADMIN, "first", name="renamed", notes="Größe 2")
    assert (edited.id, edited.name, edited.notes, edited.revision) == (run.id, "renamed", "Größe 2", 2)
    with pytest.raises(NotFound):
        platform.training_runs.get_run(ADMIN, "first")
    same = platform.run_stewardship.edit(ADMIN, "renamed", name="renamed", notes="Größe 2")
    assert same.revision == 2
    assert create_run(name="first").id != run.id


def test_of_two_who_edit_the_later_one_is_told(platform: Platform, create_run: CreateRun):
    run = create_run()
    platform.run_stewardship.edit(ADMIN, "first", notes="a", expected=run.revision)
    with pytest.raises(Stale):
        platform.run_stewardship.edit(ADMIN, "first", notes="b", expected=run.revision)
    assert platform.training_runs.get_run(ADMIN, "first").notes == "a"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "a/b"}, "training_run.bad_name"),
        ({"name": ""}, "training_run.bad_name"),
        ({"notes": "\0"}, "training_run.bad_notes"),
        ({"notes": "a" * 10_001}, "training_run.bad_notes"),
    ],
)
def test_what_cannot_be_a_name_or_notes_is_refused(
    platform: Platform, create_run: CreateRun, changes: dict[str, Any], code: str
):
    create_run()
    with pytest.raises(Invalid) as refusal:
        platform.run_stewardship.edit(ADMIN, "first", **changes)
    assert refusal.value.code == code


def test_a_name_is_taken_once_among_runs_and_models(platform: Platform, create_run: CreateRun):
    create_run()
    create_run(name="second")
    with pytest.raises(Conflict) as refusal:
        platform.run_stewardship.edit(ADMIN, "second", name="first")
    assert refusal.value.code == "training_run.name_taken"
    with pytest.raises(Conflict) as refusal:
        platform.run_stewardship.edit(ADMIN, "second", name="rtmdet-tiny")
    assert refusal.value.code == "trained_model.name_taken"


def test_a_run_that_has_its_model_may_be_named_as_the_model_again(platform: Platform, create_run: CreateRun):
    run = create_run()
    change(platform, run, status="Success", model_id=make_id(), model_name="rtmdet-tiny", name="other")
    assert platform.run_stewardship.edit(ADMIN, "other", name="rtmdet-tiny").model is not None


def test_priority_is_changed_in_the_queue_and_out_of_it(
    platform: Platform, schedule_run: CreateRun, create_run: CreateRun
):
    schedule_run(name="first")
    schedule_run(name="second")
    assert [entry.run.name for entry in platform.run_queue.list_queue(ADMIN)] == ["first", "second"]
    assert platform.run_control.set_priority(ADMIN, "second", 5).options.priority == 5
    assert [entry.run.name for entry in platform.run_queue.list_queue(ADMIN)] == ["second", "first"]
    create_run(name="draft")
    assert platform.run_control.set_priority(ADMIN, "draft", -3).options.priority == -3


def test_a_deleted_run_is_nowhere_and_its_name_is_free(platform: Platform, create_run: CreateRun):
    run = create_run()
    platform.run_stewardship.delete(ADMIN, "first")
    for ref in ("first", str(run.id)):
        for call in (
            platform.training_runs.get_run,
            platform.training_runs.schedule,
            platform.run_control.cancel,
            platform.run_control.retry,
            platform.run_stewardship.edit,
            platform.run_stewardship.delete,
        ):
            with pytest.raises(NotFound) as refusal:
                call(ADMIN, ref)
            assert refusal.value.code == "training_run.not_found"
    assert platform.training_runs.list_runs(ADMIN, PageRequest()).items == []
    assert list_trash(platform) == [run.id]
    assert create_run().id != run.id


def test_a_run_at_work_is_cancelled_first(platform: Platform, schedule_run: CreateRun):
    run = schedule_run()
    change(platform, run, status="Processing", queue_position=None)
    with pytest.raises(Conflict) as refusal:
        platform.run_stewardship.delete(ADMIN, "first")
    assert refusal.value.code == "training_run.is_processing"
    assert "raven runs cancel first" in refusal.value.hint
    platform.run_control.cancel(ADMIN, "first")
    platform.run_stewardship.delete(ADMIN, "first")


def test_a_waiting_run_leaves_the_queue_and_comes_back_cancelled(platform: Platform, schedule_run: CreateRun):
    run = schedule_run()
    platform.run_stewardship.delete(ADMIN, "first")
    assert platform.run_queue.list_queue(ADMIN) == []
    restored = platform.run_stewardship.restore(ADMIN, run.id)
    assert restored.status is RunStatus.CANCELLED
    assert restored.ended_at is not None
    assert "deleted it" in platform.training_runs.read_log(ADMIN, "first", 0, 1000).text
    assert platform.run_control.retry(ADMIN, "first").status is RunStatus.WAITING


def test_a_restored_run_is_as_it_was(platform: Platform, create_run: CreateRun):
    run = create_run()
    platform.run_stewardship.delete(ADMIN, "first")
    assert platform.run_stewardship.restore(ADMIN, run.id) == run
    assert list_trash(platform) == []
    with pytest.raises(NotFound):
        platform.run_stewardship.restore(ADMIN, run.id)


def test_a_run_whose_name_was_taken_meanwhile_waits_in_the_trash(platform: Platform, create_run: CreateRun):
    run = create_run()
    platform.run_stewardship.delete(ADMIN, "first")
    create_run()
    with pytest.raises(Conflict) as refusal:
        platform.run_stewardship.restore(ADMIN, run.id)
    assert "raven runs edit first --name" in refusal.value.hint
    platform.run_stewardship.edit(ADMIN, "first", name="second")
    assert platform.run_stewardship.restore(ADMIN, run.id).name == "first"


def add_rows(platform: Platform, run: TrainingRunView, count: int) -> None:
    with platform.database.transaction() as session:
        session.execute(
            insert(TrainingRunMetric),
            [
                {"run_id": run.id, "name": "loss", "step": step, "epoch": 0, "value": 0.5}
                for step in range(count)
            ],
        )
        session.execute(
            insert(TrainingRunLogPart),
            [{"run_id": run.id, "start": 9 * n, "content": b"a line\n\n\n"} for n in range(3)],
        )


def count_metrics(platform: Platform) -> int:
    with platform.database.transaction() as session:
        return session.scalar(select(func.count()).select_from(TrainingRunMetric)) or 0


def test_what_was_deleted_before_a_time_goes_for_good(
    platform: Platform, create_run: CreateRun, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trash, "_METRICS_A_STATEMENT", 40)
    old, new, kept = create_run(name="old"), create_run(name="new"), create_run(name="kept")
    for run in (old, new, kept):
        add_rows(platform, run, 100)
    preset = platform.presets.save(ADMIN, name="of old", run="old")
    platform.run_stewardship.delete(ADMIN, "old")
    platform.run_stewardship.delete(ADMIN, "new")
    change(platform, old, deleted_at=datetime.now(UTC) - timedelta(days=31))
    assert platform.run_stewardship.purge(ADMIN, datetime.now(UTC) - timedelta(days=30)) == 1
    assert list_trash(platform) == [new.id]
    assert count_metrics(platform) == 200
    assert platform.presets.get_preset(ADMIN, preset.name).run_name == "old"
    assert platform.run_stewardship.purge(ADMIN, LATER, id_=kept.id) == 0
    assert platform.run_stewardship.purge(ADMIN, LATER, id_=new.id) == 1
    assert count_metrics(platform) == 100
    assert platform.training_runs.get_run(ADMIN, "kept") == kept


def test_a_purge_that_was_cut_short_goes_on_and_nothing_half_gone_is_restored(
    platform: Platform, create_run: CreateRun, monkeypatch: pytest.MonkeyPatch
):
    run = create_run()
    add_rows(platform, run, 100)
    platform.run_stewardship.delete(ADMIN, "first")
    with monkeypatch.context() as patch:
        patch.setattr(trash, "_METRICS_A_STATEMENT", 10)

        def stop(*_: object) -> str | None:
            raise KeyboardInterrupt

        patch.setattr(trash, "remove_run", stop)
        with pytest.raises(KeyboardInterrupt):
            platform.run_stewardship.purge(ADMIN, LATER)
    assert list_trash(platform) == []
    with pytest.raises(NotFound):
        platform.run_stewardship.restore(ADMIN, run.id)
    # Also one that looks for what was deleted long ago alone.
    assert platform.run_stewardship.purge(ADMIN, datetime(2000, 1, 1, tzinfo=UTC)) == 1
    assert platform.run_stewardship.purge(ADMIN, LATER) == 0


@pytest.mark.parametrize(
    ("claim", "call"),
    [
        (Claim.TRAINING_RUN_EDIT, lambda platform, actor: platform.run_stewardship.edit(actor, "first")),
        (Claim.TRAINING_RUN_DELETE, lambda platform, actor: platform.run_stewardship.delete(actor, "first")),
        (
            Claim.TRAINING_RUN_SCHEDULE,
            lambda platform, actor: platform.run_control.set_priority(actor, "first", 1),
        ),
    ],
)
def test_who_may_see_a_run_but_not_act_is_told_so_and_who_may_not_see_it_is_not(
    platform: Platform, create_run: CreateRun, claim: Claim, call: Callable[[Platform, Actor], object]
):
    create_run()
    with pytest.raises(Forbidden):
        call(platform, without(claim))
    with pytest.raises(NotFound):
        call(platform, without(Claim.TRAINING_RUN_VIEW))
    call(platform, ADMIN)


def test_the_trash_needs_the_claim_to_delete(platform: Platform):
    actor = without(Claim.TRAINING_RUN_DELETE)
    for call in (
        lambda: platform.run_stewardship.list_deleted(actor, PageRequest()),
        lambda: platform.run_stewardship.restore(actor, make_id()),
        lambda: platform.run_stewardship.purge(actor, LATER),
    ):
        with pytest.raises(Forbidden):
            call()


def test_runs_are_looked_after_over_rest(platform: Platform, create_run: CreateRun):
    create_run()
    with TestClient(build_app(platform, token=None, allow_server_paths=False)) as client:
        path = "/api/v1/training-runs/first"
        etag = client.get(path).headers["ETag"]
        answer = client.patch(path, json={"notes": "Seen."}, headers={"If-Match": etag})
        assert (answer.status_code, answer.json()["notes"]) == (200, "Seen.")
        assert answer.headers["ETag"] != etag
        assert client.patch(path, json={"notes": "No."}, headers={"If-Match": etag}).status_code == 412
        for body in (
            '{"status": "Success"}',
            '{"notes": "\\ud800"}',
            '{"name": "\\u0000"}',
            '{"name": "\\udfff"}',
            "[]",
        ):
            assert client.patch(path, content=body).status_code == 422, body
        assert client.post(f"{path}/priority", json={"priority": 7}).json()["options"]["priority"] == 7
        assert client.post(f"{path}/priority", json={"priority": 1001}).status_code == 422
        assert client.delete(path).status_code == 204
        assert client.get(path).status_code == 404


def test_a_model_outlives_its_run_with_its_lineage(
    platform: Platform, schedule_run: CreateRun, tmp_path: Path
):
    run = schedule_run()
    attempt = platform.execution.begin_next(WORKER, worker="here:1:1.0", free=["cpu"], capacity=["cpu"])
    assert attempt is not None
    platform.run_stewardship.edit(ADMIN, "first", name="renamed at work")
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "weights.safetensors")
    new = NewTrainedModel(
        name=attempt.run_name,
        architecture=run.architecture,
        classes=["waste"],
        starting_weights=None,
        weights_digest=platform.blobs.put_file(tmp_path / "weights.safetensors"),
        configuration_digest=platform.blobs.put_bytes(b"{}"),
        parameter_count=3,
        valid=Figures(),
        test=Figures(map=0.5),
        leak_allowed=False,
        base_model_id=run.base_model.id,
        dataset_version_id=run.dataset_version.id,
        dataset_version_name=run.dataset_version.name,
        training_run_id=run.id,
        training_run_name=attempt.run_name,
        parameters=attempt.parameters.model_dump(mode="json"),
        environment={},
    )
    model_id = platform.execution.succeed(WORKER, attempt, new, RunProgress())
    assert [each.name for each in platform.run_artifacts.list_artifacts(ADMIN, str(run.id))][4:] == [
        "model-weights.safetensors",
        "model-configuration.json",
    ]
    opened = platform.run_artifacts.open(ADMIN, str(run.id), "model-configuration.json")
    assert opened.path is not None
    assert opened.path.read_bytes() == b"{}"
    platform.run_stewardship.edit(ADMIN, str(run.id), name="renamed afterwards")
    platform.run_stewardship.delete(ADMIN, str(run.id))
    assert platform.run_stewardship.purge(ADMIN, LATER) == 1
    model = platform.trained_models.get_model(ADMIN, str(model_id))
    assert model.name == "renamed at work"
    assert model.created_by == run.created_by != WORKER.name
    assert model.lineage.training_run is not None
    assert (model.lineage.training_run.id, model.lineage.training_run.name) == (run.id, "renamed afterwards")
    assert model.parameters == run.parameters.model_dump(mode="json")
