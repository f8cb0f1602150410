"""A network in a form that predicts the same in less time; it cannot learn any more.

What convolution and batch normalisation do one after the other is one convolution with other weights: the sums differ
in their last digits. On a CPU it takes half to nine tenths of the time, by the architecture.
"""

import copy
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_RESNET_PAIRS = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))
_PAIRS = {
    "mmdet.models.backbones.resnet.ResNet": _RESNET_PAIRS,
    "mmdet.models.backbones.resnet.BasicBlock": _RESNET_PAIRS,
    "mmdet.models.backbones.resnet.Bottleneck": _RESNET_PAIRS,
    "timm.models.efficientnet.EfficientNetFeatures": (("conv_stem", "bn1"),),
    "timm.models._efficientnet_blocks.DepthwiseSeparableConv": (("conv_dw", "bn1"), ("conv_pw", "bn2")),
    "timm.models._efficientnet_blocks.InvertedResidual": (
        ("conv_pw", "bn1"),
        ("conv_dw", "bn2"),
        ("conv_pwl", "bn3"),
    ),
}
"""Attributes that modules of these classes apply one right after the other. By name: timm takes a second to import."""

# Exactly these classes: a subclass may do anything with its weights before it uses them.
_CONVOLUTION_MODULE = "mmcv.cnn.bricks.conv_module.ConvModule"
_SWISH = "mmcv.cnn.bricks.swish.Swish"
_SEQUENCE = "torch.nn.modules.container.Sequential"
_CONVOLUTIONS = {"torch.nn.modules.conv.Conv2d", "timm.layers.conv2d_same.Conv2dSame"}
_NORM = "torch.nn.modules.batchnorm.BatchNorm2d"
_NORM_AND_ACTIVATION = "timm.layers.norm_act.BatchNormAct2d"


def prepare_for_inference(network: nn.Module) -> None:
    """Change a network in place, which must be in evaluation mode.

    What is not known to be a convolution that is normalised right after it stays as it is.
    """
    for module in list(network.modules()):
        kind = _name_class(module)
        if kind == _CONVOLUTION_MODULE:
            _merge_convolution_module(module)
        pairs = _PAIRS.get(kind, ())
        if kind == _SEQUENCE:
            pairs = tuple(pairwise(name for name, _ in module.named_children()))
        for convolution, norm in pairs:
            _merge_pair(module, convolution, norm)
    if next(network.parameters()).device.type == "cpu":
        # The order in which oneDNN computes: in the other one each convolution turns its input round and back.
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - of tensors' `to`


def _merge_convolution_module(module: Any) -> None:
    if (
        module.order == ("conv", "norm", "act")
        and module.with_norm
        and not module.with_spectral_norm
        and module.efficient_conv_bn_eval_forward is None
    ):
        _merge_pair(module, "conv", module.norm_name)
    # Its input is what the convolution has just made, and nobody else's.
    if (
        module.with_activation
        and _name_class(module.activate) == _SWISH
        and module.order[-2:] == ("norm", "act")
    ):
        module.activate = nn.SiLU(inplace=True)


def _merge_pair(parent: nn.Module, convolution_name: str, norm_name: str) -> None:
    convolution: Any = getattr(parent, convolution_name, None)
    norm: Any = getattr(parent, norm_name, None)
    if (
        _name_class(convolution) not in _CONVOLUTIONS
        or _name_class(norm) not in (_NORM, _NORM_AND_ACTIVATION)
        or norm.running_mean is None
        or norm.running_var is None
    ):
        return
    # Copies: heads share a convolution between levels that each have a norm of their own.
    merged = fuse_conv_bn_eval(copy.deepcopy(convolution).double(), copy.deepcopy(norm).double())
    setattr(parent, convolution_name, merged.to(convolution.weight.dtype))
    rest = nn.Sequential(norm.drop, norm.act) if _name_class(norm) == _NORM_AND_ACTIVATION else nn.Identity()
    setattr(parent, norm_name, rest)


def _name_class(module: object) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"
