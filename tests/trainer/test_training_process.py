"""The trainer as a process: what ends with it, and what it says when a part of it is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.failures import TrainerError, describe_failure
from raven_scan.wire.events import (
    AnyEvent,
    CheckpointWritten,
    EnergyUsed,
    EventReader,
    Failed,
    Phase,
    Step,
    Stopped,
)
from raven_scan.wire.spec import EnergySpec

Run = Callable[..., Any]
# The command, and its events file.
LongRun = tuple[list[str], Path]
_START_TIMEOUT_S = 120
_END_TIMEOUT_S = 2

# A parent as the worker is one: starts the trainer in a session of its own, then waits to be killed.
_PARENT = """
import os, subprocess, sys, time
environment = {**os.environ, "RAVEN_PARENT_PID": str(os.getpid())}
child = subprocess.Popen(sys.argv[1:], env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(600)
"""


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def long_run(make_train_spec: Run, build_command: Run, tmp_path: Path) -> LongRun:
    spec = make_train_spec(tmp_path, parameters={"epochs": 500, "loader_processes": 2})
    return build_command("train", spec, tmp_path), spec.events


@pytest.fixture
def metered_run(make_train_spec: Run, build_command: Run, tmp_path: Path) -> LongRun:
    """With a meter of its energy beside it."""
    parameters = {"epochs": 500, "loader_processes": 2}
    spec = make_train_spec(tmp_path, parameters=parameters, energy=EnergySpec())
    return build_command("train", spec, tmp_path), spec.events


def wait_for_steps(events: Path) -> None:
    reader = EventReader(events)
    seen: list[AnyEvent] = []

    def trains() -> bool:
        seen.extend(reader.read_new())
        assert not any(isinstance(event, Failed) for event in seen), seen[-1]
        return any(isinstance(event, Step) for event in seen)

    assert wait_until(trains, _START_TIMEOUT_S), seen


def list_group(leader: int) -> list[psutil.Process]:
    """All processes in the group of a process, itself included."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def training(long_run: LongRun) -> Generator[tuple[subprocess.Popen[bytes], Path]]:
    command, events = long_run
    with events.with_name("log").open("wb") as log:
        trainer = subprocess.Popen(
            command,
            env={**os.environ, "RAVEN_PARENT_PID": str(os.getpid())},
            start_new_session=True,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for_steps(events)
        yield trainer, events
    finally:
        for process in list_group(trainer.pid):
            process.kill()
        trainer.wait(10)


def test_all_processes_end_with_the_parent(metered_run: LongRun):
    command, events = metered_run
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout
    with parent.stdout:
        trainer_pid = int(parent.stdout.readline())
        try:
            wait_for_steps(events)
            processes = list_group(trainer_pid)
            assert len(processes) >= 4, "the trainer, two loader processes, and the meter"
            parent.kill()
            parent.wait(10)
            assert wait_until(lambda: all(map(is_gone, processes)), _END_TIMEOUT_S), processes
        finally:
            parent.kill()
            parent.wait(10)
            for process in list_group(trainer_pid):
                process.kill()


def test_loader_processes_end_with_the_trainer(metered_run: LongRun):
    with training(metered_run) as (trainer, _):
        processes = list_group(trainer.pid)
        assert len(processes) >= 4
        trainer.kill()
        assert trainer.wait(_END_TIMEOUT_S) == -signal.SIGKILL
        assert wait_until(lambda: all(map(is_gone, processes)), _END_TIMEOUT_S), processes


@pytest.mark.parametrize("case", ["trainer alone", "whole group", "loader processes hang"])
def test_trainer_that_is_asked_to_end_writes_a_checkpoint_first(metered_run: LongRun, case: str):
    with training(metered_run) as (trainer, events):
        processes = list_group(trainer.pid)
        if case == "loader processes hang":
            for process in processes:
                if process.pid != trainer.pid:
                    process.suspend()
            # Until nothing is left of what they had loaded.
            assert wait_until(lambda: time.time() - events.stat().st_mtime > 1, 30)
        if case == "whole group":
            os.killpg(trainer.pid, signal.SIGTERM)
        else:
            trainer.terminate()
        assert trainer.wait(3 * _END_TIMEOUT_S) == 0
        assert wait_until(lambda: all(map(is_gone, processes)), _END_TIMEOUT_S), processes
        told = EventReader(events).read_new()
        used = [event for event in told if isinstance(event, EnergyUsed)]
        assert used or case == "loader processes hang"
        told = [event for event in told if event not in used]
        stopped, checkpoint = told[-1], told[-2]
        assert isinstance(stopped, Stopped)
        assert isinstance(checkpoint, CheckpointWritten)
        last_step = [event.step for event in told if isinstance(event, Step)][-1]
        assert (stopped.epoch, stopped.step) == (checkpoint.epoch, checkpoint.step)
        assert checkpoint.step == last_step == checkpoint.epoch * 6 + checkpoint.position
        assert (events.parent / checkpoint.path).is_file()


def test_trainer_that_has_nothing_to_keep_ends_at_once(long_run: LongRun):
    command, events = long_run
    trainer = subprocess.Popen(
        command,
        env={**os.environ, "RAVEN_PARENT_PID": str(os.getpid())},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert wait_until(lambda: events.exists() and b'"build"' in events.read_bytes(), _START_TIMEOUT_S)
        trainer.terminate()
        assert trainer.wait(_END_TIMEOUT_S) == 0
    finally:
        trainer.kill()
        trainer.wait(10)
    told = EventReader(events).read_new()
    assert isinstance(told[-1], Stopped)
    assert not any(isinstance(event, CheckpointWritten) for event in told)


def test_killed_loader_process_is_told_as_want_of_memory(long_run: LongRun):
    with training(long_run) as (trainer, events):
        [loader, *_] = [each for each in list_group(trainer.pid) if each.pid != trainer.pid]
        loader.kill()
        assert trainer.wait(60) == 1
        failure = EventReader(events).read_new()[-1]
        assert isinstance(failure, Failed)
        assert failure.code == "out_of_memory.loader"
        assert "loader processes" in failure.hint
        assert failure.evidence["signal"] == "Killed"
        assert failure.evidence["available_bytes"] > 0
        assert all(name.endswith(".png") for name in failure.evidence["images"])


def test_trainer_whose_parent_is_another_process_does_not_start(long_run: LongRun):
    command, events = long_run
    done = subprocess.run(command, env={**os.environ, "RAVEN_PARENT_PID": "1"}, timeout=60, check=False)
    assert done.returncode == 1
    assert not events.exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "out_of_memory.host"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory.device"),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried"
            ),
            "out_of_memory.host",
        ),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "out_of_memory.loader"),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible"),
            "out_of_memory.shared_memory",
        ),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Segmentation fault. "),
            "crashed.loader",
        ),
        (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), "crashed.loader"),
        (
            RuntimeError(
                "unable to write to file </torch_1>: No space left; insufficient shared memory (shm)"
            ),
            "out_of_memory.shared_memory",
        ),
        (OSError(28, "No space left on device", "/data/x.part"), "crashed.disk_full"),
        (TrainerError("refused.x", "No.", hint="Do."), "refused.x"),
        (ZeroDivisionError("division by zero"), "crashed.exception"),
    ],
)
def test_failures_are_told_apart(error: Exception, code: str):
    failure = describe_failure(error)
    assert failure.code == code
    assert failure.message.endswith(".")
    assert failure.hint


def test_event_after_a_half_line_is_whole(tmp_path: Path):
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.tell_phase("build")
    with path.open("ab") as file:
        file.write(b'{"event":"pha')
    with EventLog(path) as log:
        log.tell_phase("training")
    lines = path.read_bytes().splitlines()
    reader = EventReader(path)
    path.write_bytes(b"\n".join([lines[0], lines[2]]) + b"\n")
    assert [event.phase for event in reader.read_new() if isinstance(event, Phase)] == ["build", "training"]
