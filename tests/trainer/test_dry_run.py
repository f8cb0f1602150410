"""A dry run does what the run would, keeps nothing, and tells what it costs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from raven_scan.wire.events import CheckpointWritten, DryRunDone, Phase, Step, Validated
from raven_scan.wire.spec import TrainSpec

Run = Callable[..., Any]


def test_dry_run_estimates_the_run(make_train_spec: Run, run_trainer: Run, tmp_path: Path):
    parameters = {"epochs": 4, "loader_processes": 1, "augmentation": "full", "accumulation": 4}
    spec: TrainSpec = make_train_spec(tmp_path / "dry", parameters=parameters)
    result = run_trainer("dry-run", spec)
    assert result.exit_code == 0, result.output[-3000:]
    told = result.events[-1]
    assert isinstance(told, DryRunDone)
    assert told.steps_per_epoch == 6
    assert result.of(Step)
    # What would be taken for a result of the run is not told, and nothing is left.
    assert not result.of(CheckpointWritten)
    assert not result.of(Validated)
    assert not list(spec.work_folder.rglob("*.pt"))
    # In a process of its own: what it shares with others does not count as its memory.
    real = run_trainer("train", make_train_spec(tmp_path / "real", parameters=parameters), is_new=True)
    assert real.exit_code == 0, real.output[-3000:]
    estimate_s = (
        4 * 6 * told.step_time_s
        + 4 * spec.valid.image_count * told.validation_image_time_s
        + 4 * told.checkpoint_time_s
    )
    began = next(event.time for event in real.of(Phase) if event.phase == "training")
    # The machine may be busy with other things in one and not in the other: the order of magnitude is tested here.
    assert 0.2 < estimate_s / (real.events[-1].time - began) < 5
    assert 0 < told.start_time_s < 100
    assert 0.75 < told.peak_memory_mb / max(step.memory_mb for step in real.of(Step)) < 1.5


def test_dry_run_refuses_what_the_run_would(make_train_spec: Run, run_trainer: Run, tmp_path: Path):
    spec = make_train_spec(tmp_path, weights=tmp_path / "gone.safetensors", weights_classes=["a"])
    result = run_trainer("dry-run", spec)
    assert result.exit_code == 1
    assert result.failure.code == "refused.weights_unreadable"
