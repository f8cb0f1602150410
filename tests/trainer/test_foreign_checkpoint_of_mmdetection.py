"""A checkpoint as MMDetection's own `tools/train.py` writes it, with optimiser, schedules and message hub."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from raven_scan.trainer.foreign_checkpoint import fit_to_model, read_foreign_checkpoint

CONFIGURATION = """
custom_imports = dict(imports=["raven_scan.trainer.operators.install_on_import"])
default_scope = "mmdet"
model = dict(
    type="YOLOX",
    data_preprocessor=dict(type="DetDataPreprocessor", pad_size_divisor=32),
    backbone=dict(type="CSPDarknet", deepen_factor=0.33, widen_factor=0.125, use_depthwise=True),
    neck=dict(
        type="YOLOXPAFPN", in_channels=[32, 64, 128], out_channels=32, num_csp_blocks=1, use_depthwise=True
    ),
    bbox_head=dict(
        type="YOLOXHead", num_classes=2, in_channels=32, feat_channels=32, use_depthwise=True
    ),
    train_cfg=dict(assigner=dict(type="SimOTAAssigner", center_radius=2.5)),
    test_cfg=dict(score_thr=0.01, nms=dict(type="nms", iou_threshold=0.65)),
)
pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(64, 64), keep_ratio=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
dataset = dict(
    type="CocoDataset",
    data_root=FOLDER,
    ann_file="annotations.json",
    data_prefix=dict(img=""),
    pipeline=pipeline,
    metainfo=dict(classes=("waste", "déchets 🗑")),
)
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=True), dataset=dataset
)
val_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(test_mode=True, **dataset),
)
val_evaluator = dict(type="CocoMetric", ann_file=FOLDER + "/annotations.json", metric="bbox")
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=1, val_interval=1)
val_cfg = dict(type="ValLoop")
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.05, momentum=0.9))
param_scheduler = [dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=2)]
custom_hooks = [dict(type="EMAHook", ema_type="ExpMomentumEMA", update_buffers=True, priority=49)]
default_hooks = dict(
    logger=dict(type="LoggerHook", interval=1), checkpoint=dict(type="CheckpointHook", interval=1)
)
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained for two steps by MMDetection's own tool, in a process of its own."""
    folder = tmp_path_factory.mktemp("mmdetection")
    write_dataset(folder)
    configuration = folder / "config.py"
    configuration.write_text(f"FOLDER = {str(folder)!r}\n{CONFIGURATION}", encoding="utf-8")
    mmdet = find_spec("mmdet")
    assert mmdet is not None
    assert mmdet.origin is not None
    tool = Path(mmdet.origin).parent / ".mim" / "tools" / "train.py"
    result = subprocess.run(
        [sys.executable, tool, configuration, "--work-dir", folder / "work"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return folder / "work" / "epoch_1.pth"


def write_dataset(folder: Path) -> None:
    random = np.random.default_rng(5)
    for number in range(4):
        Image.fromarray(random.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    annotations = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 64} for n in range(4)],
        "annotations": [
            {
                "id": n + 1,
                "image_id": n,
                "category_id": 1 + n % 2,
                "bbox": [8, 8, 40, 32],
                "area": 1280,
                "iscrowd": 0,
            }
            for n in range(4)
        ],
        "categories": [{"id": 1, "name": "waste"}, {"id": 2, "name": "déchets 🗑"}],
    }
    (folder / "annotations.json").write_text(json.dumps(annotations), encoding="utf-8")


def test_its_averaged_weights_are_read(checkpoint: Path, tmp_path: Path):
    report = read_foreign_checkpoint(checkpoint, tmp_path / "read.safetensors")
    back = load_file(tmp_path / "read.safetensors")
    # Our own file, just written: here it may be unpickled.
    whole = torch.load(checkpoint, weights_only=False)
    assert whole.keys() == {
        "meta",
        "state_dict",
        "message_hub",
        "optimizer",
        "param_schedulers",
        "ema_state_dict",
    }
    assert back.keys() == whole["state_dict"].keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in whole["state_dict"].items())
    # MMEngine swaps on saving: `state_dict` is the average, and what training goes on from lies beside it.
    last = whole["ema_state_dict"]
    assert any(not torch.equal(back[name], last[f"module.{name}"]) for name in back)

    assert report.place == "state_dict"
    assert report.classes == ["waste", "déchets 🗑"]
    assert (report.epoch, report.iteration) == (1, 2)
    assert "mmengine_version" in report.texts
    assert report.not_finite == []
    assert report.dropped == []


def test_its_message_hub_is_never_made(checkpoint: Path, tmp_path: Path):
    report = read_foreign_checkpoint(checkpoint, tmp_path / "read.safetensors")
    assert {"mmengine.logging.history_buffer.HistoryBuffer", "builtins.getattr"} <= set(report.not_read)


def test_the_number_of_its_classes_is_told(checkpoint: Path, tmp_path: Path):
    read_foreign_checkpoint(checkpoint, tmp_path / "read.safetensors")
    shapes = {name: tuple(tensor.shape) for name, tensor in load_file(tmp_path / "read.safetensors").items()}
    model = {
        name: (7, *shape[1:]) if "multi_level_conv_cls" in name else shape for name, shape in shapes.items()
    }
    fit = fit_to_model(model, shapes)
    assert fit.only_classes_differ
    assert fit.class_count == 2
    assert len(fit.mismatched) == 6
