"""What users and machines do to runs while a real worker and real trainers are at work on them."""

import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.metric_points import list_points

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform
from raven_scan.app.worker import BackgroundWorker
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.kernel.errors import Unavailable
from raven_scan.storage.blobs import LocalBlobStore
from raven_scan.training_runs.types import AttemptEnd, RunOptions, RunStatus, TrainingRunView

from .conftest import is_trainer_alive, list_children, write_coco

ADMIN = LOCAL_ADMINISTRATOR
ScheduleRun = Callable[..., TrainingRunView]
TESTS = Path(__file__).resolve().parent.parent
DEADLINE_S = 120.0
TRAIN_IMAGES = 36

QUICK = TrainingParameters(epochs=2, batch_size=4, image_size=64, loader_processes=0)
"""A second of steps."""

LONG = TrainingParameters(
    epochs=1, batch_size=1, image_size=2048, loader_processes=0, checkpoint_minutes=0.01
)
"""One epoch of 36 steps of 128 ms, with a checkpoint a second."""


@pytest.fixture
def coco_folder(tmp_path: Path) -> Path:
    return write_coco(tmp_path / "coco", images_a_part=TRAIN_IMAGES)


@pytest.fixture(autouse=True)
def trainers_on_path(monkeypatch: pytest.MonkeyPatch):
    """Modules of trainers that tests bring: `tiny_trainer`, `trainer_that_misbehaves.…`."""
    folders = [str(TESTS / "chaos"), str(TESTS / "training_runs"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, folders)))


@contextmanager
def run_worker(
    platform: Platform, trainer_module: str = "tiny_trainer", devices: Sequence[str] = ("cpu",)
) -> Generator[BackgroundWorker]:
    worker = BackgroundWorker(platform, devices=devices, trainer_module=trainer_module, drain_s=30.0)
    worker.start()
    try:
        yield worker
    finally:
        assert worker.stop(DEADLINE_S)
        assert not list_children()


def read(platform: Platform, ref: str = "first") -> TrainingRunView:
    return platform.training_runs.get_run(ADMIN, ref)


def read_log(platform: Platform, ref: str = "first") -> str:
    return platform.training_runs.read_log(ADMIN, ref, 0, 1 << 20).text


def wait_for(
    platform: Platform, is_so: Callable[[TrainingRunView], bool], ref: str = "first"
) -> TrainingRunView:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so(view := read(platform, ref)):
        assert time.monotonic() < deadline, f"{view}\n{read_log(platform, ref)}"
        time.sleep(0.05)
    return view


def wait_for_status(platform: Platform, status: RunStatus, ref: str = "first") -> TrainingRunView:
    view = wait_for(platform, lambda view: view.status is status or view.status.is_final, ref)
    assert view.status is status, f"{view}\n{read_log(platform, ref)}"
    return view


def check_metrics(platform: Platform, steps: int, *, resumed_at: int = 0):
    """Each of an attempt's first 20 steps is told; of later ones, where they are fast, a few together."""
    points = list_points(platform, "first", ["loss"])
    told = [point.step for point in points]
    assert told == sorted(set(told)), "the metrics have doubles"
    assert (told[0], told[-1]) == (1, steps)
    assert max(after - before for before, after in pairwise(told)) <= 4, f"the metrics have holes: {told}"
    assert resumed_at == 0 or {resumed_at, resumed_at + 1} <= set(told), f"{resumed_at}: {told}"


def list_ends(view: TrainingRunView) -> list[AttemptEnd | None]:
    return [attempt.end for attempt in view.attempts]


def test_cancelling_answers_at_once_ends_the_trainer_and_keeps_its_checkpoint(
    platform: Platform, schedule_run: ScheduleRun
):
    schedule_run(parameters=LONG)
    with run_worker(platform):
        wait_for(platform, lambda view: len(view.checkpoints) > 0)
        trainers = list_children()
        assert trainers
        before = time.monotonic()
        view = platform.run_control.cancel(ADMIN, "first")
        assert time.monotonic() - before < 1.0
        assert view.status is RunStatus.CANCELLED
        while any(is_trainer_alive(trainer) for trainer in trainers):
            assert time.monotonic() - before < 10.0
            time.sleep(0.05)
        view = wait_for(platform, lambda view: view.attempts[0].ended_at is not None)
        assert list_ends(view) == [AttemptEnd.CANCELLED]
        assert view.status is RunStatus.CANCELLED
        kept = view.checkpoints
        assert kept
        assert all(platform.blobs.verify(each.digest) for each in kept)
        platform.run_control.retry(ADMIN, "first")
        view = wait_for_status(platform, RunStatus.SUCCESS)
    assert list_ends(view) == [AttemptEnd.CANCELLED, AttemptEnd.SUCCESS]
    assert f"Going on from the checkpoint of step {kept[0].step}" in read_log(platform)
    check_metrics(platform, TRAIN_IMAGES, resumed_at=kept[0].step)


