"""RoIAlign: average mode over torchvision's operator, maximum mode in `roi_align_maximum`.

Source: He et al., "Mask R-CNN", 2017; `mmcv/ops/csrc/pytorch/cpu/roi_align.cpp`.
"""

from typing import Any

import torch
import torchvision  # noqa: F401  # pyright: ignore[reportUnusedImport]  # registers its operators
from torch import Tensor

from raven_scan.trainer.operators import roi_align_maximum
from raven_scan.trainer.operators.precision import computing_dtype

_POOL_MODE_MAXIMUM = 0
_roi_align: Any = torch.ops.torchvision.roi_align
_roi_align_backward: Any = torch.ops.torchvision._roi_align_backward  # noqa: SLF001


def roi_align_forward(
    features: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Pool bilinear samples of each region.

    Args:
        features: (N, C, H, W).
        rois: (R, 5): row of `features`, x1 y1 x2 y2 in pixels of the image.
        output: out, (R, C, aligned_height, aligned_width).
        argmax_y: out in maximum mode, shaped as `output`: which sample of the bin won, its row; -1 for none.
            (MMCV's compiled operator stores a coordinate, which 16 bits cannot hold. Only the gradient reads
            it.)
        argmax_x: likewise, its column.
        aligned_height: rows of bins.
        aligned_width: columns of bins.
        spatial_scale: pixels of `features` per pixel of the image.
        sampling_ratio: samples per bin and side; 0 for as many as the bin has pixels, rounded up.
        pool_mode: 0 maximum, 1 average.
        aligned: pixel centres lie at half coordinates.
    """
    dtype = computing_dtype(features.dtype)
    features, regions = features.to(dtype), rois.to(dtype)
    if pool_mode == _POOL_MODE_MAXIMUM:
        sampling = roi_align_maximum.Sampling(
            aligned_height, aligned_width, spatial_scale, sampling_ratio, aligned
        )
        maximum, row, column = roi_align_maximum.pool(features, regions, sampling)
        output.copy_(maximum)
        argmax_y.copy_(row)
        argmax_x.copy_(column)
        return
    output.copy_(
        _roi_align(features, regions, spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned)
    )


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the gradient of the features into `grad_input` (N, C, H, W); others as in the forward."""
    dtype = computing_dtype(grad_output.dtype)
    gradient, regions = grad_output.to(dtype).contiguous(), rois.to(dtype)
    if pool_mode == _POOL_MODE_MAXIMUM:
        sampling = roi_align_maximum.Sampling(
            aligned_height, aligned_width, spatial_scale, sampling_ratio, aligned
        )
        winners = argmax_y.to(torch.int64), argmax_x.to(torch.int64)
        grad_input.copy_(roi_align_maximum.gradient(gradient, regions, winners, grad_input.shape, sampling))
        return
    grad_input.copy_(
        _roi_align_backward(
            gradient,
            regions,
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    )
