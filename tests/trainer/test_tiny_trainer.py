"""The small trainer of the chaos tests keeps to the real one's messages, checkpoints and signals."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from raven_scan.wire.events import (
    AnyEvent,
    CheckpointWritten,
    DryRunDone,
    EpochEnded,
    Evaluated,
    EventReader,
    Message,
    Step,
    Stopped,
    TrainingDone,
    Validated,
)
from raven_scan.wire.spec import EvaluateSpec, PartSpec, TrainSpec

Run = Callable[..., Any]
_CHAOS = Path(__file__).parents[1] / "chaos"
PARAMETERS = {"epochs": 3, "batch_size": 4, "seed": 5, "loader_processes": 0, "validation_interval": 2}


@pytest.fixture
def start(write_spec_file: Run, tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    def start(command: str, spec: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tiny_trainer",
                command,
                str(write_spec_file(spec, tmp_path / "spec.json")),
            ],
            env={
                **os.environ,
                "PYTHONPATH": str(_CHAOS),
                "PYTHONSAFEPATH": "1",
                "RAVEN_PARENT_PID": str(os.getpid()),
            },
            cwd=tmp_path,
            start_new_session=True,
        )

    return start


def read(spec: Any) -> list[AnyEvent]:
    return EventReader(spec.events).read_new()


def get_history(events: list[AnyEvent]) -> list[Any]:
    return [
        *((each.step, each.losses) for each in events if isinstance(each, Step)),
        *((each.epoch, each.step, each.figures) for each in events if isinstance(each, Validated)),
        *((each.epoch, each.step) for each in events if isinstance(each, EpochEnded)),
    ]


@pytest.mark.parametrize(
    "parameters",
    [pytest.param({}, marks=pytest.mark.long), {"loader_processes": 1, "checkpoint_minutes": 1e-9}],
)
def test_stopped_run_that_goes_on_tells_what_a_whole_one_tells(
    make_train_spec: Run, start: Run, tmp_path: Path, parameters: dict[str, Any]
):
    whole: TrainSpec = make_train_spec(tmp_path / "whole", parameters={**PARAMETERS, **parameters})
    began = time.monotonic()
    assert start("train", whole).wait(60) == 0
    told = read(whole)
    assert isinstance(told[-1], TrainingDone)
    assert told[-1].steps == 18
    first: TrainSpec = make_train_spec(
        tmp_path / "first", parameters={**PARAMETERS, **parameters, "image_size": 1024}
    )
    trainer = start("train", first)
    while not any(isinstance(event, Step) and event.step == 8 for event in read(first)):
        assert trainer.poll() is None
        assert time.monotonic() - began < 60
        time.sleep(0.01)
    trainer.send_signal(signal.SIGTERM)
    assert trainer.wait(10) == 0
    told_first = read(first)
    assert isinstance(told_first[-1], Stopped)
    checkpoints = [event for event in told_first if isinstance(event, CheckpointWritten)]
    assert checkpoints[-1].position
    # The last one is cut off: the one before it is taken, and the steps since are told again.
    paths = [first.work_folder / each.path for each in reversed(checkpoints[-2:])]
    if parameters:
        os.truncate(paths[0], 500)
    second: TrainSpec = make_train_spec(
        tmp_path / "second", parameters={**PARAMETERS, **parameters}, resume_from=paths
    )
    assert start("train", second).wait(60) == 0
    told_second = read(second)
    codes = [event.code for event in told_second if isinstance(event, Message) and event.code]
    assert codes == (["checkpoint_unreadable"] if parameters else [])
    kept = checkpoints[-2] if parameters else checkpoints[-1]
    before = [
        event
        for event in told_first[: told_first.index(kept)]
        if isinstance(event, Step | Validated | EpochEnded)
    ]
    assert get_history([*before, *told_second]) == get_history(told)
    for name, tensor in load_file(whole.work_folder / "weights.safetensors").items():
        assert tensor.equal(load_file(second.work_folder / "weights.safetensors")[name])


def test_what_it_trained_is_evaluated(
    make_train_spec: Run, start: Run, tmp_path: Path, tiny_parts: dict[str, PartSpec]
):
    spec: TrainSpec = make_train_spec(tmp_path / "work", parameters={**PARAMETERS, "epochs": 1})
    assert start("dry-run", spec).wait(60) == 0
    estimate = read(spec)[-1]
    assert isinstance(estimate, DryRunDone)
    assert estimate.start_time_s < 30
    assert start("train", spec).wait(60) == 0
    evaluation = EvaluateSpec(
        architecture=spec.architecture,
        classes=spec.classes,
        configuration=spec.work_folder / "configuration.json",
        weights=spec.work_folder / "weights.safetensors",
        part=tiny_parts["test"],
        predictions=tmp_path / "predictions.json",
        events=tmp_path / "evaluation.jsonl",
        report=tmp_path / "report.json",
        matches=tmp_path / "matches.safetensors",
        device="cpu",
        threads=1,
        batch_size=4,
    )
    assert start("evaluate", evaluation).wait(60) == 0
    evaluated = read(evaluation)[-1]
    assert isinstance(evaluated, Evaluated)
    assert 0 < (evaluated.figures["map"] or 0) < 1
    assert list(evaluated.by_class) == spec.classes
    assert evaluation.predictions.read_bytes() == b"[]"
