"""A training on two devices, here two processes on the CPU."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from raven_scan.trainer.ranks import Rank
from raven_scan.wire.events import (
    AnyEvent,
    CheckpointWritten,
    Configured,
    EnergyUsed,
    EpochEnded,
    EventReader,
    Failed,
    Started,
    Step,
    Stopped,
    TrainingDone,
    Validated,
)
from raven_scan.wire.spec import EnergySpec, PartSpec, TrainSpec

Run = Callable[..., Any]
DEVICES = ["cpu", "cpu"]
_END_TIMEOUT_S = 2
# Ten images for two: three steps of two each, the last one smaller.
PARAMETERS = {"epochs": 2, "batch_size": 2, "accumulation": 2, "loader_processes": 0}


@pytest.fixture(scope="module")
def whole_run(
    make_train_spec: Run,
    run_trainer: Run,
    small_parts: dict[str, PartSpec],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[TrainSpec, Any]:
    folder = tmp_path_factory.mktemp("ranks") / "work"
    spec = make_train_spec(folder, parameters=PARAMETERS, devices=DEVICES, energy=EnergySpec(), **small_parts)
    return spec, run_trainer("train", spec)


def test_first_rank_alone_tells_and_writes(whole_run: tuple[TrainSpec, Any]):
    spec, result = whole_run
    assert result.exit_code == 0, result.output[-4000:]
    [started] = result.of(Started)
    assert started.device == "cpu, cpu"
    [configured] = result.of(Configured)
    assert configured.steps_per_epoch == 3
    assert [event.step for event in result.of(Step)] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in result.of(EpochEnded)] == [3, 6]
    assert [event.epoch for event in result.of(Validated)] == [1, 2]
    assert isinstance(result.events[-1], TrainingDone)
    assert isinstance(result.events[-2], EnergyUsed)
    assert sorted(path.name for path in spec.work_folder.iterdir()) == [
        "checkpoints",
        "configuration.json",
        "events.jsonl",
        "weights.safetensors",
    ]


def test_run_that_goes_on_equals_the_whole_one(
    whole_run: tuple[TrainSpec, Any],
    make_train_spec: Run,
    run_trainer: Run,
    small_parts: dict[str, PartSpec],
    tmp_path: Path,
):
    spec, whole = whole_run
    # After the first epoch, with gradients of a step that wait for those of the next.
    checkpoint = spec.work_folder / "checkpoints" / "step_000000003_epoch_000001.pt"
    assert torch.load(checkpoint, weights_only=True)["gradients"]
    resumed_spec = make_train_spec(
        tmp_path / "work", parameters=PARAMETERS, devices=DEVICES, resume_from=[checkpoint], **small_parts
    )
    resumed = run_trainer("train", resumed_spec)
    assert resumed.exit_code == 0, resumed.output[-4000:]
    assert list(resumed.losses) == [4, 5, 6]
    for step, losses in resumed.losses.items():
        assert losses == pytest.approx(whole.losses[step], rel=1e-5), step
    assert resumed.of(Validated)[-1].figures == whole.of(Validated)[-1].figures
    torch.testing.assert_close(
        load_file(resumed_spec.work_folder / "weights.safetensors"),
        load_file(spec.work_folder / "weights.safetensors"),
    )


@contextmanager
def training(command: list[str], spec: TrainSpec) -> Generator[tuple[subprocess.Popen[bytes], Any]]:
    """A run on two ranks with a loader process each, once it does steps, and how to list all its processes."""
    with (spec.work_folder.parent / "output.txt").open("wb") as output:
        trainer = subprocess.Popen(
            command,
            env={**os.environ, "RAVEN_PARENT_PID": str(os.getpid())},
            start_new_session=True,
            stdout=output,
            stderr=output,
        )
    processes: list[psutil.Process] = []
    try:
        wait_until(lambda: any(isinstance(event, Step) for event in read(spec)), 120)
        this = psutil.Process(trainer.pid)
        processes += [this, *this.children(recursive=True)]
        yield trainer, processes
    finally:
        for process in processes:
            if not is_gone(process):
                process.kill()
        trainer.kill()
        trainer.wait(10)


def read(spec: TrainSpec) -> list[AnyEvent]:
    return EventReader(spec.events).read_new()


def wait_until(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def find_ranks(processes: list[psutil.Process], trainer_pid: int) -> dict[int, psutil.Process]:
    return {int(process.environ()["RANK"]): process for process in processes if process.ppid() == trainer_pid}


@pytest.mark.parametrize("case", ["asked to end", "trainer killed", "rank killed"])
def test_all_ranks_end_together(make_train_spec: Run, build_command: Run, tmp_path: Path, case: str):
    spec: TrainSpec = make_train_spec(
        tmp_path / "work",
        parameters={"epochs": 500, "batch_size": 2, "loader_processes": 1},
        devices=DEVICES,
    )
    with training(build_command("train", spec, tmp_path), spec) as (trainer, processes):
        assert len(processes) >= 5, "the trainer, two ranks, and a loader process each"
        match case:
            case "trainer killed":
                trainer.kill()
            case "rank killed":
                find_ranks(processes, trainer.pid)[1].kill()
            case _:
                trainer.send_signal(signal.SIGTERM)
                assert trainer.wait(10) == 0
        if case == "trainer killed":
            trainer.wait(_END_TIMEOUT_S)
            wait_until(lambda: all(map(is_gone, processes)), _END_TIMEOUT_S)
        else:
            trainer.wait(10)
            wait_until(lambda: all(map(is_gone, processes)), _END_TIMEOUT_S)
    told = read(spec)
    if case == "asked to end":
        assert isinstance(told[-1], Stopped)
        assert isinstance(told[-2], CheckpointWritten)
        assert told[-2].step == told[-1].step
    if case == "rank killed":
        failure = told[-1]
        assert isinstance(failure, Failed)
        assert failure.code == "crashed.rank"
        assert failure.evidence == {"rank": 1, "device": "cpu", "signal": "SIGKILL"}


def test_cause_is_what_the_failing_rank_told(make_train_spec: Run, run_trainer: Run, tmp_path: Path):
    spec = make_train_spec(
        tmp_path, parameters={"learning_rate": 10, "warmup_epochs": 0, "epochs": 6}, devices=DEVICES
    )
    result = run_trainer("train", spec)
    assert result.exit_code == 1
    assert result.failure.code == "diverged", result.output[-4000:]
    assert result.failure.evidence["device"] == "cpu"


def test_ranks_have_files_of_their_own(tmp_path: Path):
    first, second = Rank(0, tmp_path), Rank(1, tmp_path)
    events = tmp_path / "events.jsonl"
    assert first.find_events_path(events) == events
    assert second.find_events_path(events) != events
    assert first.failure_path != second.failure_path
