"""Backups that are made while others import, train, and throw checkpoints away; and of the embedded database."""

import os
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr
from tests.metric_points import list_points

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.housekeeping.backup_creation import create_backup
from raven_scan.app.housekeeping.backup_restoring import open_restore_target
from raven_scan.app.housekeeping.backup_source import make_source
from raven_scan.app.housekeeping.blob_needs import list_needed_blobs
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.attempt import Attempt, Checkpoint
from raven_scan.training_runs.execution import CHECKPOINTS_KEPT
from raven_scan.training_runs.types import AttemptEnd, MetricPoint, RunProgress, RunStatus

from .conftest import DEADLINE_S, Process, wait_until

BACKUPS = 3
LONGEST_TRAINING_S = 500.0
TINY = TrainingParameters(epochs=3, batch_size=4, image_size=64, warmup_epochs=0, loader_processes=0)


@pytest.fixture
def restore(empty_database_url: str, tmp_path: Path) -> Callable[[Path], AbstractContextManager[Platform]]:
    """Gives the platform that comes out of a backup, once more in the place of the one before."""
    settings = Settings(home=tmp_path / "other home", database_url=SecretStr(empty_database_url))

    @contextmanager
    def restore(backup: Path) -> Generator[Platform]:
        with open_restore_target(settings) as target:
            target.restore(backup, ignore_progress, replace=bool(target.row_counts))
        with build_platform(settings) as platform:
            needed = list_needed_blobs(platform)
            assert [digest for digest in needed if not platform.blobs.verify(digest)] == []
            yield platform

    return restore


def write_images(folder: Path, seed: int) -> Path:
    """A dataset that no other seed gives."""
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    folder.mkdir()
    for index in range(8):
        Image.fromarray(random.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / f"{index}.png")
        images.append({"id": index, "file_name": f"{index}.png", "width": 40, "height": 40})
        annotations.append({"id": index, "image_id": index, "category_id": 1, "bbox": [4, 4, 20, 20]})
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "waste"}]}
    (folder / "annotations_coco.json").write_bytes(msgspec.json.encode(document))
    return folder


def tell_a_step(platform: Platform, attempt: Attempt, step: int) -> None:
    """A step of training with a checkpoint, which makes an earlier one go."""
    content = os.urandom(200_000)
    checkpoint = Checkpoint(
        step=step,
        epoch=0,
        position=step,
        digest=platform.blobs.put_bytes(content),
        size_bytes=len(content),
    )
    platform.execution.record(
        WORKER,
        attempt,
        progress=RunProgress(phase="training", step=step, steps=100_000),
        points=[MetricPoint("loss", step, 0, 1 / step)],
        warnings=[],
        best=None,
        checkpoint=checkpoint,
        log=f"step {step}\n".encode(),
        log_position=sum(len(f"step {before}\n") for before in range(1, step)),
    )


