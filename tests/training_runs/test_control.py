"""Cancel, pause, resume, retry, move, clone: what each does to a run in each status, and who may."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.metric_points import list_points

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER, Actor, Claim
from raven_scan.app.wiring import Platform
from raven_scan.jobs.lease import LeaseLost
from raven_scan.kernel.cursors import make_cursor
from raven_scan.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from raven_scan.kernel.paging import PageRequest
from raven_scan.training_runs.attempt import Attempt, Checkpoint
from raven_scan.training_runs.transitions import MOST_FRUITLESS_ATTEMPTS
from raven_scan.training_runs.types import (
    AttemptEnd,
    DeviceKind,
    MetricPoint,
    RunError,
    RunEstimate,
    RunOptions,
    RunProgress,
    RunStatus,
    TrainingRunView,
)

ADMIN = LOCAL_ADMINISTRATOR
CreateRun = Callable[..., TrainingRunView]
ScheduleRun = Callable[..., TrainingRunView]


def without(claim: Claim) -> Actor:
    return Actor(id=ADMIN.id, name="somebody", claims=ADMIN.claims - {claim})


def begin(
    platform: Platform, *, free: list[str] | None = None, capacity: list[str] | None = None
) -> Attempt | None:
    free = free or ["cpu"]
    return platform.execution.begin_next(
        WORKER, worker="elsewhere:1:0.00", free=free, capacity=capacity or free
    )


def hold(platform: Platform, **devices: Any) -> Attempt:
    attempt = begin(platform, **devices)
    assert attempt is not None
    return attempt


def keep_checkpoint(platform: Platform, attempt: Attempt, step: int):
    digest = platform.blobs.put_bytes(f"checkpoint {step}".encode())
    platform.execution.record(
        WORKER,
        attempt,
        progress=RunProgress(step=step),
        points=[MetricPoint("loss", step, 0, 1.0)],
        warnings=[],
        best=None,
        checkpoint=Checkpoint(step=step, epoch=0, position=step, digest=digest, size_bytes=9),
        log=b"",
        log_position=0,
    )


def read(platform: Platform, ref: str = "first") -> TrainingRunView:
    return platform.training_runs.get_run(ADMIN, ref)


def list_names(platform: Platform) -> list[str]:
    return [entry.run.name for entry in platform.run_queue.list_queue(ADMIN)]


class TestPagesOfTheQueue:
    def test_pages_are_the_queue_though_it_moves_on(self, platform: Platform, schedule_run: ScheduleRun):
        for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", -1), ("e", 5)):
            schedule_run(name=name, options=RunOptions(priority=priority))
        whole = platform.run_queue.list_queue(ADMIN)
        assert [entry.run.name for entry in whole] == ["b", "e", "a", "c", "d"]
        first = platform.run_queue.list_page(ADMIN, PageRequest(limit=2))
        assert first.items == whole[:2]
        # What the cursor stands behind may be gone when it is used.
        platform.run_control.cancel(ADMIN, "e")
        second = platform.run_queue.list_page(ADMIN, PageRequest(limit=2, cursor=first.next))
        assert [(entry.place, entry.run.name) for entry in second.items] == [(2, "a"), (3, "c")]
        third = platform.run_queue.list_page(ADMIN, PageRequest(limit=2, cursor=second.next))
        assert [entry.run.name for entry in third.items] == ["d"]
        assert third.next is None

    @pytest.mark.parametrize("value", ["x", [1, "2"], [1], None, [0.5, 1]])
    def test_cursors_of_others_are_refused(self, platform: Platform, value: object):
        for cursor in (
            make_cursor("queue", "place", value, ADMIN.id),
            make_cursor("users", "name", "x", ADMIN.id),
        ):
            with pytest.raises(Invalid) as caught:
                platform.run_queue.list_page(ADMIN, PageRequest(cursor=cursor))
            assert caught.value.code in {"paging.bad_cursor", "paging.other_cursor"}
        with pytest.raises(Invalid):
            platform.run_queue.list_page(ADMIN, PageRequest(sort="-place"))


class TestCancel:
    def test_one_that_waits_never_begins(self, platform: Platform, schedule_run: ScheduleRun):
        schedule_run()
        assert platform.run_control.cancel(ADMIN, "first").status is RunStatus.CANCELLED
        assert begin(platform) is None
        assert (
            "Cancelled by local administrator."
            in platform.training_runs.read_log(ADMIN, "first", 0, 999).text
        )

    def test_one_that_is_processed_is_taken_from_its_worker_and_keeps_its_checkpoint(
        self, platform: Platform, schedule_run: ScheduleRun
    ):
        schedule_run()
        attempt = hold(platform)
        keep_checkpoint(platform, attempt, 3)
        view = platform.run_control.cancel(ADMIN, "first")
        assert view.status is RunStatus.CANCELLED
        assert view.ended_at is not None
        assert [each.step for each in view.checkpoints] == [3]
        with pytest.raises(LeaseLost):
            platform.execution.beat(WORKER, attempt)

    def test_a_retry_waits_until_the_cancelled_attempt_has_ended(
        self, platform: Platform, schedule_run: ScheduleRun
    ):
        schedule_run()
        attempt = hold(platform)
        platform.run_control.cancel(ADMIN, "first")
        platform.run_control.retry(ADMIN, "first")
        assert begin(platform) is None
        assert [entry.reason_code for entry in platform.run_queue.list_queue(ADMIN)] == [
            "earlier_attempt_ending"
        ]
        platform.execution.end_void_attempt(WORKER, attempt)
        assert hold(platform).fence == 2

    @pytest.mark.parametrize("status", [RunStatus.DRAFT, RunStatus.CANCELLED])
    def test_one_that_is_not_under_way_is_refused(
        self, platform: Platform, create_run: CreateRun, status: RunStatus
    ):
        create_run()
        if status is RunStatus.CANCELLED:
            platform.training_runs.schedule(ADMIN, "first")
            platform.run_control.cancel(ADMIN, "first")
        with pytest.raises(Conflict) as refusal:
            platform.run_control.cancel(ADMIN, "first")
        assert refusal.value.code == "training_run.not_cancelled"
        assert str(status) in refusal.value.message


class TestPause:
    def test_one_that_waits_is_paused_at_once_and_waits_again_when_resumed(
        self, platform: Platform, schedule_run: ScheduleRun
    ):
        schedule_run()
        assert platform.run_control.pause(ADMIN, "first").status is RunStatus.PAUSED
        assert begin(platform) is None
        assert platform.run_control.resume(ADMIN, "first").status is RunStatus.WAITING
        assert begin(platform) is not None

    def test_one_that_is_processed_is_asked_and_paused_by_its_worker(
        self, platform: Platform, schedule_run: ScheduleRun
    ):
        schedule_run()
        attempt = hold(platform)
        assert platform.execution.beat(WORKER, attempt) is False
        view = platform.run_control.pause(ADMIN, "first")
        assert (view.status, view.is_pausing) == (RunStatus.PROCESSING, True)
        assert platform.execution.beat(WORKER, attempt) is True
        platform.execution.hand_back(WORKER, attempt, "")
        view = read(platform)
        assert (view.status, view.is_pausing) == (RunStatus.PAUSED, False)
        assert view.attempts[0].end is AttemptEnd.PAUSED

    def test_one_that_succeeds_before_it_paused_is_not_paused_afterwards(
        self, platform: Platform, schedule_run: ScheduleRun
    ):
        schedule_run()
        attempt = hold(platform)
        platform.run_control.pause(ADMIN, "first")
        platform.execution.fail(WORKER, attempt, RunError(code="diverged", message="No.", hint="Lower it."))
        assert (read(platform).status, read(platform).is_pausing) == (RunStatus.ERROR, False)

    def test_only_a_paused_run_is_resumed(self, platform: Platform, schedule_run: ScheduleRun):
        schedule_run()
        with pytest.raises(Conflict) as refusal:
            platform.run_control.resume(ADMIN, "first")
        assert refusal.value.code == "training_run.not_resumed"


class TestRetry:
    def test_a_failed_run_goes_on_from_its_checkpoint(self, platform: Platform, schedule_run: ScheduleRun):
        schedule_run()
        attempt = hold(platform)
        keep_checkpoint(platform, attempt, 5)
        platform.execution.fail(WORKER, attempt, RunError(code="diverged", message="No.", hint="Lower it."))
        view = platform.run_control.retry(ADMIN, "first")
        assert (view.status, view.error, view.ended_at) == (RunStatus.WAITING, None, None)
        assert [each.step for each in hold(platform).checkpoints] == [5]

    def test_from_the_start_nothing_is_left_of_what_it_did(
        self, platform: Platform, schedule_run: ScheduleRun
    ):
        schedule_run()
        attempt = hold(platform)
        keep_checkpoint(platform, attempt, 5)
        digest = read(platform).checkpoints[0].digest
        platform.execution.fail(WORKER, attempt, RunError(code="diverged", message="No.", hint="Lower it."))
        view = platform.run_control.retry(ADMIN, "first", from_start=True)
        assert view.checkpoints == []
        assert not platform.blobs.has(digest)
        assert list_points(platform, "first") == []

    def test_a_run_that_waits_is_refused(self, platform: Platform, schedule_run: ScheduleRun):
        schedule_run()
        with pytest.raises(Conflict) as refusal:
            platform.run_control.retry(ADMIN, "first")
        assert refusal.value.code == "training_run.not_retried"


class TestQueue:
    def test_runs_begin_by_priority_and_then_in_the_order_they_were_scheduled(
        self, platform: Platform, schedule_run: ScheduleRun
    ):
        schedule_run(name="a")
        schedule_run(name="b")
        schedule_run(name="urgent", options=RunOptions(priority=5))
        assert list_names(platform) == ["urgent", "a", "b"]
        assert [hold(platform).run_name for _ in range(3)] == ["urgent", "a", "b"]

    @pytest.mark.parametrize(
        ("moved", "place", "order"),
        [
            ("c", 1, ["c", "a", "b", "d"]),
            ("a", 3, ["b", "c", "a", "d"]),
            ("b", 99, ["a", "c", "d", "b"]),
            ("b", 2, ["a", "b", "c", "d"]),
        ],
    )
    def test_a_run_is_moved_to_a_place(
        self, platform: Platform, schedule_run: ScheduleRun, moved: str, place: int, order: list[str]
    ):
        for name in "abcd":
            schedule_run(name=name)
        platform.run_control.move(ADMIN, moved, place)
        assert list_names(platform) == order

    def test_a_place_among_runs_of_another_priority_is_kept(
        self, platform: Platform, schedule_run: ScheduleRun
    ):
        schedule_run(name="high", options=RunOptions(priority=9))
        schedule_run(name="low")
        schedule_run(name="mine", options=RunOptions(priority=3))
        platform.run_control.move(ADMIN, "mine", 1)
        assert list_names(platform) == ["mine", "high", "low"]
        platform.run_control.move(ADMIN, "mine", 3)
        assert list_names(platform) == ["high", "low", "mine"]

    def test_runs_that_come_back_begin_before_all_others_in_the_order_they_came_back(
        self, platform: Platform, schedule_run: ScheduleRun
    ):
        for name in "abc":
            schedule_run(name=name)
        a, b, c = (hold(platform) for _ in range(3))
        schedule_run(name="new")
        platform.execution.hand_back(WORKER, b, "stopped")
        platform.execution.lose(WORKER, c, RunError("crashed", "It crashed.", ""))
        schedule_run(name="newer")
        platform.execution.hand_back(WORKER, a, "stopped")
        assert list_names(platform) == ["b", "c", "a", "new", "newer"]
        assert [hold(platform).run_name for _ in range(5)] == ["b", "c", "a", "new", "newer"]

    def test_a_run_that_is_scheduled_comes_behind_one_that_came_back(
        self, platform: Platform, schedule_run: ScheduleRun
    ):
        schedule_run(name="a")
        schedule_run(name="b")
        a, b = hold(platform), hold(platform)
        platform.execution.hand_back(WORKER, b, "stopped")
        schedule_run(name="new")
        platform.execution.hand_back(WORKER, a, "stopped")
        assert list_names(platform) == ["b", "a", "new"]

    def test_only_a_run_that_waits_is_moved(self, platform: Platform, create_run: CreateRun):
        create_run()
        with pytest.raises(Conflict) as refusal:
            platform.run_control.move(ADMIN, "first", 1)
        assert refusal.value.code == "training_run.not_moved"

    def test_a_run_for_later_lets_others_pass(self, platform: Platform, schedule_run: ScheduleRun):
        later = datetime.now(UTC) + timedelta(hours=2)
        schedule_run(name="later", options=RunOptions(start_at=later))
        schedule_run(name="now")
        assert hold(platform).run_name == "now"
        assert begin(platform) is None
        entry = platform.run_queue.list_queue(ADMIN)[0]
        assert entry.reason_code == "starts_later"

    def test_a_run_is_given_to_a_worker_that_has_its_devices(
        self, platform: Platform, schedule_run: ScheduleRun
    ):
        schedule_run(name="gpu", options=RunOptions(device_kind=DeviceKind.CUDA))
        schedule_run(name="any")
        assert hold(platform, free=["cpu"]).run_name == "any"
        assert begin(platform, free=["cpu"]) is None
        assert hold(platform, free=["cuda:1"]).devices == ["cuda:1"]

    def test_a_run_that_does_not_care_gets_a_gpu_where_there_is_one(
        self, platform: Platform, schedule_run: ScheduleRun
    ):
        schedule_run()
        assert begin(platform, free=["cpu"], capacity=["cpu", "cuda:0"]) is None
        assert hold(platform, free=["cpu", "cuda:0"]).devices == ["cuda:0"]

    def test_a_run_for_two_devices_is_not_overtaken_for_ever(
        self, platform: Platform, schedule_run: ScheduleRun
    ):
        both = ["cuda:0", "cuda:1"]
        schedule_run(name="wide", options=RunOptions(device_kind=DeviceKind.CUDA, device_count=2))
        schedule_run(name="narrow")
        assert begin(platform, free=["cuda:1"], capacity=both) is None
        assert hold(platform, free=both).devices == both
        assert hold(platform, free=["cuda:0"], capacity=["cuda:0"]).run_name == "narrow"

    def test_why_a_run_waits_follows_from_the_workers(self, platform: Platform, schedule_run: ScheduleRun):
        schedule_run(name="a")
        schedule_run(name="b", options=RunOptions(device_kind=DeviceKind.CUDA))
        assert {entry.reason_code for entry in platform.run_queue.list_queue(ADMIN)} == {"no_worker"}
        platform.workers.beat("elsewhere:1:0.00", ["cpu"])
        codes = [entry.reason_code for entry in platform.run_queue.list_queue(ADMIN)]
        assert codes == ["about_to_start", "no_such_device"]
        hold(platform)
        schedule_run(name="c")
        schedule_run(name="d")
        entries = platform.run_queue.list_queue(ADMIN)
        codes = [entry.reason_code for entry in entries]
        assert codes == ["no_such_device", "devices_busy", "devices_busy"]
        assert [entry.reason for entry in entries[1:]] == [
            "The devices that it could use are busy with 'a'. Nobody knows yet how long 'a' will take.",
            "The devices that it could use are busy with 'a'. Nobody knows yet how long 'a' will take.",
        ]
        worker = platform.run_queue.list_workers(ADMIN)[0]
        assert [(slot.device, slot.run.name if slot.run else None) for slot in worker.slots] == [("cpu", "a")]

    def test_a_start_is_expected_after_what_runs_before_it_will_take(
        self, platform: Platform, schedule_run: ScheduleRun
    ):
        schedule_run(name="a")
        platform.workers.beat("elsewhere:1:0.00", ["cpu"])
        attempt = hold(platform)
        platform.execution.record(
            WORKER,
            attempt,
            progress=RunProgress(phase="training", time_left_s=600),
            points=[],
            warnings=[],
            best=None,
            checkpoint=None,
            log=b"",
            log_position=0,
        )
        schedule_run(name="b")
        schedule_run(name="c")
        now = datetime.now(UTC)
        b, c = platform.run_queue.list_queue(ADMIN)
        assert b.expected_start_at
        assert abs((b.expected_start_at - now).total_seconds() - 600) < 30
        assert c.expected_start_at is None


class TestClone:
    def test_a_clone_is_a_draft_with_the_changes(self, platform: Platform, create_run: CreateRun):
        first = create_run(options=RunOptions(priority=4, time_limit_s=60))
        clone = platform.training_runs.clone(
            ADMIN, "first", name="second", parameters={"epochs": 7}, options={"priority": 1}
        )
        assert clone.status is RunStatus.DRAFT
        assert clone.cloned_from == "first"
        assert clone.parameters == first.parameters.model_copy(update={"epochs": 7})
        assert (clone.options.priority, clone.options.time_limit_s) == (1, 60)
        assert clone.dataset_version == first.dataset_version

    def test_a_change_out_of_bounds_is_refused(self, platform: Platform, create_run: CreateRun):
        create_run()
        with pytest.raises(Invalid) as refusal:
            platform.training_runs.clone(ADMIN, "first", name="b", parameters={"epochs": 0}, options={})
        assert "epochs" in refusal.value.message


class TestPresets:
    def test_parameters_of_a_run_are_used_again(self, platform: Platform, create_run: CreateRun):
        first = create_run()
        platform.presets.save(ADMIN, name="good", run="first")
        given = type(first.parameters)(epochs=9)
        second = create_run(name="second", parameters=given, preset="good")
        assert second.parameters == first.parameters.model_copy(
            update={"epochs": 9, "loader_processes": None}
        )
        assert second.preset == "good"
        assert [preset.name for preset in platform.presets.list_presets(ADMIN)] == ["good"]

    def test_a_first_try_on_a_part_of_the_images_leaves_no_fraction_in_a_preset(
        self, platform: Platform, create_run: CreateRun
    ):
        first = create_run()
        create_run(
            name="small", parameters=first.parameters.model_copy(update={"fraction": 0.5, "batch_size": 2})
        )
        assert platform.presets.save(ADMIN, name="good", run="small").parameters.fraction == 1.0

    def test_another_architecture_is_refused(self, platform: Platform, create_run: CreateRun):
        create_run()
        platform.presets.save(ADMIN, name="good", run="first")
        with pytest.raises(Conflict) as refusal:
            create_run(name="second", base_model="yolox-tiny", preset="good")
        assert refusal.value.code == "training_preset.other_architecture"

    def test_names_are_unique_and_a_deleted_one_is_free(self, platform: Platform, create_run: CreateRun):
        create_run()
        platform.presets.save(ADMIN, name="good", run="first")
        with pytest.raises(Conflict):
            platform.presets.save(ADMIN, name="good", run="first")
        platform.presets.delete(ADMIN, "good")
        with pytest.raises(NotFound):
            platform.presets.get_preset(ADMIN, "good")
        platform.presets.save(ADMIN, name="good", run="first")


def test_a_dry_run_leaves_a_draft_with_an_estimate(platform: Platform, create_run: CreateRun):
    create_run()
    run, _ = platform.training_runs.schedule(ADMIN, "first", dry_run=True)
    assert run.is_dry_run
    attempt = hold(platform)
    assert attempt.is_dry_run
    estimate = RunEstimate(
        time_s=90.0,
        memory_mb=500.0,
        step_time_s=0.5,
        validation_image_time_s=0.1,
        checkpoint_time_s=0.1,
        start_time_s=8.0,
        steps=4,
        device="cpu",
    )
    platform.execution.finish_dry_run(WORKER, attempt, estimate)
    view = read(platform)
    assert (view.status, view.is_dry_run, view.estimate) == (RunStatus.DRAFT, False, estimate)
    assert view.attempts[0].end is AttemptEnd.DRY_RUN
    platform.training_runs.schedule(ADMIN, "first")
    assert not hold(platform).is_dry_run


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_dry_run_that_fails_leaves_a_draft_and_says_why(
    platform: Platform, create_run: CreateRun, *, is_lost: bool
):
    create_run()
    error = RunError(code="diverged", message="It diverged.", hint="Lower the rate.")
    platform.training_runs.schedule(ADMIN, "first", dry_run=True)
    if is_lost:
        for _ in range(MOST_FRUITLESS_ATTEMPTS):
            platform.execution.lose(WORKER, hold(platform), error)
    else:
        platform.execution.fail(WORKER, hold(platform), error)
    view = read(platform)
    assert (view.status, view.is_dry_run, view.error) == (RunStatus.DRAFT, False, None)
    assert view.dry_run_error == error
    assert view.attempts[-1].end is AttemptEnd.ERROR
    assert (view.scheduled_at, view.started_at, view.ended_at) == (None, None, None)
    platform.training_runs.schedule(ADMIN, "first")
    assert read(platform).dry_run_error is None
    assert not hold(platform).is_dry_run


@pytest.mark.parametrize(
    ("claim", "call"),
    [
        (Claim.TRAINING_RUN_CANCEL, lambda platform, actor: platform.run_control.cancel(actor, "first")),
        (Claim.TRAINING_RUN_CANCEL, lambda platform, actor: platform.run_control.pause(actor, "first")),
        (Claim.TRAINING_RUN_SCHEDULE, lambda platform, actor: platform.run_control.move(actor, "first", 1)),
        (Claim.TRAINING_RUN_VIEW, lambda platform, actor: platform.run_queue.list_queue(actor)),
        (Claim.SYSTEM_VIEW, lambda platform, actor: platform.run_queue.list_workers(actor)),
        (Claim.TRAINING_RUN_VIEW, lambda platform, actor: platform.presets.list_presets(actor)),
        (
            Claim.TRAINING_RUN_CREATE,
            lambda platform, actor: platform.presets.save(actor, name="good", run="first"),
        ),
        (
            Claim.TRAINING_RUN_CREATE,
            lambda platform, actor: platform.training_runs.clone(
                actor, "first", name="second", parameters={}, options={}
            ),
        ),
    ],
)
def test_each_use_case_asks_for_its_claim(
    platform: Platform, schedule_run: ScheduleRun, claim: Claim, call: Callable[[Platform, Actor], object]
):
    schedule_run()
    with pytest.raises(Forbidden):
        call(platform, without(claim))
    call(platform, ADMIN)


@pytest.mark.parametrize(
    ("make_ready", "verb"),
    [
        (lambda platform: platform.run_control.pause(ADMIN, "first"), "resume"),
        (lambda platform: platform.run_control.cancel(ADMIN, "first"), "retry"),
    ],
)
def test_what_starts_a_run_again_asks_for_the_claim_to_schedule(
    platform: Platform, schedule_run: ScheduleRun, make_ready: Callable[[Platform], object], verb: str
):
    schedule_run()
    make_ready(platform)
    with pytest.raises(Forbidden):
        getattr(platform.run_control, verb)(without(Claim.TRAINING_RUN_SCHEDULE), "first")
    getattr(platform.run_control, verb)(ADMIN, "first")
