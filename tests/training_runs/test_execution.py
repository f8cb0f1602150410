"""What a worker writes, and that only the one who holds the run can."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from safetensors.numpy import save_file
from sqlalchemy import text
from tests.metric_points import list_points

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.wiring import Platform, build_services
from raven_scan.jobs.held_attempts import release_attempt
from raven_scan.jobs.lease import LeaseLost
from raven_scan.jobs.worker_names import make_worker_name
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Forbidden
from raven_scan.kernel.settings import Settings
from raven_scan.trained_models.types import Figures, NewTrainedModel
from raven_scan.training_runs.announcements import RunAnnouncer
from raven_scan.training_runs.attempt import Attempt, Checkpoint
from raven_scan.training_runs.execution import CHECKPOINTS_KEPT
from raven_scan.training_runs.recovery import TrainingRunRecovery
from raven_scan.training_runs.run_folder import AttemptFolder
from raven_scan.training_runs.transitions import MOST_FRUITLESS_ATTEMPTS
from raven_scan.training_runs.types import (
    AttemptEnd,
    MetricPoint,
    RunError,
    RunOptions,
    RunProgress,
    RunStatus,
    TrainingRunView,
)

ADMIN = LOCAL_ADMINISTRATOR
ScheduleRun = Callable[..., TrainingRunView]
TOLD_BYTES: Counter[tuple[UUID, int]] = Counter()
"""How much each attempt has told of its log."""
ERROR = RunError(code="crashed", message="It crashed.", hint="Look at the log.", log_tail=["boom"])


def begin(platform: Platform, worker: str = "elsewhere:1:0.00", **devices: Any) -> Attempt | None:
    given = {"free": ["cpu"], "capacity": ["cpu"], **devices}
    return platform.execution.begin_next(WORKER, worker=worker, **given)


def hold(platform: Platform, run: TrainingRunView, **options: Any) -> Attempt:
    attempt = begin(platform, **options)
    assert attempt is not None
    assert attempt.run_id == run.id
    return attempt


def record(platform: Platform, attempt: Attempt, **values: Any):
    told: dict[str, Any] = {
        "progress": RunProgress(),
        "points": [],
        "warnings": [],
        "best": None,
        "checkpoint": None,
        "log": b"",
        "log_position": TOLD_BYTES[attempt.run_id, attempt.fence],
        **values,
    }
    platform.execution.record(WORKER, attempt, **told)
    TOLD_BYTES[attempt.run_id, attempt.fence] += len(told["log"])


def age_heartbeats(platform: Platform, seconds: float):
    """Time passes without a heartbeat."""
    with platform.database.transaction() as session:
        session.execute(
            text("UPDATE training_run_attempts SET heartbeat_at = heartbeat_at - make_interval(secs => :s)"),
            {"s": seconds},
        )


def recover(platform: Platform) -> int:
    """What housekeeping does, without waiting for confirmation."""
    recovery = TrainingRunRecovery(
        platform.database,
        platform.settings,
        platform.clock,
        RunAnnouncer(platform.notifications),
        confirmation_s=0,
    )
    return recovery.recover_lost_runs(WORKER)


def make_checkpoint(platform: Platform, step: int, content: bytes | None = None) -> Checkpoint:
    digest = platform.blobs.put_bytes(content or f"checkpoint of step {step}".encode())
    return Checkpoint(step=step, epoch=1, position=step % 3, digest=digest, size_bytes=1)


def read(platform: Platform, run: TrainingRunView) -> TrainingRunView:
    return platform.training_runs.get_run(ADMIN, str(run.id))


def read_only(platform: Platform) -> TrainingRunView:
    return platform.training_runs.get_run(ADMIN, "first")


def test_one_worker_alone_begins_a_run(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    attempt = hold(platform, run)
    assert begin(platform) is None
    assert attempt.fence == 1
    view = read(platform, run)
    assert view.status is RunStatus.PROCESSING
    assert [each.number for each in view.attempts] == [1]


def test_progress_metrics_and_warnings_are_kept(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    attempt = hold(platform, run)
    before = read(platform, run).warnings
    record(
        platform,
        attempt,
        progress=RunProgress(phase="training", epoch=1, epochs=2, step=3, steps=6, loss=1.5),
        points=[MetricPoint("loss", 3, 1, 1.5), MetricPoint("valid/map", 3, 1, None)],
        warnings=["Careful 'now' %s."],
        best={"map": 0.25},
    )
    view = read(platform, run)
    assert view.progress.loss == 1.5
    assert view.warnings == [*before, "Careful 'now' %s."]
    assert view.best == {"map": 0.25}
    assert list_points(platform, "first", ["loss"]) == [("loss", 3, 1, 1.5)]
    assert len(list_points(platform, "first")) == 2


def test_a_failed_run_says_why(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    attempt = hold(platform, run)
    platform.execution.fail(WORKER, attempt, ERROR)
    view = read(platform, run)
    assert view.status is RunStatus.ERROR
    assert view.error == ERROR
    assert view.attempts[0].end is AttemptEnd.ERROR
    with pytest.raises(LeaseLost):
        record(platform, attempt)


def test_a_worker_that_wakes_up_late_changes_nothing(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    late = hold(platform, run)
    age_heartbeats(platform, 100)
    assert recover(platform) == 1
    assert read(platform, run).status is RunStatus.WAITING
    now = hold(platform, run)
    assert now.fence == 2
    for write in (
        lambda: platform.execution.beat(WORKER, late),
        lambda: record(platform, late, points=[MetricPoint("loss", 1, 0, 9.0)]),
        lambda: platform.execution.fail(WORKER, late, ERROR),
        lambda: platform.execution.hand_back(WORKER, late, "stopped"),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert list_points(platform, "first") == []
    assert read(platform, run).status is RunStatus.PROCESSING
    platform.execution.beat(WORKER, now)


def test_a_heartbeat_keeps_the_lease(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    attempt = hold(platform, run)
    age_heartbeats(platform, 100)
    platform.execution.beat(WORKER, attempt)
    assert recover(platform) == 0


def test_a_silent_worker_of_this_machine_keeps_its_run_while_it_lives(
    platform: Platform, schedule_run: ScheduleRun
):
    run = schedule_run()
    hold(platform, run, worker=make_worker_name())
    age_heartbeats(platform, 5)
    assert recover(platform) == 0


def test_a_dead_worker_of_this_machine_is_lost_at_once(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    host, pid, mark = make_worker_name().rsplit(":", 2)
    hold(platform, run, worker=f"{host}:{pid}:{mark}0")
    age_heartbeats(platform, 5)
    assert recover(platform) == 1


def test_a_run_that_takes_its_workers_down_ends_in_error(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    for _ in range(MOST_FRUITLESS_ATTEMPTS):
        hold(platform, run)
        age_heartbeats(platform, 100)
        recover(platform)
    view = read(platform, run)
    assert view.status is RunStatus.ERROR
    assert view.error
    assert view.error.code == "lost"
    lost = [AttemptEnd.LOST] * (MOST_FRUITLESS_ATTEMPTS - 1)
    assert [each.end for each in view.attempts] == [*lost, AttemptEnd.ERROR]
    platform.run_control.retry(ADMIN, "first")
    hold(platform, run)
    age_heartbeats(platform, 100)
    recover(platform)
    assert read(platform, run).status is RunStatus.WAITING


def test_a_run_that_gets_further_each_time_is_never_given_up(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    for step in range(1, MOST_FRUITLESS_ATTEMPTS + 3):
        attempt = hold(platform, run)
        record(platform, attempt, checkpoint=make_checkpoint(platform, step))
        age_heartbeats(platform, 100)
        assert recover(platform) == 1
    assert read(platform, run).status is RunStatus.WAITING


def test_a_resumed_run_leaves_no_double_metrics(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    attempt = hold(platform, run)
    points = [MetricPoint("loss", step, 0, float(step)) for step in range(1, 6)]
    checkpoint = make_checkpoint(platform, 3)
    record(platform, attempt, points=points, checkpoint=checkpoint)
    platform.execution.hand_back(WORKER, attempt, "stopped")
    resumed = hold(platform, run)
    assert resumed.checkpoints == [checkpoint]
    platform.execution.go_on_from(WORKER, resumed, checkpoint)
    steps = [point.step for point in list_points(platform, "first")]
    assert steps == [1, 2, 3]
    record(platform, resumed, points=[MetricPoint("loss", 3, 0, 3.5), MetricPoint("loss", 4, 0, 4.5)])
    values = [point.value for point in list_points(platform, "first")]
    assert values == [1.0, 2.0, 3.5, 4.5]


def test_the_last_checkpoints_are_kept_and_others_removed(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    attempt = hold(platform, run)
    made = [make_checkpoint(platform, step) for step in range(1, 6)]
    for checkpoint in made:
        record(platform, attempt, checkpoint=checkpoint)
    kept = read(platform, run).checkpoints
    assert [each.step for each in kept] == [5, 4]
    assert len(kept) == CHECKPOINTS_KEPT
    assert [platform.blobs.has(each.digest) for each in made] == [False, False, False, True, True]
    assert set(platform.recovery.list_blob_digests(ADMIN)) == {each.digest for each in kept}


def test_a_checkpoint_of_the_same_step_replaces_the_one_before(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    attempt = hold(platform, run)
    before, after = (make_checkpoint(platform, 4, content) for content in (b"validation due", b"validated"))
    for checkpoint in (before, after, after):
        record(platform, attempt, checkpoint=checkpoint)
    assert [each.digest for each in read(platform, run).checkpoints] == [after.digest]
    assert not platform.blobs.has(before.digest)
    assert platform.blobs.has(after.digest)


def test_going_on_from_an_earlier_checkpoint_forgets_the_later(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    attempt = hold(platform, run)
    first, second = make_checkpoint(platform, 1), make_checkpoint(platform, 2)
    record(platform, attempt, checkpoint=first)
    record(platform, attempt, checkpoint=second, points=[MetricPoint("loss", 2, 0, 1.0)])
    platform.execution.hand_back(WORKER, attempt, "stopped")
    resumed = hold(platform, run)
    platform.execution.go_on_from(WORKER, resumed, first)
    assert [each.step for each in read(platform, run).checkpoints] == [1]
    assert not platform.blobs.has(second.digest)
    assert list_points(platform, "first") == []


def test_the_log_is_kept_in_the_order_it_was_told(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    attempt = hold(platform, run)
    record(platform, attempt, log=b"one\ntwo\n")
    record(platform, attempt, log="dr\u00fc\n".encode())
    first = platform.training_runs.read_log(ADMIN, "first", 0, 6)
    assert (first.text, first.next_offset, first.size_bytes) == ("one\n", 4, 13)
    assert platform.training_runs.read_log(ADMIN, "first", 4, 100).text == "two\ndr\u00fc\n"
    assert platform.training_runs.read_log(ADMIN, "first", 10_000, 100).text == ""
    platform.execution.hand_back(WORKER, attempt, "stopped")
    again = hold(platform, run)
    record(platform, again, log=b"four\n")
    assert platform.training_runs.read_log(ADMIN, "first", 13, 100).text == "four\n"


def test_what_is_recorded_again_since_the_answer_was_lost_is_there_once(
    platform: Platform, schedule_run: ScheduleRun
):
    attempt = hold(platform, schedule_run())
    before = read_only(platform).warnings
    record(platform, attempt, log=b"one\ntwo\n", log_position=0, warnings=["Careful.", 'With "quotes".'])
    # The commit was done, and nobody heard of it; more has come in meanwhile.
    record(
        platform,
        attempt,
        log=b"one\ntwo\nthree\n",
        log_position=0,
        warnings=["Careful.", 'With "quotes".', "Another."],
    )
    record(platform, attempt, log=b"four\n", log_position=14, warnings=["Another."])
    assert platform.training_runs.read_log(ADMIN, "first", 0, 100).text == "one\ntwo\nthree\nfour\n"
    assert read_only(platform).warnings == [*before, "Careful.", 'With "quotes".', "Another."]


def test_of_a_log_that_grows_too_long_the_middle_is_dropped_and_offsets_stay_true(
    database: Database, settings: Settings, create_run: Callable[..., TrainingRunView]
):
    platform = build_services(settings.model_copy(update={"largest_log_bytes": 10_000}), database, None)
    run = create_run()
    platform.training_runs.schedule(ADMIN, str(run.id))
    attempt = hold(platform, run)
    lines = [f"line {number:05d}\n" for number in range(3000)]
    for start in range(0, 3000, 10):
        record(platform, attempt, log="".join(lines[start : start + 10]).encode())
    whole = "".join(lines)
    kept, offset, missing = "", 0, 0
    while (part := platform.training_runs.read_log(ADMIN, "first", offset, 700)).next_offset > offset:
        assert part.size_bytes == len(whole)
        told = part.text
        if part.missing_bytes:
            marker, told = told.split("\n", 1)
            assert str(part.missing_bytes) in marker
            missing += part.missing_bytes
        assert told == whole[offset + part.missing_bytes : part.next_offset]
        kept += told
        offset = part.next_offset
    assert missing == len(whole) - len(kept)
    assert 9_000 <= len(kept) <= 10_300
    assert kept.startswith(whole[:2400])
    assert kept.endswith(whole[-7400:])
    with platform.database.transaction() as session:
        stored = session.scalar(text("SELECT sum(length(content)) FROM training_run_log_parts"))
    assert stored == len(kept)


def test_a_long_log_is_read_in_pieces_without_a_gap(platform: Platform, schedule_run: ScheduleRun):
    attempt = hold(platform, schedule_run())
    lines = [f"{number:07d}\n" for number in range(100_000)]
    record(platform, attempt, log="".join(lines).encode())
    read_lines: list[str] = []
    offset = 0
    while (part := platform.training_runs.read_log(ADMIN, "first", offset, 70_001)).text:
        read_lines += part.text.splitlines(keepends=True)
        offset = part.next_offset
    assert read_lines == lines


def test_users_may_not_act_as_workers(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    with pytest.raises(Forbidden):
        platform.execution.begin_next(ADMIN, worker="me", free=["cpu"], capacity=["cpu"])
    attempt = hold(platform, run)
    with pytest.raises(Forbidden):
        platform.execution.beat(ADMIN, attempt)
    with pytest.raises(Forbidden):
        platform.execution.fail(ADMIN, attempt, ERROR)
    with pytest.raises(Forbidden):
        platform.recovery.recover_lost_runs(ADMIN)


def test_a_model_that_took_the_runs_name_meanwhile_costs_nobody_the_run(
    platform: Platform, schedule_run: ScheduleRun, tmp_path: Path
):
    run = schedule_run()
    attempt = hold(platform, run)
    file = tmp_path / "weights.safetensors"
    save_file({"weight": np.ones(3, dtype=np.float32)}, file)
    new = NewTrainedModel(
        name=run.name,
        architecture=run.architecture,
        classes=["waste"],
        starting_weights=None,
        weights_digest=platform.blobs.put_file(file),
        configuration_digest=platform.blobs.put_bytes(b"{}"),
        parameter_count=3,
        valid=Figures(),
        test=Figures(map=0.5),
        leak_allowed=False,
        base_model_id=run.base_model.id,
        dataset_version_id=run.dataset_version.id,
        dataset_version_name=run.dataset_version.name,
        training_run_id=uuid4(),
        training_run_name=run.name,
        parameters={},
        environment={},
    )
    platform.trained_models.create_from_run(WORKER, new)
    platform.execution.succeed(
        WORKER, attempt, replace(new, training_run_id=run.id), RunProgress(epoch=2, epochs=2)
    )
    view = read(platform, run)
    assert view.status is RunStatus.SUCCESS
    assert view.model
    assert view.model.name == "first-2"
    assert any("first-2" in warning for warning in view.warnings)
    with pytest.raises(LeaseLost):
        platform.execution.succeed(WORKER, attempt, new, RunProgress())


def test_a_lease_that_ran_out_is_looked_at_twice(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    hold(platform, run)
    age_heartbeats(platform, 100)
    assert platform.recovery.recover_lost_runs(WORKER) == 0
    assert read(platform, run).status is RunStatus.PROCESSING


def test_a_worker_never_takes_its_own_run_for_lost(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    hold(platform, run, worker=make_worker_name())
    age_heartbeats(platform, 100)
    assert recover(platform) == 0


def test_an_attempt_in_ones_own_name_that_one_knows_nothing_of_is_given_up(
    platform: Platform, schedule_run: ScheduleRun
):
    # The database went away after it had begun the attempt, and before it could say so.
    run = schedule_run()
    unknown = hold(platform, run, worker=make_worker_name())
    release_attempt(unknown.run_id, unknown.fence)
    known = hold(platform, schedule_run(name="known"), worker=make_worker_name())
    age_heartbeats(platform, 100)
    assert recover(platform) == 1
    assert read(platform, run).status is RunStatus.WAITING
    assert platform.execution.beat(WORKER, known) is False
    with pytest.raises(LeaseLost):
        platform.execution.beat(WORKER, unknown)


def test_a_run_that_cannot_be_read_ends_and_keeps_no_other_waiting(
    platform: Platform, schedule_run: ScheduleRun
):
    schedule_run(name="unreadable")
    readable = schedule_run(name="readable")
    with platform.database.transaction() as session:
        session.execute(
            text(
                "UPDATE training_runs SET parameters = parameters || '{\"batch_size\": 100000}' "
                "WHERE name = 'unreadable'"
            )
        )
    hold(platform, readable)
    with platform.database.transaction() as session:
        found = session.execute(
            text("SELECT status, error->>'code' FROM training_runs WHERE name = 'unreadable'")
        )
        assert found.one() == ("Error", "refused.parameters")


def test_output_that_no_database_can_keep_hides_no_failure(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    attempt = hold(platform, run)
    platform.execution.fail(WORKER, attempt, replace(ERROR, log_tail=["a\0b"]))
    error = read(platform, run).error
    assert error
    assert error.log_tail == ["a\N{REPLACEMENT CHARACTER}b"]


def test_leftovers_of_killed_workers_are_removed(platform: Platform, schedule_run: ScheduleRun):
    processing = schedule_run(name="works")
    hold(platform, processing)
    waiting = schedule_run(name="waits")
    platform.execution.hand_back(WORKER, hold(platform, waiting), "stopped")
    folders = {
        name: AttemptFolder(platform.settings, run_id, 1)
        for name, run_id in (("works", processing.id), ("waits", waiting.id), ("gone", uuid4()))
    }
    for folder in folders.values():
        folder.create()
    platform.recovery.remove_leftovers(WORKER)
    assert {name for name, folder in folders.items() if folder.path.exists()} == {"works"}


def test_an_attempt_that_began_meanwhile_keeps_its_folder(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    platform.execution.hand_back(WORKER, hold(platform, run), "stopped")
    left, begun = (AttemptFolder(platform.settings, run.id, fence) for fence in (1, 2))
    for folder in (left, begun):
        folder.path.mkdir(parents=True)
    platform.recovery.remove_leftovers(WORKER)
    assert not left.path.exists()
    assert begun.path.exists()


def test_logs_of_earlier_releases_are_taken_over(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    folder = platform.settings.runs_folder / str(run.id)
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("from before\n", encoding="utf-8")
    platform.recovery.adopt_earlier_logs(WORKER)
    assert platform.training_runs.read_log(ADMIN, "first", 0, 100).text == "from before\n"
    assert not (folder / "log.txt").exists()


def test_out_of_memory_is_tried_once_more_with_half_the_batch_where_that_is_allowed(
    platform: Platform, schedule_run: ScheduleRun
):
    run = schedule_run(options=RunOptions(retry_smaller_batch=True))
    attempt = hold(platform, run)
    record(
        platform, attempt, checkpoint=make_checkpoint(platform, 1), points=[MetricPoint("loss", 1, 0, 1.0)]
    )
    failure = RunError(
        code="out_of_memory.device", message="The GPU has too little memory.", hint="Lower it."
    )
    platform.execution.fail(WORKER, attempt, failure)
    view = read(platform, run)
    assert view.status is RunStatus.WAITING
    assert (view.parameters.batch_size, view.parameters.accumulation) == (2, 2)
    assert view.attempts[0].end is AttemptEnd.RETRIED_SMALLER
    assert "batch of 2" in view.warnings[-1]
    assert view.checkpoints == []
    assert list_points(platform, "first") == []
    platform.execution.fail(WORKER, hold(platform, run), failure)
    assert read(platform, run).status is RunStatus.ERROR


def test_out_of_memory_ends_a_run_whose_user_allowed_nothing(platform: Platform, schedule_run: ScheduleRun):
    run = schedule_run()
    platform.execution.fail(WORKER, hold(platform, run), replace(ERROR, code="out_of_memory.host"))
    assert read(platform, run).status is RunStatus.ERROR
