"""Our `mmcv._ext`: every function has the name, argument order and out-parameters of MMCV's compiled one.

Source of the calling conventions: `mmcv/ops/*.py`, `mmcv/ops/csrc/pytorch/pybind.cpp`.
"""

import torch

from raven_scan.trainer.operators.box_overlaps import bbox_overlaps
from raven_scan.trainer.operators.box_suppression import nms, nms_match, softnms
from raven_scan.trainer.operators.deformable_attention import ms_deform_attn_backward, ms_deform_attn_forward
from raven_scan.trainer.operators.deformable_convolution import (
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    deform_conv_forward,
    modulated_deform_conv_backward,
    modulated_deform_conv_forward,
)
from raven_scan.trainer.operators.focal_losses import (
    sigmoid_focal_loss_backward,
    sigmoid_focal_loss_forward,
    softmax_focal_loss_backward,
    softmax_focal_loss_forward,
)
from raven_scan.trainer.operators.roi_align import roi_align_backward, roi_align_forward
from raven_scan.trainer.operators.roi_pool import roi_pool_backward, roi_pool_forward
from raven_scan.trainer.operators.uncovered import UncoveredOperator

__all__ = [
    "bbox_overlaps",
    "deform_conv_backward_input",
    "deform_conv_backward_parameters",
    "deform_conv_forward",
    "get_compiler_version",
    "get_compiling_cuda_version",
    "modulated_deform_conv_backward",
    "modulated_deform_conv_forward",
    "ms_deform_attn_backward",
    "ms_deform_attn_forward",
    "nms",
    "nms_match",
    "roi_align_backward",
    "roi_align_forward",
    "roi_pool_backward",
    "roi_pool_forward",
    "sigmoid_focal_loss_backward",
    "sigmoid_focal_loss_forward",
    "softmax_focal_loss_backward",
    "softmax_focal_loss_forward",
    "softnms",
]


def get_compiler_version() -> str:
    return "none: Raven Scan over torchvision"


def get_compiling_cuda_version() -> str:
    return torch.version.cuda or "not available"


def __getattr__(name: str) -> UncoveredOperator:
    # `mmcv.ops` asks for some eighty operators when it is imported. Names with an underscore are the import
    # system's and inspect's (`__file__`, `__path__`): answering them makes `inspect.getmodule`, and with it
    # MMEngine's registry, believe in things that are not there.
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return UncoveredOperator(name)
