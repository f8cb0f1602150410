"""Every architecture computes losses and gradients of what the data loader gives, background included."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings

from raven_scan.architectures.catalogue import list_architectures
from raven_scan.trainer.configuration import build_configuration
from raven_scan.wire.spec import TrainSpec

MakeTrainSpec = Callable[..., TrainSpec]
# Small, so that the whole file takes seconds; DINO needs enough cells for its queries.
IMAGE_SIZES = {a.name: max(96, a.image_size_min) for a in list_architectures()}
# A smaller sibling is built of the same parts, and DINO's are computed in float32: half of the file's time.
LONG = {
    ("faster-rcnn-r101", "float32"),
    ("rtmdet-l", "float32"),
    ("rtmdet-m", "float32"),
    ("dino-r50", "bfloat16"),
}
STEPS = [
    *((name, "float32") for name in IMAGE_SIZES),
    *((name, "bfloat16") for name in ("rtmdet-lite0", "yolox-nano", "faster-rcnn-r50", "dino-r50")),
]


def build(spec: TrainSpec) -> tuple[Any, Any, Any]:
    configuration = Config(build_configuration(spec))
    import_modules_from_strings(**configuration["custom_imports"])
    torch.manual_seed(0)
    model = MODELS.build(configuration["model"])
    model.init_weights()
    model.train()
    loader = Runner.build_dataloader(configuration["train_dataloader"], seed=0)
    return model, loader.dataset, build_optim_wrapper(model, configuration["optim_wrapper"])


def train_on(model: Any, optimiser: Any, samples: list[dict[str, Any]]) -> dict[str, float]:
    batch = {key: [sample[key] for sample in samples] for key in ("inputs", "data_samples")}
    losses = model.train_step(batch, optimiser)
    return {name: float(loss) for name, loss in losses.items()}


@pytest.mark.parametrize(
    ("name", "precision"),
    [pytest.param(*step, marks=[pytest.mark.long] if step in LONG else []) for step in STEPS],
)
def test_a_step_is_done_on_objects_and_on_background(
    name: str, precision: str, make_train_spec: MakeTrainSpec
):
    spec = make_train_spec(
        name,
        classes=("glass", "metal"),
        train_image_count=5,
        image_size=IMAGE_SIZES[name],
        precision=precision,
    )
    model, dataset, optimiser = build(spec)
    objects, background = dataset[0, 0], dataset[0, 4]
    assert len(objects["data_samples"].gt_instances) == 2
    assert len(background["data_samples"].gt_instances) == 0
    before = {key: weight.clone() for key, weight in model.named_parameters()}
    for samples in ([objects, background], [background, background]):
        losses = train_on(model, optimiser, samples)
        assert losses["loss"] > 0
        assert all(torch.tensor(loss).isfinite() for loss in losses.values())
    changed = {
        key.split(".")[0] for key, weight in model.named_parameters() if not torch.equal(weight, before[key])
    }
    assert changed >= {"backbone", "neck"}
    assert changed & {"bbox_head", "roi_head"}
    assert all(weight.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize("name", ["rtmdet-tiny", "rtmdet-s", "rtmdet-m", "rtmdet-lite0"])
def test_a_fresh_rtmdet_learns_boxes_from_the_first_step(name: str, make_train_spec: MakeTrainSpec):
    model, dataset, optimiser = build(make_train_spec(name))
    losses = train_on(model, optimiser, [dataset[0, 0], dataset[0, 1]])
    assert losses["loss_bbox"] > 0.1


@pytest.mark.parametrize("name", ["faster-rcnn-r50", "rtmdet-tiny", "yolox-nano", "rtmdet-lite0"])
def test_frozen_stages_are_not_trained(name: str, make_train_spec: MakeTrainSpec):
    spec = make_train_spec(name, image_size=IMAGE_SIZES[name], frozen_stages=2)
    model, dataset, optimiser = build(spec)
    before = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    train_on(model, optimiser, [dataset[0, 0], dataset[0, 1]])
    changed = [
        key for key, value in model.backbone.state_dict().items() if not torch.equal(value, before[key])
    ]
    frozen = {
        "faster-rcnn-r50": ("conv1.", "bn1.", "layer1.", "layer2."),
        "rtmdet-tiny": ("stem.", "stage1.", "stage2."),
        "yolox-nano": ("stem.", "stage1.", "stage2."),
        "rtmdet-lite0": ("features.conv_stem", "features.bn1", "features.blocks.0.", "features.blocks.1."),
    }[name]
    assert changed
    assert not [key for key in changed if key.startswith(frozen)]
