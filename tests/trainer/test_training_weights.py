"""Weights that come in: from an architecture itself, and from a checkpoint from outside."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from raven_scan.architectures.catalogue import get_architecture
from raven_scan.trainer.checkpoint_reading import read_checkpoint
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.failures import TrainerError, describe_failure
from raven_scan.trainer.starting_weights import build_model, build_starting_weights
from raven_scan.trainer.weights_file import load_strictly
from raven_scan.wire.events import CheckpointRead, EventReader, StartingWeightsBuilt
from raven_scan.wire.spec import BuildStartingWeightsSpec, ReadCheckpointSpec, TrainSpec

FinishedRun = tuple[TrainSpec, Any]


def build(folder: Path, seed: int, architecture: str = "yolox-nano") -> tuple[dict[str, torch.Tensor], Any]:
    spec = BuildStartingWeightsSpec(
        architecture=architecture,
        classes=["a", "b"],
        seed=seed,
        weights=folder / f"{seed}.safetensors",
        events=folder / f"{seed}.jsonl",
    )
    with EventLog(spec.events) as log:
        build_starting_weights(spec, log)
    return load_file(spec.weights), EventReader(spec.events).read_new()[-1]


def test_starting_weights_depend_on_the_seed_alone(tmp_path: Path):
    first, event = build(tmp_path, 1)
    second, _ = build(tmp_path, 2)
    again, _ = build(tmp_path, 1)
    torch.testing.assert_close(again, first, rtol=0, atol=0)
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert isinstance(event, StartingWeightsBuilt)
    assert event.parameter_count > 500_000
    load_strictly(build_model(get_architecture("yolox-nano"), 2), first, what="It")


def read(
    folder: Path, checkpoint: Path, architecture: str = "yolox-nano"
) -> tuple[ReadCheckpointSpec, CheckpointRead]:
    spec = ReadCheckpointSpec(
        checkpoint=checkpoint,
        file_name="of the user.pth",
        architecture=architecture,
        weights=folder / "read.safetensors",
        events=folder / "read.jsonl",
    )
    with EventLog(spec.events) as log:
        read_checkpoint(spec, log)
    event = EventReader(spec.events).read_new()[-1]
    assert isinstance(event, CheckpointRead)
    return spec, event


def test_checkpoint_is_read_and_compared_with_its_architecture(finished_run: FinishedRun, tmp_path: Path):
    run, _ = finished_run
    tensors = load_file(run.work_folder / "weights.safetensors")
    # As converters leave it: half precision, no counters, a part lost, something of their own added.
    kept = {name: value for name, value in tensors.items() if "num_batches" not in name}
    lost = "bbox_head.multi_level_conv_obj.0.bias"
    del kept[lost]
    checkpoint = tmp_path / "outside.pth"
    torch.save(
        {
            "state_dict": {name: value.half() for name, value in kept.items()}
            | {"ours.scale": torch.ones(2)},
            "meta": {"dataset_meta": {"classes": ("litter", "tyre")}, "epoch": 7},
        },
        checkpoint,
    )
    spec, event = read(tmp_path, checkpoint)
    assert event.classes == ["litter", "tyre"]
    assert event.class_count == 2
    assert event.missing == [lost]
    assert event.unexpected == ["ours.scale"]
    assert event.mismatched == []
    assert event.matched == len(kept)
    assert event.meta["epoch"] == 7
    stored = load_file(spec.weights)
    assert stored.keys() == tensors.keys() - {lost}
    assert {value.dtype for value in stored.values() if value.is_floating_point()} == {torch.float32}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "outside.pth",
        "read.jsonl",
        "read.safetensors",
    ]


@pytest.mark.parametrize("broken", ["other architecture", "not finite", "no checkpoint"])
def test_checkpoint_that_cannot_be_used_is_refused(finished_run: FinishedRun, tmp_path: Path, broken: str):
    run, _ = finished_run
    tensors = load_file(run.work_folder / "weights.safetensors")
    checkpoint = tmp_path / "outside.pth"
    architecture, code = "yolox-nano", ""
    match broken:
        case "other architecture":
            architecture, code = "rtmdet-tiny", "refused.checkpoint_does_not_fit"
            torch.save({"state_dict": tensors}, checkpoint)
        case "not finite":
            code = "refused.weights_not_finite"
            torch.save(
                {"state_dict": {**tensors, "backbone.stem.conv.bn.bias": torch.full((16,), torch.nan)}},
                checkpoint,
            )
        case _:
            code = "refused.not_a_checkpoint"
            checkpoint.write_text("not a checkpoint")
    with pytest.raises(TrainerError) as caught:
        read(tmp_path, checkpoint, architecture)
    assert caught.value.code == code
    assert "of the user.pth" in caught.value.message
    assert not (tmp_path / "read.safetensors").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside.pth", "read.jsonl"]


def test_unknown_architecture_is_refused(tmp_path: Path):
    with pytest.raises(Exception, match="no-such") as caught:
        build(tmp_path, 1, "no-such")
    assert describe_failure(caught.value).code == "refused.unknown_architecture"
