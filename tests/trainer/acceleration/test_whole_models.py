"""Whole detectors with all that accelerates, against the same ones without: losses and gradients of a step."""

import copy
from typing import Any

# Before MMCV's operators are imported.
import raven_scan.trainer.operators.install_on_import  # noqa: F401  # pyright: ignore[reportUnusedImport]  # for its effect

# isort: split
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from mmengine.structures import InstanceData
from torch import Tensor, nn

from raven_scan.architectures.catalogue import get_architecture
from raven_scan.architectures.parameters import MemoryFormat, Precision
from raven_scan.trainer.acceleration.arithmetic import Arithmetic
from raven_scan.trainer.acceleration.hook import prepare_model
from raven_scan.trainer.configuration import build_model_configuration
from raven_scan.trainer.registration import register_parts

SIDE_PX = 128


def build_model(architecture: str) -> nn.Module:
    init_default_scope("mmdet")
    configuration = build_model_configuration(get_architecture(architecture), 3)
    register_parts(configuration)
    set_random_seed(1)
    model: Any = MODELS.build(ConfigDict(configuration["model"]))
    model.init_weights()
    return model.train()


def make_batch() -> dict[str, Any]:
    """Three images: two boxes, one, none."""
    generator = torch.Generator().manual_seed(2)
    samples: list[DetDataSample] = []
    for boxes in ([[10, 20, 60, 90], [70, 40, 120, 100]], [[30, 30, 100, 110]], []):
        sample = DetDataSample(metainfo={"img_shape": (SIDE_PX, SIDE_PX), "scale_factor": (1.0, 1.0)})
        sample.gt_instances = InstanceData(
            bboxes=HorizontalBoxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)),
            labels=torch.arange(len(boxes)),
        )
        sample.ignored_instances = InstanceData(
            bboxes=HorizontalBoxes(torch.zeros(0, 4)), labels=torch.zeros(0, dtype=torch.long)
        )
        samples.append(sample)
    images = [
        torch.randint(0, 256, (3, SIDE_PX, SIDE_PX), generator=generator, dtype=torch.uint8) for _ in samples
    ]
    return {"inputs": images, "data_samples": samples}


def do_step(model: Any) -> tuple[dict[str, float], dict[str, Tensor]]:
    set_random_seed(3)
    data = model.data_preprocessor(copy.deepcopy(make_batch()), training=True)
    loss, parts = model.parse_losses(model(**data, mode="loss"))
    loss.backward()
    gradients = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    return {name: float(value) for name, value in parts.items()}, gradients


@pytest.mark.parametrize(
    ("architecture", "memory_format"),
    [
        ("rtmdet-tiny", MemoryFormat.CONTIGUOUS),
        ("rtmdet-tiny", MemoryFormat.CHANNELS_LAST),
        ("rtmdet-lite0", MemoryFormat.CHANNELS_LAST),
        ("yolox-nano", MemoryFormat.CHANNELS_LAST),
        ("faster-rcnn-r50", MemoryFormat.CHANNELS_LAST),
    ],
)
def test_a_step_gives_the_same_losses_and_gradients(architecture: str, memory_format: MemoryFormat):
    plain = build_model(architecture)
    fast = prepare_model(copy.deepcopy(plain), Arithmetic(Precision.FLOAT32, memory_format, accelerated=True))
    losses, gradients = do_step(plain)
    fast_losses, fast_gradients = do_step(fast)
    assert fast_losses == pytest.approx(losses, rel=1e-3)
    assert fast_gradients.keys() == gradients.keys()
    ours, theirs = (
        torch.cat([each.flatten() for _, each in sorted(of_model.items())])
        for of_model in (fast_gradients, gradients)
    )
    # Gradients of random weights make much of the last digit.
    assert float((ours - theirs).norm() / theirs.norm()) < 0.02
    for name, buffer in plain.named_buffers():
        torch.testing.assert_close(dict(fast.named_buffers())[name], buffer, rtol=1e-4, atol=1e-4)
