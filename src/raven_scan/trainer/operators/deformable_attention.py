"""Multi-scale deformable attention, as DINO and Deformable DETR use it on CUDA.

On a CPU, MMCV does not ask for these but computes the same in Python.
Source: Zhu et al., "Deformable DETR", 2020, equation 3.
"""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from raven_scan.trainer.operators.precision import computing_dtype


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    *,
    im2col_step: int,
) -> Tensor:
    """Weighted sum of bilinear samples from all levels.

    Args:
        value: (B, K, M, D): features of all levels in one row of K positions, M heads of D channels.
        value_spatial_shapes: int64 (L, 2): height, width of each level; their products sum up to K.
        value_level_start_index: int64 (L,), unused: it follows from the shapes.
        sampling_locations: (B, Q, M, L, P, 2): x y, where [0, 1] spans the level.
        attention_weights: (B, Q, M, L, P).
        im2col_step: unused; the compiled operator's chunk.

    Returns:
        (B, Q, M * D), of the dtype of `value`.
    """
    del value_level_start_index, im2col_step
    dtype = computing_dtype(value.dtype)
    shapes: list[tuple[int, int]] = value_spatial_shapes.tolist()
    attended = _attend(value.to(dtype), shapes, sampling_locations.to(dtype), attention_weights.to(dtype))
    return attended.to(value.dtype)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    *,
    im2col_step: int,
) -> None:
    """Write the gradients into the three `grad_` tensors, shaped as their inputs; others as in the forward.

    The forward is computed again, so that nothing of it has to be kept.
    """
    del value_level_start_index, im2col_step
    dtype = computing_dtype(value.dtype)
    shapes: list[tuple[int, int]] = value_spatial_shapes.tolist()
    with torch.enable_grad():
        inputs = [
            tensor.detach().to(dtype).requires_grad_()
            for tensor in (value, sampling_locations, attention_weights)
        ]
        attended = _attend(inputs[0], shapes, inputs[1], inputs[2])
    gradients = torch.autograd.grad(attended, inputs, grad_output.to(dtype))
    for out, gradient in zip((grad_value, grad_sampling_loc, grad_attn_weight), gradients, strict=True):
        out.copy_(gradient)


def _attend(value: Tensor, shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    batch, _, heads, channels = value.shape
    queries = locations.size(1)
    # grid_sample takes one image per batch and head: (B * M, D, H, W), grids of (B * M, Q, P, 2) in [-1, 1].
    by_head = value.permute(0, 2, 3, 1).reshape(batch * heads, channels, -1)
    grids = (2 * locations - 1).transpose(1, 2).flatten(0, 1)
    factors = weights.transpose(1, 2).flatten(0, 1)
    attended = value.new_zeros(batch * heads, channels, queries)
    start = 0
    for level, (height, width) in enumerate(shapes):
        image = by_head[:, :, start : start + height * width].unflatten(2, (height, width))
        sampled = grid_sample(image, grids[:, :, level], padding_mode="zeros", align_corners=False)
        attended = attended + (sampled * factors[:, None, :, level]).sum(dim=-1)
        start += height * width
    return attended.view(batch, heads * channels, queries).transpose(1, 2).contiguous()