def test_pausing_frees_the_slot_and_resuming_goes_on_in_the_middle_of_the_epoch(
    platform: Platform, schedule_run: ScheduleRun
):
    schedule_run(parameters=LONG)
    schedule_run(name="second", parameters=QUICK)
    with run_worker(platform):
        wait_for(platform, lambda view: view.progress.step >= 2)
        assert read(platform, "second").status is RunStatus.WAITING
        assert platform.run_control.pause(ADMIN, "first").is_pausing
        view = wait_for_status(platform, RunStatus.PAUSED)
        last = view.checkpoints[0]
        assert (last.epoch, last.step) == (0, last.position)
        assert 0 < last.position < TRAIN_IMAGES
        assert list_ends(view) == [AttemptEnd.PAUSED]
        wait_for_status(platform, RunStatus.SUCCESS, "second")
        assert platform.run_control.resume(ADMIN, "first").status is RunStatus.WAITING
        view = wait_for_status(platform, RunStatus.SUCCESS)
    assert list_ends(view) == [AttemptEnd.PAUSED, AttemptEnd.SUCCESS]
    assert f"Going on from the checkpoint of step {last.step}, epoch 0" in read_log(platform)
    check_metrics(platform, TRAIN_IMAGES, resumed_at=last.step)
    assert view.checkpoints == []


def test_a_worker_that_is_stopped_hands_its_run_back_and_the_next_goes_on(
    platform: Platform, schedule_run: ScheduleRun
):
    schedule_run(parameters=LONG)
    with run_worker(platform) as worker:
        wait_for(platform, lambda view: view.progress.step >= 2)
        name = worker.name
    view = read(platform)
    assert (view.status, list_ends(view)) == (RunStatus.WAITING, [AttemptEnd.WORKER_STOPPED])
    assert name in view.attempts[0].reason
    last = view.checkpoints[0]
    assert last.step == view.progress.step >= 2
    with run_worker(platform):
        view = wait_for_status(platform, RunStatus.SUCCESS)
    assert list_ends(view) == [AttemptEnd.WORKER_STOPPED, AttemptEnd.SUCCESS]
    check_metrics(platform, TRAIN_IMAGES, resumed_at=last.step)


def test_a_checkpoint_that_was_damaged_falls_back_to_the_one_before(
    platform: Platform, schedule_run: ScheduleRun
):
    schedule_run(parameters=LONG)
    with run_worker(platform):
        wait_for(platform, lambda view: len(view.checkpoints) == 2)
    last, before = read(platform).checkpoints
    damage(platform.blobs.get_path(last.digest))
    with run_worker(platform):
        wait_for_status(platform, RunStatus.SUCCESS)
    log = read_log(platform)
    assert f"The checkpoint of step {last.step} is missing or damaged" in log
    assert f"Going on from the checkpoint of step {before.step}" in log
    check_metrics(platform, TRAIN_IMAGES, resumed_at=before.step)


def damage(path: Path):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = bytes(byte ^ 0xFF for byte in content[middle : middle + 8])
    path.chmod(0o600)
    path.write_bytes(content)


