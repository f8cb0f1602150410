"""The stored configuration as MMDetection's own tool runs it, with a base model and all of the augmentation."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from safetensors.torch import save_file

from raven_scan.architectures.catalogue import get_architecture
from raven_scan.trainer.configuration import build_model_configuration
from raven_scan.wire.spec import TrainSpec

MakeTrainSpec = Callable[..., TrainSpec]
RECORDER = Path(__file__).with_name("train_with_mmdetection.py")
BASE_CLASSES = ["cup", "bottle", "waste"]


@pytest.fixture
def base_weights(tmp_path: Path) -> Path:
    configuration = Config(build_model_configuration(get_architecture("yolox-nano"), len(BASE_CLASSES)))
    torch.manual_seed(77)
    model = MODELS.build(configuration["model"])
    file = tmp_path / "base.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, file)
    return file


def record_losses(configuration: Path, work_folder: Path, *, threads: int) -> tuple[list[float], str]:
    done = subprocess.run(
        [sys.executable, RECORDER, configuration, "--work-dir", work_folder],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        # The paths in it are relative to where it lies.
        cwd=configuration.parent,
        # Sums over more threads round otherwise, and training makes much of little.
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)},
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-3000:]
    [losses] = [line for line in done.stdout.splitlines() if line.startswith("LOSSES ")]
    return json.loads(losses.removeprefix("LOSSES ")), output


# Off, the configuration names nothing but MMDetection's own operators, optimiser and transforms.
@pytest.mark.parametrize("acceleration", ["off", "on"])
def test_the_first_losses_equal_those_of_mmdetections_own_tool(
    make_train_spec: MakeTrainSpec, run_trainer: Any, base_weights: Path, tmp_path: Path, acceleration: str
):
    spec = make_train_spec(
        weights=base_weights,
        weights_classes=BASE_CLASSES,
        train_image_count=12,
        epochs=2,
        warmup_epochs=1,
        augmentation="full",
        loader_processes=1,
        seed=9,
        precision="float32",
        acceleration=acceleration,
    )
    spec.work_folder.mkdir()
    ours = run_trainer("train", spec)
    assert ours.exit_code == 0, ours.output[-3000:]
    assert str(spec.work_folder).encode() not in (spec.work_folder / "configuration.json").read_bytes()
    theirs, output = record_losses(
        spec.work_folder / "configuration.json", tmp_path / "tool", threads=spec.threads
    )
    assert [ours.losses[step]["loss"] for step in range(1, 11)] == pytest.approx(theirs[:10], rel=1e-6)
    assert len(theirs) == 12
    hooks = json.loads((spec.work_folder / "configuration.json").read_bytes())["custom_hooks"]
    assert ("RavenArithmeticHook" in {hook["type"] for hook in hooks}) == (acceleration == "on")
    assert "its class head is re-initialised for 1 classes" in output
    assert "re-initialised" in ours.output
    # Class names must not become source code, not even in a dump of the configuration.
    assert not list((tmp_path / "tool").rglob("*.py"))
