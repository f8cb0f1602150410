import io
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from raven_scan.trainer.foreign_checkpoint import (
    CheckpointReport,
    fit_to_model,
    read_foreign_checkpoint,
)


def read(path: Path) -> tuple[CheckpointReport, dict[str, Tensor]]:
    destination = path.parent / "read.safetensors"
    report = read_foreign_checkpoint(path, destination)
    return report, load_file(destination)


def saved(value: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


FORMS: list[dict[str, Any]] = [
    {},
    {"_use_new_zipfile_serialization": False},
    *({"pickle_protocol": protocol} for protocol in (3, 4, 5)),
    {"_use_new_zipfile_serialization": False, "pickle_protocol": 4},
]
FORM_NAMES = ["zip", "legacy", "zip 3", "zip 4", "zip 5", "legacy 4"]


# What is read


def every_kind_of_tensor() -> dict[str, Tensor]:
    base = torch.arange(24.0).view(4, 6)
    return {
        "float32": base,
        "transposed": base.t(),
        "slice": base[1:3, ::2],
        "same": base,
        "float16": torch.randn(3).half(),
        "bfloat16": torch.randn(3).bfloat16(),
        "float64": torch.randn(2, 2, dtype=torch.float64),
        "int64": torch.tensor(7),
        "int32": torch.tensor([1, -2], dtype=torch.int32),
        "int16": torch.tensor([1, -2], dtype=torch.int16),
        "int8": torch.tensor([1, -2], dtype=torch.int8),
        "uint8": torch.tensor([1, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "empty": torch.zeros(0, 3),
        "parameter": nn.Parameter(torch.randn(2)),
        "größe.权重": torch.ones(1),
    }


@pytest.mark.parametrize("form", FORMS, ids=FORM_NAMES)
def test_every_form_and_type_comes_back_as_it_was(tmp_path: Path, form: dict[str, Any]):
    tensors = every_kind_of_tensor()
    path = tmp_path / "weights.pth"
    path.write_bytes(saved({"state_dict": OrderedDict(tensors), "meta": {"epoch": 12, "iter": 340}}, **form))
    report, back = read(path)
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype, name
        assert torch.equal(back[name], tensor), name
    assert report.form == ("torch legacy" if "_use_new_zipfile_serialization" in form else "torch zip")
    assert report.place == "state_dict"
    assert report.tensor_count == len(tensors)
    assert report.parameter_count == sum(tensor.numel() for tensor in tensors.values())
    assert report.size_bytes == sum(tensor.nbytes for tensor in tensors.values())
    assert report.dtypes["bfloat16"] == 1
    assert (report.epoch, report.iteration) == (12, 340)
    assert report.not_finite == []


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ({"w": torch.ones(2)}, ""),
        ({"module.w": torch.ones(2)}, ""),
        ({"state_dict": {"module.module.w": torch.ones(2)}}, "state_dict"),
        ({"state_dict": {"w": torch.ones(2)}, "ema_state_dict": {"module.w": torch.zeros(2)}}, "state_dict"),
        ({"ema_state_dict": {"steps": torch.tensor(5), "module.w": torch.ones(2)}}, "ema_state_dict"),
        ({"model": {"w": torch.ones(2)}, "optimizer": {"state": {0: torch.zeros(9)}}}, "model"),
        ({"state_dict": {}, "model": {"w": torch.ones(2)}}, "model"),
    ],
    ids=[
        "bare",
        "bare, wrapped",
        "wrapped twice",
        "averaged preferred",
        "averaged alone",
        "model",
        "empty first",
    ],
)
def test_the_weights_are_found(tmp_path: Path, content: Any, place: str):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    report, back = read(path)
    assert report.place == place
    assert back.keys() == {"w"}
    assert back["w"].tolist() == [1, 1]


def test_what_is_no_tensor_is_dropped_and_told(tmp_path: Path):
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": {"w": torch.ones(2), "version": 3, "scale": np.float64(2)}}, path)
    report, back = read(path)
    assert back.keys() == {"w"}
    assert report.dropped == ["version", "scale"]
    assert "numpy._core.multiarray.scalar" in report.not_read


@pytest.mark.parametrize(
    ("meta", "classes"),
    [
        ({"dataset_meta": {"classes": ("waste", "déchets 🗑")}}, ["waste", "déchets 🗑"]),
        ({"dataset_meta": {"CLASSES": ["waste"]}}, ["waste"]),
        ({"CLASSES": ("person", "car")}, ["person", "car"]),
        ({"CLASSES": "waste"}, ["waste"]),
        ({"dataset_meta": {"classes": (1, 2)}}, None),
        ({"dataset_meta": {"classes": [np.array([1])]}}, None),
        ({"dataset_meta": {"classes": ()}}, None),
        ({"dataset_meta": {"classes": ["x" * 1000]}}, None),
        ({"dataset_meta": 5}, None),
        ("a text", None),
    ],
)
def test_classes_are_plain_texts_or_nothing(tmp_path: Path, meta: Any, classes: list[str] | None):
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": {"w": torch.ones(2)}, "meta": meta}, path)
    assert read(path)[0].classes == classes


def test_meta_of_unexpected_types_is_left_out(tmp_path: Path):
    path = tmp_path / "weights.pth"
    meta = {"epoch": "many", "iter": -3, "time": 12, "mmdet_version": "3.3.0", "experiment_name": "x" * 999}
    torch.save({"state_dict": {"w": torch.ones(2)}, "meta": meta}, path)
    report, _ = read(path)
    assert (report.epoch, report.iteration) == (None, None)
    assert report.texts == {"mmdet_version": "3.3.0"}


def test_values_that_are_not_finite_are_told(tmp_path: Path):
    path = tmp_path / "weights.pth"
    torch.save(
        {
            "a": torch.tensor([1.0, float("nan")]),
            "b": torch.tensor([float("inf")]).half(),
            "c": torch.ones(1),
        },
        path,
    )
    assert read(path)[0].not_finite == ["a", "b"]


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_safetensors_are_read_whatever_their_name(tmp_path: Path, name: str):
    path = tmp_path / name
    save_file({"w": torch.randn(3).bfloat16(), "n": torch.tensor(4)}, path)
    report, back = read(path)
    assert report.form == "safetensors"
    assert report.dtypes == {"bfloat16": 1, "int64": 1}
    assert back["w"].dtype == torch.bfloat16


def test_the_platforms_reference_checkpoint(tmp_path: Path, shared_folder: Path):
    source = shared_folder / "weights" / "yolox_nano_coco_mmdet.pth"
    report = read_foreign_checkpoint(source, tmp_path / "w.safetensors")
    assert report.classes is not None
    assert len(report.classes) == 80
    assert report.not_read == []
    expected = torch.load(source, weights_only=True)["state_dict"]
    back = load_file(tmp_path / "w.safetensors")
    assert back.keys() == expected.keys()
    assert all(torch.equal(back[name], expected[name]) for name in expected)
    fit = fit_to_model({name: tuple(tensor.shape) for name, tensor in expected.items()}, shapes_of(back))
    assert fit.is_complete
    assert fit.class_count == 80


# How weights fit a model


def shapes_of(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


MODEL: dict[str, tuple[int, ...]] = {
    "backbone.conv.weight": (8, 3, 3, 3),
    "backbone.bn.weight": (8,),
    "backbone.bn.num_batches_tracked": (),
    "bbox_head.multi_level_conv_cls.0.weight": (1, 8, 1, 1),
    "bbox_head.multi_level_conv_cls.0.bias": (1,),
}


def test_weights_that_fit():
    fit = fit_to_model(MODEL, MODEL)
    assert fit.is_complete
    assert not fit.only_classes_differ
    assert fit.matched == list(MODEL)
    assert fit.matched_share == 1
    assert fit.class_count == 1


def test_weights_without_the_counters_of_batch_norm_fit():
    assert fit_to_model(MODEL, {name: MODEL[name] for name in MODEL if "tracked" not in name}).is_complete


def test_weights_of_other_classes():
    weights = MODEL | {
        "bbox_head.multi_level_conv_cls.0.weight": (80, 8, 1, 1),
        "bbox_head.multi_level_conv_cls.0.bias": (80,),
    }
    fit = fit_to_model(MODEL, weights)
    assert fit.only_classes_differ
    assert not fit.is_complete
    assert fit.class_count == 80
    assert [tensor.name for tensor in fit.mismatched] == list(weights)[-2:]
    assert (fit.mismatched[1].shape, fit.mismatched[1].expected) == ((80,), (1,))
    assert 0.9 < fit.matched_share < 1


def test_weights_of_another_model():
    weights: dict[str, tuple[int, ...]] = {"backbone.conv.weight": (16, 3, 3, 3), "neck.conv.weight": (4, 4)}
    fit = fit_to_model(MODEL, weights)
    assert not fit.only_classes_differ
    assert fit.matched_share == 0
    assert fit.unexpected == ["neck.conv.weight"]
    assert "backbone.bn.weight" in fit.missing
    assert fit.class_count is None
