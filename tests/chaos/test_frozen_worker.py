"""Workers that die or freeze in the middle of a run, one by one, with the settings that users have."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from tests.chaos import processes
from tests.chaos.workers import start_worker
from tests.metric_points import list_points
from tests.training_runs.conftest import write_coco

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.types import AttemptEnd, RunStatus, TrainingRunView

ADMIN = LOCAL_ADMINISTRATOR
EPOCHS = 16
STEPS_AN_EPOCH = 16
DEADLINE_S = 120.0
GONE_WITHIN_S = 2.0
TAKEN_OVER_WITHIN_S = 20.0
# Steps of 40 ms: a run of ten seconds.
PARAMETERS = TrainingParameters(
    epochs=EPOCHS, batch_size=1, image_size=640, checkpoint_minutes=0.01, loader_processes=1
)
DEFAULTS = {"RAVEN_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}


@pytest.fixture
def platform(settings: Settings, tmp_path: Path) -> Generator[Platform]:
    """With a run that waits, and an embedded database that worker processes share."""
    (tmp_path / "witness").mkdir()
    with build_platform(settings) as platform:
        platform.datasets.import_version(
            ADMIN,
            write_coco(tmp_path / "coco", images_a_part=STEPS_AN_EPOCH),
            ImportOptions(name="squares"),
            ignore_progress,
        )
        platform.training_runs.create(
            ADMIN, name="first", dataset="squares", base_model="rtmdet-tiny", parameters=PARAMETERS
        )
        platform.training_runs.schedule(ADMIN, "first")
        yield platform


@contextmanager
def work(platform: Platform, *, host: str | None = None) -> Generator[subprocess.Popen[bytes]]:
    home = platform.settings.home
    worker = start_worker(home, home.parent / "worker.log", host=host, environment=DEFAULTS)
    try:
        yield worker
    finally:
        worker.send_signal(signal.SIGCONT)
        worker.terminate()
        try:
            worker.wait(30)
        finally:
            worker.kill()
            worker.wait()


def read(platform: Platform) -> TrainingRunView:
    return platform.training_runs.get_run(ADMIN, "first")


def wait_until(is_so: Callable[[], bool], platform: Platform, timeout_s: float = DEADLINE_S) -> float:
    """How long it took."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > timeout_s:
            pytest.fail((platform.settings.home.parent / "worker.log").read_text())
        threading.Event().wait(0.02)
    return time.monotonic() - began


def find_trainers(platform: Platform, attempt: int) -> list[processes.Mark]:
    """The attempt's trainer and its loader processes."""
    folder = platform.settings.work_folder / str(read(platform).id) / f"attempt-{attempt}"
    return processes.mark(processes.find_by_command_line(folder))


def wait_for_training(platform: Platform) -> list[processes.Mark]:
    wait_until(lambda: bool(read(platform).checkpoints), platform)
    trainers = find_trainers(platform, 1)
    assert len(trainers) >= 2, "the trainer has no loader process"
    return trainers


def wait_for_attempt(platform: Platform, number: int) -> float:
    return wait_until(lambda: len(read(platform).attempts) >= number, platform)


def check_success(platform: Platform, *ends: AttemptEnd):
    wait_until(lambda: read(platform).status.is_final, platform)
    run = read(platform)
    assert run.status is RunStatus.SUCCESS, run.error
    assert [attempt.end for attempt in run.attempts] == [*ends, AttemptEnd.SUCCESS]
    steps = [point.step for point in list_points(platform, "first", ["loss"])]
    assert steps == sorted(set(steps))
    assert steps[-1] == EPOCHS * STEPS_AN_EPOCH
    lineage = platform.trained_models.get_model(ADMIN, "first").lineage
    assert lineage.training_run is not None
    assert lineage.training_run.id == run.id
    assert not (platform.settings.home.parent / "witness" / "overlaps.jsonl").exists()


@pytest.mark.parametrize("host", [None, "another-host"])
def test_a_killed_worker_takes_its_trainer_along_and_another_takes_its_run_over(
    platform: Platform, host: str | None
):
    with work(platform, host=host) as first:
        trainers = wait_for_training(platform)
        with work(platform):
            wait_until(lambda: len(platform.workers.list_alive()) == 2, platform)
            first.kill()
            first.wait()
            gone_s = wait_until(lambda: not processes.list_living(trainers), platform)
            taken_over_s = gone_s + wait_for_attempt(platform, 2)
            check_success(platform, AttemptEnd.LOST)
    assert gone_s <= GONE_WITHIN_S
    assert taken_over_s <= TAKEN_OVER_WITHIN_S


def test_a_worker_that_was_frozen_and_wakes_up_changes_nothing(platform: Platform):
    with work(platform) as first:
        trainers = wait_for_training(platform)
        with work(platform) as second:
            wait_until(lambda: len(platform.workers.list_alive()) == 2, platform)
            first.send_signal(signal.SIGSTOP)
            taken_over_s = wait_for_attempt(platform, 2)
            assert not processes.list_living(trainers), "two trainers of one run were at work"
            lost = read(platform).attempts[0]
            wait_until(lambda: bool(find_trainers(platform, 2)), platform)
            # It writes, and its writes are refused, while the other one goes on.
            first.send_signal(signal.SIGCONT)
            check_success(platform, AttemptEnd.LOST)
            run = read(platform)
            assert run.attempts[0] == lost
            assert run.attempts[1].worker.split(":")[1] == str(second.pid)
            assert first.poll() is None
            # It is as good as new.
            second.terminate()
            second.wait(30)
            platform.training_runs.clone(ADMIN, "first", name="next", parameters={"epochs": 1}, options={})
            platform.training_runs.schedule(ADMIN, "next")
            wait_until(lambda: platform.training_runs.get_run(ADMIN, "next").status.is_final, platform)
            after = platform.training_runs.get_run(ADMIN, "next")
            assert after.status is RunStatus.SUCCESS, after.error
            assert after.attempts[0].worker.split(":")[1] == str(first.pid)
    assert taken_over_s <= TAKEN_OVER_WITHIN_S
    assert not list(platform.settings.work_folder.iterdir())


def test_a_trainer_that_was_frozen_with_its_worker_ends_when_both_wake_up(platform: Platform):
    # As on a machine that stood still, such as a container that was paused.
    with work(platform) as first:
        trainers = wait_for_training(platform)
        frozen = [first.pid, *(pid for pid, _ in trainers)]
        with work(platform):
            wait_until(lambda: len(platform.workers.list_alive()) == 2, platform)
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            wait_for_attempt(platform, 2)
            wait_until(lambda: bool(find_trainers(platform, 2)), platform)
            overlaps = platform.settings.home.parent / "witness" / "overlaps.jsonl"
            wait_until(overlaps.exists, platform)
            assert '"state": "T"' in overlaps.read_text()
            overlaps.unlink()
            for pid in frozen:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            # By itself, at its next look at its leash: it does no more than a step or two.
            assert wait_until(lambda: not processes.list_living(trainers), platform) <= 1.0
            check_success(platform, AttemptEnd.LOST)


def test_a_trainer_is_asked_to_end_by_somebody_else_and_its_run_goes_on(platform: Platform):
    # As systemd does, which sends SIGTERM to every process of a service.
    with work(platform) as worker:
        trainers = wait_for_training(platform)
        trainer = next(pid for pid, _ in trainers if psutil.Process(pid).ppid() == worker.pid)
        os.kill(trainer, signal.SIGTERM)
        check_success(platform, AttemptEnd.LOST)
    assert "asked to end" in platform.training_runs.read_log(ADMIN, "first", 0, 1 << 20).text
