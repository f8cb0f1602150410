import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.config import Config

from raven_scan.architectures.catalogue import UnknownArchitectureError, list_architectures
from raven_scan.trainer.configuration import build_configuration, encode_configuration
from raven_scan.trainer.configuration.json_form import make_plain
from raven_scan.wire.spec import TrainSpec

MakeTrainSpec = Callable[..., TrainSpec]
NAMES = [architecture.name for architecture in list_architectures()]

HOSTILE_CLASSES = (
    "'); import os; os.abort() #",
    '"""\n\\',
    "{{ fileDirname }}",
    "{{$HOME:nothing}}",
    "{{{ _base_.model }}}",
    "\u202egarbage \U0001f5d1\ufe0f",
    "line\u2028separator\x00\x7f",
    "$HOME `id` %s {0}",
    "_delete_",
    " ",
)


def walk(value: Any) -> Iterator[Any]:
    yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(item)


@pytest.mark.parametrize("name", NAMES)
def test_mmengine_reads_back_exactly_what_was_built(
    name: str, make_train_spec: MakeTrainSpec, tmp_path: Path
):
    configuration = build_configuration(make_train_spec(name, classes=HOSTILE_CLASSES, image_size=256))
    encoded = encode_configuration(configuration)
    assert json.loads(encoded) == configuration
    file = tmp_path / "configuration.json"
    file.write_bytes(encoded)
    assert Config.fromfile(str(file)).to_dict() == configuration
    assert tuple(configuration["train_dataloader"]["dataset"]["metainfo"]["classes"]) == HOSTILE_CLASSES


@pytest.mark.parametrize("name", NAMES)
def test_nothing_leads_to_the_network(name: str, make_train_spec: MakeTrainSpec):
    configuration = build_configuration(make_train_spec(name, image_size=256))
    assert not [text for text in walk(configuration) if isinstance(text, str) and "://" in text]
    assert not [
        part for part in walk(configuration["model"]) if isinstance(part, dict) and "checkpoint" in part
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_head_has_the_runs_classes(name: str, make_train_spec: MakeTrainSpec):
    model = build_configuration(make_train_spec(name, classes=("a", "b", "c"), image_size=256))["model"]
    counts = [part["num_classes"] for part in walk(model) if isinstance(part, dict) and "num_classes" in part]
    assert counts
    assert set(counts) == {3}
    assert not [part for part in walk(model) if isinstance(part, dict) and part.get("type") == "SyncBN"]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=5, unique=True))
def test_any_class_name_survives(tmp_path: Path, classes: list[str]):
    file = tmp_path / "configuration.json"
    file.write_bytes(encode_configuration({"metainfo": {"classes": classes}}))
    assert Config.fromfile(str(file)).to_dict() == {"metainfo": {"classes": classes}}


def test_what_is_no_data_is_refused():
    for value in (int, {1: 2}, {"a": [object()]}):
        with pytest.raises(TypeError):
            make_plain(value)
    assert make_plain({"a": (1, (2.5, None))}) == {"a": [1, [2.5, None]]}


def test_an_unknown_architecture_is_refused(make_train_spec: MakeTrainSpec):
    with pytest.raises(UnknownArchitectureError):
        build_configuration(make_train_spec("resnet"))


def test_parameters_reach_the_configuration(make_train_spec: MakeTrainSpec):
    configuration = build_configuration(
        make_train_spec(
            train_image_count=9,
            epochs=4,
            batch_size=2,
            image_size=128,
            learning_rate=0.005,
            weight_decay=0.01,
            warmup_epochs=0.6,
            validation_interval=2,
            checkpoint_interval=3,
            early_stopping_patience=5,
            seed=11,
            loader_processes=2,
        )
    )
    assert configuration["train_cfg"]["max_epochs"] == 4
    assert configuration["train_cfg"]["val_interval"] == 2
    assert configuration["default_hooks"]["checkpoint"]["interval"] == 3
    assert configuration["default_hooks"]["checkpoint"]["save_best"] == "coco/bbox_mAP"
    assert configuration["optim_wrapper"]["optimizer"]["lr"] == 0.005
    assert configuration["optim_wrapper"]["optimizer"]["weight_decay"] == 0.01
    assert configuration["randomness"]["seed"] == 11
    assert configuration["train_dataloader"]["dataset"]["seed"] == 11
    assert configuration["train_dataloader"]["num_workers"] == 2
    [stopping] = [hook for hook in configuration["custom_hooks"] if hook["type"] == "EarlyStoppingHook"]
    assert stopping["patience"] == 5
    # 5 steps an epoch, the last with one image.
    warmup, cosine = configuration["param_scheduler"]
    assert (warmup["begin"], warmup["end"]) == (0, 3)
    assert (cosine["begin"], cosine["end"], cosine["T_max"]) == (3, 20, 17)


@pytest.mark.parametrize(
    ("schedule", "types"),
    [
        ("cosine", ["LinearLR", "CosineAnnealingLR"]),
        ("step", ["LinearLR", "MultiStepLR"]),
        ("constant", ["LinearLR"]),
    ],
)
def test_schedules(schedule: str, types: list[str], make_train_spec: MakeTrainSpec):
    spec = make_train_spec(schedule=schedule, epochs=9)
    schedulers = build_configuration(spec)["param_scheduler"]
    assert [scheduler["type"] for scheduler in schedulers] == types
    spec.parameters["warmup_epochs"] = 0
    without_warmup = build_configuration(spec)["param_scheduler"]
    assert [scheduler["type"] for scheduler in without_warmup] == types[1:]


@pytest.mark.parametrize(
    ("name", "frozen_stages", "backbone"),
    [
        ("faster-rcnn-r101", 0, {"frozen_stages": -1, "norm_eval": False}),
        ("faster-rcnn-r101", 2, {"frozen_stages": 2, "norm_eval": True}),
        ("dino-r50", 0, {"frozen_stages": -1, "norm_cfg": {"type": "BN", "requires_grad": True}}),
        ("rtmdet-s", 0, {"frozen_stages": -1}),
        ("yolox-nano", 3, {"frozen_stages": 3}),
        ("rtmdet-lite0", 2, {"frozen_stages": 2, "pretrained": True}),
    ],
)
def test_frozen_stages_reach_the_backbone(
    name: str, frozen_stages: int, backbone: dict[str, Any], make_train_spec: MakeTrainSpec
):
    spec = make_train_spec(name, frozen_stages=frozen_stages, image_size=256)
    built = build_configuration(spec)["model"]["backbone"]
    assert {key: built[key] for key in backbone} == backbone


@pytest.mark.parametrize(
    ("precision", "wrapper"),
    [("float32", "OptimWrapper"), ("auto", "OptimWrapper"), ("bfloat16", "RavenAutocastOptimWrapper")],
)
def test_precision_on_the_cpu(precision: str, wrapper: str, make_train_spec: MakeTrainSpec):
    configuration = build_configuration(make_train_spec(precision=precision))
    assert configuration["optim_wrapper"]["type"] == wrapper


def test_base_weights_are_named_for_mmengine(make_train_spec: MakeTrainSpec, tmp_path: Path):
    spec = make_train_spec(weights=tmp_path / "base.safetensors", weights_classes=["cup"])
    configuration = build_configuration(spec)
    assert re.fullmatch(r"raven-safetensors:///.*/base\.safetensors", configuration["load_from"])
    [hook] = [hook for hook in configuration["custom_hooks"] if hook["type"] == "RavenBaseWeightsHook"]
    assert (hook["classes"], hook["base_classes"]) == (["waste"], ["cup"])
