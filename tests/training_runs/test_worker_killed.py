"""A worker process is killed in the middle of a run; another takes the run over."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tests.metric_points import list_points

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.architectures.parameters import Augmentation, TrainingParameters
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.types import AttemptEnd, RunStatus

ADMIN = LOCAL_ADMINISTRATOR
EPOCHS = 12
STEPS_AN_EPOCH = 2
DEADLINE_S = 300.0


@pytest.fixture
def home_platform(settings: Settings) -> Generator[Platform]:
    """A platform with an embedded database of its own, which worker processes share."""
    with build_platform(settings) as platform:
        yield platform


@contextmanager
def run_worker(settings: Settings, log: Path) -> Generator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        worker = subprocess.Popen(
            [Path(sys.executable).with_name("raven"), "worker"],
            env={**os.environ, "RAVEN_HOME": str(settings.home)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield worker
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)


def wait_until(condition: Callable[[], bool], log: Path):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        threading.Event().wait(0.05)


def test_a_run_whose_worker_is_killed_goes_on_with_another(
    home_platform: Platform, settings: Settings, coco_folder: Path, tmp_path: Path
):
    runs = home_platform.training_runs
    home_platform.datasets.import_version(ADMIN, coco_folder, ImportOptions(name="squares"), ignore_progress)
    parameters = TrainingParameters(
        epochs=EPOCHS,
        batch_size=4,
        image_size=64,
        augmentation=Augmentation.OFF,
        validation_interval=6,
        loader_processes=1,
    )
    runs.create(ADMIN, name="first", dataset="squares", base_model="yolox-nano", parameters=parameters)
    runs.schedule(ADMIN, "first")
    log = tmp_path / "worker.log"

    with run_worker(settings, log) as worker:
        wait_until(lambda: runs.get_run(ADMIN, "first").progress.epoch >= 2, log)
        processes = psutil.Process(worker.pid).children(recursive=True)
        assert any("raven_scan.trainer" in process.cmdline() for process in processes)
        worker.kill()
        worker.wait()
        _, alive = psutil.wait_procs(processes, timeout=2)
        assert not alive, "the trainer and its children outlived their worker"

    with run_worker(settings, log):
        wait_until(lambda: runs.get_run(ADMIN, "first").status.is_final, log)

    run = runs.get_run(ADMIN, "first")
    assert run.status is RunStatus.SUCCESS, run.error
    assert [attempt.end for attempt in run.attempts] == [AttemptEnd.LOST, AttemptEnd.SUCCESS]
    steps = [point.step for point in list_points(home_platform, "first", ["loss"])]
    assert steps == list(range(1, EPOCHS * STEPS_AN_EPOCH + 1)), "the metrics have holes or doubles"
    assert "Going on from the checkpoint" in runs.read_log(ADMIN, "first", 0, 1 << 20).text