class Load:
    """Threads that import datasets and train, until they are stopped."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self.steps = 0
        self._platform = platform
        self._folder = folder
        self._is_over = threading.Event()
        self._failures: list[Exception] = []
        self._threads = [
            threading.Thread(target=self._guard, args=arguments)
            for arguments in ((self._import_datasets, 1), (self._import_datasets, 2), (self._train, 0))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)
        assert self._failures == []

    def _guard(self, work: Callable[[int], None], which: int) -> None:
        try:
            work(which)
        except Exception as error:
            self._failures.append(error)
            raise

    def _import_datasets(self, which: int) -> None:
        for number in count():
            if self._is_over.is_set():
                return
            source = write_images(self._folder / f"source {which} {number}", seed=which * 10_000 + number)
            options = ImportOptions(name=f"images-{which}")
            self._platform.datasets.import_version(LOCAL_ADMINISTRATOR, source, options)

    def _train(self, _: int) -> None:
        attempt = self._platform.execution.begin_next(
            WORKER, worker="node:1:1.0", free=["cpu"], capacity=["cpu"]
        )
        assert attempt is not None
        while not self._is_over.is_set():
            tell_a_step(self._platform, attempt, self.steps + 1)
            self._platform.execution.beat(WORKER, attempt)
            self.steps += 1


def test_each_is_of_one_moment(
    platform: Platform, restore: Callable[[Path], AbstractContextManager[Platform]], tmp_path: Path
) -> None:
    first = write_images(tmp_path / "first", seed=1)
    platform.datasets.import_version(LOCAL_ADMINISTRATOR, first, ImportOptions(name="first"))
    platform.training_runs.create(
        LOCAL_ADMINISTRATOR, name="at work", dataset="first", base_model="yolox-nano", parameters=TINY
    )
    platform.training_runs.schedule(LOCAL_ADMINISTRATOR, "at work")
    last = 0
    with Load(platform, tmp_path) as load:
        for number in range(BACKUPS):
            # More steps than are kept: what the backup before has is gone.
            enough = last + CHECKPOINTS_KEPT + 1
            wait_until(lambda enough=enough: load.steps > enough, "steps after the last backup")
            made = create_backup(make_source(platform), tmp_path / "backup", ignore_progress)
            with restore(tmp_path / "backup") as copy:
                last = assert_is_of_one_moment(copy, at_least=enough)
                names = lay_out_all(copy, tmp_path / f"layout {number}")
            assert made.manifest.row_counts["datasets"] == len(names)


def assert_is_of_one_moment(platform: Platform, *, at_least: int) -> int:
    """All that the step wrote in one transaction is there, and nothing of the next."""
    run = platform.training_runs.get_run(LOCAL_ADMINISTRATOR, "at work")
    last = run.progress.step
    assert last > at_least
    metrics = list_points(platform, "at work", ["loss"])
    assert [point.step for point in metrics] == list(range(1, last + 1))
    assert [each.step for each in run.checkpoints] == [last - back for back in range(CHECKPOINTS_KEPT)]
    log = platform.training_runs.read_log(LOCAL_ADMINISTRATOR, "at work", 0, 1 << 20).text
    assert log.endswith(f"step {last}\n")
    return last


def lay_out_all(platform: Platform, folder: Path) -> list[str]:
    datasets = platform.datasets.list_datasets(LOCAL_ADMINISTRATOR, PageRequest()).items
    for dataset in datasets:
        version = platform.datasets.get_version(LOCAL_ADMINISTRATOR, dataset.name)
        layout = platform.datasets.lay_out(LOCAL_ADMINISTRATOR, version.id, folder / dataset.name)
        assert layout.test.folder.is_dir()
    return [dataset.name for dataset in datasets]


def test_a_run_that_was_at_work_goes_on_after_the_restore(
    platform: Platform,
    sample_folder: Path,
    start_raven: Callable[..., Process],
    restore: Callable[[Path], AbstractContextManager[Platform]],
    tmp_path: Path,
) -> None:
    platform.datasets.import_version(LOCAL_ADMINISTRATOR, sample_folder, ImportOptions(name="tiny"))
    platform.training_runs.create(
        LOCAL_ADMINISTRATOR,
        name="at work",
        dataset="tiny",
        base_model="rtmdet-lite0",
        parameters=TINY,
    )
    platform.training_runs.schedule(LOCAL_ADMINISTRATOR, "at work")
    worker = start_raven("worker", "--json")

    def get_checkpoints() -> list[int]:
        return [
            each.step for each in platform.training_runs.get_run(LOCAL_ADMINISTRATOR, "at work").checkpoints
        ]

    wait_until(get_checkpoints, "a checkpoint", LONGEST_TRAINING_S)
    create_backup(make_source(platform), tmp_path / "backup", ignore_progress)
    worker.end()
    with restore(tmp_path / "backup") as copy:
        # Its worker is gone, as whoever opens the platform sees once it was silent for some seconds.
        def is_found() -> bool:
            copy.recovery.recover_lost_runs(WORKER)
            run = copy.training_runs.get_run(LOCAL_ADMINISTRATOR, "at work")
            return run.status is not RunStatus.PROCESSING

        wait_until(is_found, "the recovery of the lost run")
        run = copy.training_runs.get_run(LOCAL_ADMINISTRATOR, "at work")
        assert (run.status, run.attempts[-1].end) == (RunStatus.WAITING, AttemptEnd.LOST)
        assert run.checkpoints
        attempt = copy.execution.begin_next(WORKER, worker="here:1:1.0", free=["cpu"], capacity=["cpu"])
        assert attempt is not None
        assert [each.step for each in attempt.checkpoints] == [each.step for each in run.checkpoints]


def test_the_embedded_database_while_a_server_runs(
    environment: dict[str, str],
    raven: Callable[..., Any],
    start_raven: Callable[..., Process],
    sample_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAVEN_DATABASE_URL")
    del environment["RAVEN_DATABASE_URL"]
    backup = tmp_path / "backup"
    server = start_raven("serve", "--port", "0", "--json")
    server.wait_for_document()
    assert raven("datasets", "import", sample_folder, "--name", "tiny").code == 0
    made = raven("backup", "create", backup, "--json")
    assert (made.code, made.document["rows"]["datasets"]) == (0, 1)
    refused = raven("backup", "restore", backup, "--replace", "--yes", "--json")
    assert (refused.code, refused.document["error"]["code"]) == (5, "backup.database_in_use")
    assert refused.document["error"]["parameters"]["users"][0]["pid"] == server.popen.pid
    server.end()
    monkeypatch.setenv("RAVEN_HOME", str(tmp_path / "other home"))
    assert raven("backup", "restore", backup, "--json").code == 0
    assert [each["name"] for each in raven("datasets", "list", "--json").document["items"]] == ["tiny"]
    assert raven("doctor", "--deep", "--json").code == 0
