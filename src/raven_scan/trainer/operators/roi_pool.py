"""RoIPool as MMCV defines it.

torchvision's rounds a region to whole pixels first, MMCV's does not: results differ, so that torchvision's
cannot stand in. Source: Girshick, "Fast R-CNN", 2015; `mmcv/ops/csrc/common/cuda/roi_pool_cuda_kernel.cuh`.
"""

import torch
from torch import Tensor

from raven_scan.trainer.operators.precision import computing_dtype


def roi_pool_forward(
    features: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    *,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Largest value of each bin of each region.

    Args:
        features: (N, C, H, W).
        rois: (R, 5): row of `features`, x1 y1 x2 y2 in pixels of the image, x2 and y2 inclusive.
        output: out, (R, C, pooled_height, pooled_width); 0 for a bin without pixels.
        argmax: out, int32, shaped as `output`: which pixel of the H * W won; -1 for a bin without pixels.
        pooled_height: rows of bins.
        pooled_width: columns of bins.
        spatial_scale: pixels of `features` per pixel of the image.
    """
    output.zero_()
    argmax.fill_(-1)
    height, width = features.shape[2:]
    regions = rois.to(computing_dtype(rois.dtype))
    start = regions[:, 1:3] * spatial_scale
    size = (regions[:, 3:5] + 1) * spatial_scale - start
    columns = _bin_bounds(start[:, 0], size[:, 0], pooled_width, width)
    rows = _bin_bounds(start[:, 1], size[:, 1], pooled_height, height)
    for number, image in enumerate(regions[:, 0].long().tolist()):
        # First each strip of rows, then each strip of columns of those: 14 steps a region and not 49.
        strips = [features[image, :, low:high].max(dim=1) for low, high in rows[number] if low < high]
        wanted = [bin_row for bin_row, (low, high) in enumerate(rows[number]) if low < high]
        if not strips:
            continue
        values = torch.stack([strip.values for strip in strips], dim=1)
        pixel_rows = torch.stack(
            [strip.indices + rows[number][bin_row][0] for bin_row, strip in zip(wanted, strips, strict=True)],
            dim=1,
        )
        for bin_column, (low, high) in enumerate(columns[number]):
            if low >= high:
                continue
            largest = values[:, :, low:high].max(dim=2)
            pixel_column = largest.indices + low
            pixel_row = pixel_rows.gather(2, pixel_column[..., None])[..., 0]
            output[number, :, wanted, bin_column] = largest.values
            argmax[number, :, wanted, bin_column] = (pixel_row * width + pixel_column).int()


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    *,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Write the gradient of the features into `grad_input` (N, C, H, W); others as in the forward."""
    del pooled_height, pooled_width, spatial_scale
    _, channels, height, width = grad_input.shape
    dtype = computing_dtype(grad_output.dtype)
    image = rois[:, 0].long()[:, None, None, None]
    plane = image * channels + torch.arange(channels, device=rois.device)[:, None, None]
    pixel = plane * (height * width) + argmax.clamp(min=0)
    won = torch.where(argmax >= 0, grad_output.to(dtype), 0)
    gradient = torch.zeros(grad_input.numel(), dtype=dtype, device=grad_input.device)
    gradient.index_add_(0, pixel.flatten(), won.flatten())
    grad_input.copy_(gradient.view(grad_input.shape))


def _bin_bounds(start: Tensor, size: Tensor, bins: int, limit: int) -> list[list[tuple[int, int]]]:
    """First pixel and the one after the last of each bin of each region, (R, bins, 2), cut to the image."""
    number = torch.arange(bins, device=start.device)
    bin_size = (size / bins)[:, None]
    low = (number * bin_size + start[:, None]).floor().clamp(0, limit)
    high = ((number + 1) * bin_size + start[:, None]).ceil().clamp(0, limit)
    # A region that is inside out has no pixels.
    high = torch.where(size[:, None] > 0, high, low)
    return torch.stack((low, high), dim=-1).long().tolist()
