import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file

from raven_scan.trainer.failures import TrainerError
from raven_scan.wire.events import (
    CheckpointWritten,
    Configured,
    EpochEnded,
    Message,
    Started,
    Step,
    TrainingDone,
    Validated,
)
from raven_scan.wire.spec import PartSpec, TrainSpec

Run = Callable[..., Any]
FinishedRun = tuple[TrainSpec, Any]


def test_run_tells_its_whole_course(finished_run: FinishedRun):
    spec, result = finished_run
    assert result.exit_code == 0, result.output[-3000:]
    assert isinstance(result.events[0], Started)
    assert result.events[0].versions["torch"]
    [configured] = result.of(Configured)
    assert (configured.steps_per_epoch, configured.epochs) == (6, 3)
    assert configured.parameter_count > 500_000
    assert [step.step for step in result.of(Step)] == list(range(1, 19))
    assert [step.epoch for step in result.of(Step)] == [0] * 6 + [1] * 6 + [2] * 6
    for step in result.of(Step):
        parts = [value for name, value in step.losses.items() if name != "loss"]
        assert step.losses["loss"] == pytest.approx(sum(parts), rel=1e-5)
        assert 0 < step.learning_rate <= 1e-3
        assert 0 <= step.data_time_s <= step.step_time_s
        assert step.memory_mb > 100
    assert [event.epoch for event in result.of(EpochEnded)] == [1, 2, 3]
    assert [event.epoch for event in result.of(Validated)] == [1, 2, 3]
    assert [event.epoch for event in result.of(CheckpointWritten)] == [1, 2, 3]
    # Boxes of the valid part are smaller than 96 x 96: there is no figure, and not -1, for large ones.
    for event in result.of(Validated):
        assert event.figures["map_large"] is None
        assert event.figures["map"] is not None
        known = [value for value in event.map_by_class.values() if value is not None]
        assert sum(known) / len(known) == pytest.approx(event.figures["map"]), "it is the mean over classes"
        assert set(event.map_by_class) <= set(spec.classes)
    assert "by_class" not in result.output
    assert isinstance(result.events[-1], TrainingDone)
    assert (result.events[-1].epochs, result.events[-1].steps) == (3, 18)
    assert not result.events[-1].stopped_early
    assert "Epoch(train)" in result.output


def test_run_leaves_only_what_it_tells_of(finished_run: FinishedRun):
    spec, _ = finished_run
    left = sorted(str(path.relative_to(spec.work_folder)) for path in spec.work_folder.rglob("*"))
    assert left == [
        "checkpoints",
        "checkpoints/step_000000012_epoch_000002.pt",
        "checkpoints/step_000000018_epoch_000003.pt",
        "configuration.json",
        "events.jsonl",
        "weights.safetensors",
    ]


def test_exported_weights_are_finite_float32(finished_run: FinishedRun):
    spec, _ = finished_run
    tensors = load_file(spec.work_folder / "weights.safetensors")
    assert len(tensors) > 100
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            assert tensor.dtype == torch.float32, name
            assert bool(torch.isfinite(tensor).all()), name


def test_checkpoint_holds_no_objects(finished_run: FinishedRun):
    spec, _ = finished_run
    content = torch.load(
        spec.work_folder / "checkpoints" / "step_000000018_epoch_000003.pt", weights_only=True
    )
    assert content["epoch"] == 3
    assert content["step"] == 18


def test_resumed_run_repeats_the_uninterrupted_one(
    finished_run: FinishedRun, make_train_spec: Run, run_trainer: Run, tmp_path: Path
):
    spec, uninterrupted = finished_run
    # The checkpoint alone is taken elsewhere, as it is when another worker takes the run over.
    checkpoint = tmp_path / "step_000000012_epoch_000002.pt"
    shutil.copy(spec.work_folder / "checkpoints" / "step_000000012_epoch_000002.pt", checkpoint)
    resumed = run_trainer("train", make_train_spec(tmp_path / "work", resume_from=[checkpoint], attempt=2))
    assert resumed.exit_code == 0, resumed.output[-3000:]
    assert sorted(resumed.losses) == list(range(13, 19))
    for step, losses in resumed.losses.items():
        assert losses == pytest.approx(uninterrupted.losses[step], rel=1e-6), step
    assert resumed.of(Validated)[-1].figures == uninterrupted.of(Validated)[-1].figures
    expected, actual = (
        torch.load(each, weights_only=True)
        for each in (
            spec.work_folder / "checkpoints" / "step_000000018_epoch_000003.pt",
            tmp_path / "work" / "checkpoints" / "step_000000018_epoch_000003.pt",
        )
    )
    for name, tensor in expected["state_dict"].items():
        torch.testing.assert_close(actual["state_dict"][name], tensor, msg=name)
    for name, tensor in expected["ema_state_dict"].items():
        torch.testing.assert_close(actual["ema_state_dict"][name], tensor, msg=name)
    assert resumed.of(TrainingDone)[0].best_epoch == uninterrupted.of(TrainingDone)[0].best_epoch
    torch.testing.assert_close(
        load_file(tmp_path / "work" / "weights.safetensors"),
        load_file(spec.work_folder / "weights.safetensors"),
    )


