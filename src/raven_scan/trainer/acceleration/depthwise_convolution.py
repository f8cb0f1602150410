"""Depthwise convolutions whose gradients are computed in float32 on a CPU.

oneDNN's kernels for them in bfloat16 take 5 to 20 times as long as those in float32, and are the less exact of the
two: of weights larger than 3 x 3 (RTMDet's are 5 x 5), and of features at strides above 1 (YOLOX-nano).
"""

from typing import Any

import torch
from torch import Tensor, nn

_LARGEST_FAST_KERNEL = 3
_aten: Any = torch.ops.aten


class Float32GradientConv2d(nn.Conv2d):
    """`nn.Conv2d`, whose gradients are computed in float32 where its input is bfloat16 on a CPU."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002 - torch's name
        if input.device.type != "cpu" or not torch.is_grad_enabled() or not weight.requires_grad:
            return super()._conv_forward(input, weight, bias)
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            input, weight = input.to(dtype), weight.to(dtype)  # noqa: A001 - torch's name
            bias = None if bias is None else bias.to(dtype)
        if input.dtype is torch.float32:
            return super()._conv_forward(input, weight, bias)
        output: Tensor = _DepthwiseConvolution.apply(input, weight, self.stride, self.padding, self.dilation)  # pyright: ignore[reportAssignmentType]  # untyped in torch
        return output if bias is None else output + bias.view(1, -1, 1, 1)


def accelerate_depthwise_convolutions(model: nn.Module) -> None:
    """Let all depthwise convolutions of large kernels or strides be `Float32GradientConv2d`; weights and names stay."""
    for module in model.modules():
        if type(module) is nn.Conv2d and _is_slow(module):
            module.__class__ = Float32GradientConv2d


def _is_slow(module: nn.Conv2d) -> bool:
    is_depthwise = 1 < module.groups == module.in_channels == module.out_channels
    is_plain = module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return (
        is_depthwise
        and is_plain
        and (max(module.kernel_size) > _LARGEST_FAST_KERNEL or max(module.stride) > 1)
    )


class _DepthwiseConvolution(torch.autograd.Function):
    """(features (N, C, H, W), weight (C, 1, KH, KW)) to (N, C, H', W'); pairs are (vertical, horizontal)."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.geometry = (list(stride), list(padding), list(dilation))
        return torch.conv2d(features, weight, None, stride, padding, dilation, features.size(1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        stride, padding, dilation = ctx.geometry
        transposed, output_padding = False, [0, 0]
        of_features, of_weight, _ = _aten.convolution_backward(
            _make_wide(gradients[0]),
            _make_wide(features),
            weight.float(),
            None,
            stride,
            padding,
            dilation,
            transposed,
            output_padding,
            features.size(1),
            [*ctx.needs_input_grad[:2], False],
        )
        of_features = None if of_features is None else of_features.to(features.dtype)
        of_weight = None if of_weight is None else of_weight.to(weight.dtype)
        return of_features, of_weight, None, None, None


def _make_wide(values: Tensor) -> Tensor:
    # Contiguous, since gradients of concatenations are slices; channels-last, which is faster in any case.
    return values.to(torch.float32, memory_format=torch.channels_last)