def test_a_run_that_failed_is_tried_again_once_its_cause_is_gone(
    platform: Platform, schedule_run: ScheduleRun
):
    schedule_run(parameters=QUICK)
    with run_worker(platform, "trainer_that_misbehaves.refuse"):
        view = wait_for_status(platform, RunStatus.ERROR)
    assert view.error
    platform.run_control.retry(ADMIN, "first")
    with run_worker(platform):
        view = wait_for_status(platform, RunStatus.SUCCESS)
    assert list_ends(view) == [AttemptEnd.ERROR, AttemptEnd.SUCCESS]
    assert view.error is None
    check_metrics(platform, 2 * TRAIN_IMAGES // 4)


def test_a_run_that_takes_longer_than_its_limit_ends_in_error_and_keeps_its_checkpoint(
    platform: Platform, schedule_run: ScheduleRun
):
    schedule_run(parameters=LONG, options=RunOptions(time_limit_s=3600))
    with run_worker(platform):
        wait_for(platform, lambda view: view.progress.step >= 2)
        platform.run_control.pause(ADMIN, "first")
        kept = wait_for_status(platform, RunStatus.PAUSED).checkpoints
        with platform.database.transaction() as session:
            session.execute(
                text("UPDATE training_run_attempts SET started_at = started_at - interval '59 min 57 s'")
            )
        platform.run_control.resume(ADMIN, "first")
        view = wait_for_status(platform, RunStatus.ERROR)
    assert view.error
    assert view.error.code == "time_limit"
    assert view.error.evidence == {"time_limit_s": 3600}
    assert view.checkpoints[0].step >= kept[0].step
    assert list_ends(view) == [AttemptEnd.PAUSED, AttemptEnd.ERROR]


def test_a_trainer_that_hangs_is_killed_and_tried_again_but_not_for_ever(
    platform: Platform, schedule_run: ScheduleRun
):
    schedule_run(parameters=QUICK)
    impatient = replace(platform, settings=platform.settings.model_copy(update={"hang_timeout_s": 0.5}))
    with run_worker(impatient, "trainer_that_misbehaves.hang"):
        view = wait_for_status(platform, RunStatus.ERROR)
    assert view.error
    assert view.error.code == "hung"
    assert view.error.evidence["silent_s"] >= 0.5
    assert list_ends(view)[:-1] == [AttemptEnd.LOST] * (len(view.attempts) - 1)
    assert len(view.attempts) > 1


def test_a_run_for_later_begins_when_its_time_has_come(platform: Platform, schedule_run: ScheduleRun):
    start_at = datetime.now(UTC) + timedelta(seconds=2)
    schedule_run(parameters=QUICK, options=RunOptions(start_at=start_at))
    with run_worker(platform):
        view = wait_for(platform, lambda view: len(view.attempts) > 0)
        assert start_at <= view.attempts[0].started_at < start_at + timedelta(seconds=10)
        wait_for_status(platform, RunStatus.SUCCESS)


class StoreThatIsFullOnce(LocalBlobStore):
    """Has no room for the first file that it is to take in."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.refused = 0

    def adopt_file(self, path: Path) -> str:
        if self.refused == 0:
            self.refused += 1
            raise Unavailable("storage.write_failed", "No space left on device.", hint="Free some space.")
        return super().adopt_file(path)


def test_a_checkpoint_that_finds_no_room_is_told_and_the_run_goes_on(
    platform: Platform, schedule_run: ScheduleRun
):
    schedule_run(parameters=LONG)
    store = StoreThatIsFullOnce(platform.settings.blobs_folder)
    with run_worker(replace(platform, blobs=store)):
        wait_for(platform, lambda view: len(view.checkpoints) > 0)
        view = wait_for_status(platform, RunStatus.SUCCESS)
    assert store.refused == 1
    assert any("could not be kept: No space left on device." in warning for warning in view.warnings)
    assert list_ends(view) == [AttemptEnd.SUCCESS]
    check_metrics(platform, TRAIN_IMAGES)


def test_out_of_memory_it_trains_with_half_the_batch_where_that_is_allowed(
    platform: Platform, schedule_run: ScheduleRun
):
    schedule_run(parameters=QUICK, options=RunOptions(retry_smaller_batch=True))
    with run_worker(platform, "trainer_that_misbehaves.memory_for_two"):
        view = wait_for_status(platform, RunStatus.SUCCESS)
    assert list_ends(view) == [AttemptEnd.RETRIED_SMALLER, AttemptEnd.SUCCESS]
    assert (view.parameters.batch_size, view.parameters.accumulation) == (2, 2)


def test_two_slots_do_two_runs_at_once(platform: Platform, schedule_run: ScheduleRun):
    for name in ("first", "second", "third"):
        schedule_run(name=name, parameters=LONG if name == "first" else QUICK)
    with run_worker(platform, devices=["cpu", "cpu"]):
        wait_for(platform, lambda view: view.status is RunStatus.PROCESSING, "second")
        (worker,) = platform.run_queue.list_workers(ADMIN)
        assert sorted(slot.run.name for slot in worker.slots if slot.run) == ["first", "second"]
        (waiting,) = platform.run_queue.list_queue(ADMIN)
        assert (waiting.run.name, waiting.reason_code) == ("third", "devices_busy")
        wait_for_status(platform, RunStatus.SUCCESS, "third")
        wait_for_status(platform, RunStatus.SUCCESS)
