"""A worker process is killed in the middle of an evaluation with MMDetection; another takes it over."""

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

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.datasets.types import ImportOptions
from raven_scan.evaluations.types import EvaluationStatus
from raven_scan.jobs.child_process import run_child
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.wire.events import StartingWeightsBuilt
from raven_scan.wire.spec import BuildStartingWeightsSpec

ADMIN = LOCAL_ADMINISTRATOR
DEADLINE_S = 300.0
CLASSES = ["class_0"]
"""As a checkpoint's classes are called that has no names for them."""


@pytest.fixture
def home_platform(settings: Settings) -> Generator[Platform]:
    """A platform with an embedded database of its own, which worker processes share."""
    with build_platform(settings) as platform:
        yield platform


@pytest.fixture
def imported_model(home_platform: Platform, tmp_path: Path) -> str:
    """A detector that has learned nothing, as if from outside: without a configuration."""
    weights = tmp_path / "weights.safetensors"
    run_child(
        "build-starting-weights",
        BuildStartingWeightsSpec(
            architecture="yolox-nano", classes=CLASSES, seed=0, weights=weights, events=tmp_path / "events"
        ),
        expected=StartingWeightsBuilt,
        noun="test",
        folder=tmp_path,
        log_path=tmp_path / "log",
        timeout_s=DEADLINE_S,
    )
    models = home_platform.trained_models
    return models.import_checkpoint(ADMIN, weights, architecture="yolox-nano", name="outsider").name


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


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.long
def test_an_evaluation_whose_worker_is_killed_is_taken_over(
    home_platform: Platform, settings: Settings, coco_folder: Path, imported_model: str, tmp_path: Path
):
    evaluations = home_platform.evaluations
    options = ImportOptions(name="squares", class_map={"waste": CLASSES[0]})
    home_platform.datasets.import_version(ADMIN, coco_folder, options, ignore_progress)
    asked = evaluations.request(ADMIN, imported_model, "squares")
    log = tmp_path / "worker.log"

    def is_at_work() -> bool:
        found = evaluations.get_evaluation(ADMIN, asked.id)
        return found.status is EvaluationStatus.PROCESSING and found.progress.phase == "build"

    with run_worker(settings, log) as worker:
        wait_until(is_at_work, log)
        processes = psutil.Process(worker.pid).children(recursive=True)
        assert any("raven_scan.trainer" in process.cmdline() for process in processes)
        worker.kill()
        worker.wait()
        _, alive = psutil.wait_procs(processes, timeout=2)
        # One that has ended may wait for whoever adopted it to say so.
        assert not [each for each in alive if _is_running(each)], "the trainer outlived its worker"

    with run_worker(settings, log):
        wait_until(lambda: evaluations.get_evaluation(ADMIN, asked.id).status.is_final, log)

    done = evaluations.get_evaluation(ADMIN, asked.id)
    assert done.status is EvaluationStatus.SUCCESS, done.error
    assert done.attempt_count == 2
    assert (done.image_count, done.box_count) == (8, 8)
    report = evaluations.read_report(ADMIN, asked.id)
    assert report.classes == CLASSES
    assert report.parameter_count
    assert report.flops.value
    assert report.speed.images_per_s == done.images_per_s
    assert "map50" in report.figures
