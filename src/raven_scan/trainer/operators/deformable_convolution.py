"""Deformable convolution, versions 1 and 2, over torchvision's.

Shapes, in all functions: `features` (N, C, H, W); `weight` (O, C / groups, KH, KW); `offset`
(N, G * KH * KW * 2, H', W'), y x of each kernel position, where G groups of channels have offsets of their
own; `mask` (N, G * KH * KW, H', W'), the factor of each sample; `bias` (O,); `output` (N, O, H', W'). A
`grad_` has the shape of what it belongs to. `columns` and `ones` are the compiled operator's scratch.

Source: Dai et al., "Deformable convolutional networks", 2017; Zhu et al., "Deformable ConvNets v2", 2018.
"""

from typing import Any, NamedTuple, TypedDict, Unpack

import torch
from torch import Tensor
from torchvision.ops import deform_conv2d

from raven_scan.trainer.operators.precision import computing_dtype

_deform_conv2d_backward: Any = torch.ops.torchvision._deform_conv2d_backward  # noqa: SLF001


class _Geometry1(TypedDict):
    """What MMCV's version 1 passes by name; the kernel's size is that of `weight`."""

    kW: int
    kH: int
    dW: int
    dH: int
    padW: int
    padH: int
    dilationW: int
    dilationH: int
    group: int
    deformable_group: int
    im2col_step: int


class _Geometry2(TypedDict):
    """What MMCV's version 2 passes by name."""

    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    pad_h: int
    pad_w: int
    dilation_h: int
    dilation_w: int
    group: int
    deformable_group: int
    with_bias: bool


class _Layout(NamedTuple):
    """Pairs are (vertical, horizontal)."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    offset_groups: int


class _Gradients(NamedTuple):
    features: Tensor
    weight: Tensor
    offset: Tensor
    mask: Tensor
    bias: Tensor


def deform_conv_forward(
    features: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    **geometry: Unpack[_Geometry1],
) -> None:
    """Write the convolution of displaced samples into `output`."""
    del columns, ones
    output.copy_(_convolve(features, weight, offset, _layout1(geometry), mask=None, bias=None))


def deform_conv_backward_input(
    features: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_features: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    **geometry: Unpack[_Geometry1],
) -> None:
    """Write the gradients of `features` and `offset`, and leave that of `weight` in the scratch `columns`.

    torchvision computes all three at once, and MMCV asks for the third right after with the same scratch.
    """
    gradients = _differentiate(grad_output, features, weight, offset, _layout1(geometry), mask=None)
    grad_features.copy_(gradients.features)
    grad_offset.copy_(gradients.offset)
    columns.resize_(weight.shape).copy_(gradients.weight)


def deform_conv_backward_parameters(
    features: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    *,
    scale: float,
    **geometry: Unpack[_Geometry1],
) -> None:
    """Add `scale` times the gradient of the weights to `grad_weight`."""
    del ones
    if columns.shape == grad_weight.shape:
        grad_weight.add_(columns, alpha=scale)
        columns.resize_(0)
        return
    # Neither features nor offset needed a gradient, so that MMCV did not ask for theirs.
    # The values of the weights do not enter their own gradient.
    gradients = _differentiate(grad_output, features, grad_weight, offset, _layout1(geometry), mask=None)
    grad_weight.add_(gradients.weight.to(grad_weight.dtype), alpha=scale)


def modulated_deform_conv_forward(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    **geometry: Unpack[_Geometry2],
) -> None:
    """Write the convolution of displaced and weighted samples into `output`; `bias` counts if `with_bias`."""
    del ones, columns
    used_bias = bias if geometry["with_bias"] else None
    output.copy_(_convolve(features, weight, offset, _layout2(geometry), mask=mask, bias=used_bias))


def modulated_deform_conv_backward(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_features: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    **geometry: Unpack[_Geometry2],
) -> None:
    """Write all gradients; `grad_bias` if `with_bias`."""
    del bias, ones, columns
    gradients = _differentiate(grad_output, features, weight, offset, _layout2(geometry), mask=mask)
    grad_features.copy_(gradients.features)
    grad_weight.copy_(gradients.weight)
    grad_offset.copy_(gradients.offset)
    grad_mask.copy_(gradients.mask)
    if geometry["with_bias"]:
        grad_bias.copy_(gradients.bias)


def _layout1(geometry: _Geometry1) -> _Layout:
    return _Layout(
        stride=(geometry["dH"], geometry["dW"]),
        padding=(geometry["padH"], geometry["padW"]),
        dilation=(geometry["dilationH"], geometry["dilationW"]),
        groups=geometry["group"],
        offset_groups=geometry["deformable_group"],
    )


def _layout2(geometry: _Geometry2) -> _Layout:
    return _Layout(
        stride=(geometry["stride_h"], geometry["stride_w"]),
        padding=(geometry["pad_h"], geometry["pad_w"]),
        dilation=(geometry["dilation_h"], geometry["dilation_w"]),
        groups=geometry["group"],
        offset_groups=geometry["deformable_group"],
    )


def _convolve(
    features: Tensor,
    weight: Tensor,
    offset: Tensor,
    layout: _Layout,
    *,
    mask: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    dtype = computing_dtype(features.dtype)
    return deform_conv2d(
        features.to(dtype),
        offset.to(dtype),
        weight.to(dtype),
        None if bias is None else bias.to(dtype),
        stride=layout.stride,
        padding=layout.padding,
        dilation=layout.dilation,
        mask=None if mask is None else mask.to(dtype),
    )


def _differentiate(
    grad_output: Tensor,
    features: Tensor,
    weight: Tensor,
    offset: Tensor,
    layout: _Layout,
    *,
    mask: Tensor | None,
) -> _Gradients:
    dtype = computing_dtype(features.dtype)
    no_mask = features.new_zeros((features.size(0), 1), dtype=dtype)
    return _Gradients(
        *_deform_conv2d_backward(
            grad_output.to(dtype).contiguous(),
            features.to(dtype),
            weight.to(dtype),
            offset.to(dtype),
            no_mask if mask is None else mask.to(dtype),
            weight.new_zeros(weight.size(0), dtype=dtype),
            *layout.stride,
            *layout.padding,
            *layout.dilation,
            layout.groups,
            layout.offset_groups,
            mask is not None,
        )
    )
