"""Deformable convolution, versions 1 and 2, over torchvision's.

Source: Dai et al., "Deformable convolutional networks", 2017; Zhu et al., "Deformable ConvNets v2", 2018.
Arguments are named as MMCV's compiled operators name them: that is their calling convention.
"""

from typing import Any

import torch
import torchvision  # noqa: F401  # registers torch.ops.torchvision
from torch import Tensor
from torchvision.ops import deform_conv2d

from raven_scan.trainer.operators.precision import computing_dtype

_deform_conv2d_backward: Any = torch.ops.torchvision._deform_conv2d_backward  # noqa: SLF001


def deform_conv_forward(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,  # noqa: N803
    kH: int,  # noqa: N803
    dW: int,  # noqa: N803
    dH: int,  # noqa: N803
    padW: int,  # noqa: N803
    padH: int,  # noqa: N803
    dilationW: int,  # noqa: N803
    dilationH: int,  # noqa: N803
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Convolve with displaced samples.

    Args:
        input: (N, C, H, W).
        weight: (O, C / group, kH, kW).
        offset: (N, deformable_group * kH * kW * 2, H', W'): y x of each kernel position.
        output: out, (N, O, H', W').
        columns: scratch, unused here.
        ones: scratch, unused.
        kW, kH: kernel size, which `weight` tells too; likewise `group` and `deformable_group`.
        dW, dH: stride.
        padW, padH: padding with zeros.
        dilationW, dilationH: dilation.
        group: groups of the convolution.
        deformable_group: groups of channels with offsets of their own.
        im2col_step: unused; the compiled operator's chunk.
    """
    del columns, ones, kW, kH, group, deformable_group, im2col_step
    dtype = computing_dtype(input.dtype)
    output.copy_(
        deform_conv2d(
            input.to(dtype),
            offset.to(dtype),
            weight.to(dtype),
            stride=(dH, dW),
            padding=(padH, padW),
            dilation=(dilationH, dilationW),
        )
    )


def deform_conv_backward_input(
    input: Tensor,  # noqa: A002
    offset: Tensor,
    gradOutput: Tensor,  # noqa: N803
    gradInput: Tensor,  # noqa: N803
    gradOffset: Tensor,  # noqa: N803
    weight: Tensor,
    columns: Tensor,
    kW: int,  # noqa: N803
    kH: int,  # noqa: N803
    dW: int,  # noqa: N803
    dH: int,  # noqa: N803
    padW: int,  # noqa: N803
    padH: int,  # noqa: N803
    dilationW: int,  # noqa: N803
    dilationH: int,  # noqa: N803
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Write the gradients of `input` and `offset`, and leave that of `weight` in the scratch `columns`.

    torchvision computes all three at once, and MMCV asks for the third right after with the same scratch.
    """
    del kW, kH, im2col_step
    gradient = _all_gradients(
        gradOutput,
        input,
        weight,
        offset,
        None,
        stride=(dH, dW),
        padding=(padH, padW),
        dilation=(dilationH, dilationW),
        groups=(group, deformable_group),
    )
    gradInput.copy_(gradient[0])
    gradOffset.copy_(gradient[2])
    columns.resize_(weight.shape).copy_(gradient[1])


def deform_conv_backward_parameters(
    input: Tensor,  # noqa: A002
    offset: Tensor,
    gradOutput: Tensor,  # noqa: N803
    gradWeight: Tensor,  # noqa: N803
    columns: Tensor,
    ones: Tensor,
    kW: int,  # noqa: N803
    kH: int,  # noqa: N803
    dW: int,  # noqa: N803
    dH: int,  # noqa: N803
    padW: int,  # noqa: N803
    padH: int,  # noqa: N803
    dilationW: int,  # noqa: N803
    dilationH: int,  # noqa: N803
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Add `scale` times the gradient of the weights to `gradWeight` (O, C / group, kH, kW)."""
    del ones, kW, kH, im2col_step
    if columns.shape == gradWeight.shape:
        gradWeight.add_(columns, alpha=scale)
        columns.resize_(0)
        return
    # Input and offset needed no gradient: MMCV did not ask for theirs.
    gradient = _all_gradients(
        gradOutput,
        input,
        gradWeight,
        offset,
        None,
        stride=(dH, dW),
        padding=(padH, padW),
        dilation=(dilationH, dilationW),
        groups=(group, deformable_group),
    )
    gradWeight.add_(gradient[1].to(gradWeight.dtype), alpha=scale)


def modulated_deform_conv_forward(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,  # noqa: FBT001
) -> None:
    """Convolve with displaced samples, each multiplied by its value in `mask`.

    Shapes as in `deform_conv_forward`; `mask` is (N, deformable_group * kernel_h * kernel_w, H', W'), `bias` (O,),
    or empty unless `with_bias`.
    """
    del ones, columns, kernel_h, kernel_w, group, deformable_group
    dtype = computing_dtype(input.dtype)
    output.copy_(
        deform_conv2d(
            input.to(dtype),
            offset.to(dtype),
            weight.to(dtype),
            bias.to(dtype) if with_bias else None,
            stride=(stride_h, stride_w),
            padding=(pad_h, pad_w),
            dilation=(dilation_h, dilation_w),
            mask=mask.to(dtype),
        )
    )


def modulated_deform_conv_backward(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,  # noqa: FBT001
) -> None:
    """Write all gradients into the `grad_` tensors, shaped as what they belong to."""
    del bias, ones, columns, kernel_h, kernel_w
    gradient = _all_gradients(
        grad_output,
        input,
        weight,
        offset,
        mask,
        stride=(stride_h, stride_w),
        padding=(pad_h, pad_w),
        dilation=(dilation_h, dilation_w),
        groups=(group, deformable_group),
    )
    outs = [grad_input, grad_weight, grad_offset, grad_mask]
    for out, value in zip(outs, gradient[:4], strict=True):
        out.copy_(value)
    if with_bias:
        grad_bias.copy_(gradient[4])


def _all_gradients(
    grad_output: Tensor,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    *,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of input, weight, offset, mask, bias; pairs are (vertical, horizontal), groups (weight, offset)."""
    dtype = computing_dtype(input.dtype)
    no_mask = input.new_zeros((input.size(0), 1), dtype=dtype)
    return _deform_conv2d_backward(
        grad_output.to(dtype).contiguous(),
        input.to(dtype),
        weight.to(dtype),
        offset.to(dtype),
        no_mask if mask is None else mask.to(dtype),
        weight.new_zeros(weight.size(0), dtype=dtype),
        *stride,
        *padding,
        *dilation,
        *groups,
        mask is not None,
    )