# With base weights, augmentation and a loader process, configuration/test_configuration_training.py compares them too.
@pytest.mark.long
def test_first_losses_equal_those_of_mmdetections_own_tool(finished_run: FinishedRun, tmp_path: Path):
    spec, result = finished_run
    package = find_spec("mmdet")
    assert package
    assert package.origin
    tool = Path(package.origin).parent / ".mim" / "tools" / "train.py"
    # The stored configuration as it is; only how much of the log is printed is set.
    options = ["default_hooks.logger.interval=1", "log_processor.window_size=1", "log_processor.num_digits=9"]
    done = subprocess.run(
        [
            sys.executable,
            tool,
            spec.work_folder / "configuration.json",
            "--work-dir",
            tmp_path,
            "--cfg-options",
            *options,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=spec.work_folder,
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = re.findall(r"Epoch\(train\).*?\bloss: ([\d.]+)", done.stdout + done.stderr)
    assert len(told) == 18
    for step, loss in enumerate(told[:10], start=1):
        assert float(loss) == pytest.approx(result.losses[step]["loss"], rel=1e-6), step


def test_too_high_learning_rate_is_told_as_divergence(make_train_spec: Run, run_trainer: Run, tmp_path: Path):
    spec = make_train_spec(tmp_path, parameters={"learning_rate": 10, "warmup_epochs": 0, "epochs": 4})
    result = run_trainer("train", spec)
    assert result.exit_code == 1
    assert result.failure.code == "diverged"
    assert "learning rate" in result.failure.hint
    evidence = result.failure.evidence
    assert evidence["last_finite_step"] == evidence["step"] - 1 == max(result.losses)
    assert len(evidence["images"]) == 4
    assert set(evidence["images"]) <= {f"{number}.png" for number in range(1, 25)}
    assert not (tmp_path / "weights.safetensors").exists()


def test_early_stopping_ends_a_run_that_does_not_get_better(
    make_train_spec: Run, run_trainer: Run, tmp_path: Path
):
    # A learning rate of next to nothing: the mAP stays what it is.
    spec = make_train_spec(
        tmp_path, parameters={"learning_rate": 1e-12, "epochs": 9, "early_stopping_patience": 2}
    )
    result = run_trainer("train", spec)
    assert result.exit_code == 0, result.output[-3000:]
    [done] = result.of(TrainingDone)
    assert (done.epochs, done.best_epoch, done.stopped_early) == (3, 1, True)


def test_damaged_image_is_refused_by_name(
    make_train_spec: Run, run_trainer: Run, tiny_parts: dict[str, PartSpec], tmp_path: Path
):
    train = tmp_path / "train"
    shutil.copytree(tiny_parts["train"].folder, train)
    (train / "17.png").write_bytes((train / "17.png").read_bytes()[:60])
    spec = make_train_spec(
        tmp_path / "work",
        train=PartSpec(folder=train, image_count=24),
        parameters={"loader_processes": 1},
    )
    result = run_trainer("train", spec)
    assert result.exit_code == 1
    assert result.failure.code == "refused.image"
    assert "17.png" in result.failure.message
    assert "Traceback" not in result.failure.message


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"epochs": 0}, "epochs"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"learning_rate": math.inf}, "learning_rate"),
        ({"batch_size": -1}, "batch_size"),
        ({"image_size": 65}, "image_size"),
        ({"augmentation": "__import__('os').system('true')"}, "augmentation"),
        ({"work_dir": "/etc"}, "work_dir"),
        ({"seed": 2**40}, "seed"),
    ],
)
def test_hostile_parameters_are_refused_by_name(
    make_train_spec: Run, tmp_path: Path, parameters: dict[str, Any], named: str
):
    from raven_scan.trainer.training import read_parameters  # noqa: PLC0415 - imports the frameworks

    with pytest.raises(TrainerError) as caught:
        read_parameters(make_train_spec(tmp_path, parameters=parameters))
    assert caught.value.code == "refused.parameters"
    assert named in caught.value.message


def test_failure_is_an_event_and_an_exit_code(make_train_spec: Run, run_trainer: Run, tmp_path: Path):
    result = run_trainer("train", make_train_spec(tmp_path, parameters={"epochs": 0}, architecture="no-such"))
    assert result.exit_code == 1
    assert result.failure.code == "refused.parameters"
    assert result.failure.hint


def test_run_starts_from_a_base_model_of_other_classes(
    finished_run: FinishedRun, make_train_spec: Run, run_trainer: Run, tmp_path: Path
):
    first, _ = finished_run
    spec = make_train_spec(
        tmp_path,
        parameters={"epochs": 1},
        weights=first.work_folder / "weights.safetensors",
        weights_classes=["cat", "dog"],
    )
    result = run_trainer("train", spec)
    assert result.exit_code == 0, result.output[-3000:]
    codes = {message.code: message.text for message in result.of(Message)}
    assert "class head" in codes["class_head_fitted"]
    assert "re-initialised" in result.output


def test_weights_of_another_architecture_are_refused(make_train_spec: Run, run_trainer: Run, tmp_path: Path):
    weights = tmp_path / "other.safetensors"
    save_file({"backbone.other.weight": torch.zeros(3)}, weights)
    result = run_trainer("train", make_train_spec(tmp_path / "work", weights=weights, weights_classes=["a"]))
    assert result.exit_code == 1
    assert result.failure.code == "refused.weights_do_not_fit"


def test_wrong_call_is_told_apart(tmp_path: Path):
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "raven_scan.trainer", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert call().returncode == 2
    assert call("destroy", "spec.json").returncode == 2
    bad = tmp_path / "spec.json"
    bad.write_bytes(msgspec.json.encode({"architecture": "yolox-nano"}))
    done = call("train", str(bad))
    assert done.returncode == 2
    assert "no specification" in done.stderr
