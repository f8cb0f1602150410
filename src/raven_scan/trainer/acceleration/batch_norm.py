"""Batch normalisation of layers whose channels do not fill the processor's vectors, in channels-last memory.

PyTorch's kernels for channels-last walk over the channels of one pixel after the other, and fall back to single
numbers where those are not a multiple of a vector: with 12 or 24 channels they take ten times as long as needed.
Here several pixels in a row are taken for one with as many times the channels: what is summed up for each is put
together afterwards, with the formulas of the plain layer.
"""

from typing import Any

import torch
from torch import Tensor, nn

# Of AVX-512, in bfloat16. Kernels for narrower vectors gain from the same.
_VECTOR_LENGTH = 32
# Of float32: multiples of it are fast enough as they are.
_HALF_VECTOR_LENGTH = 16
_aten: Any = torch.ops.aten


class WideBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` that is fast for any number of channels, while it trains on a CPU in channels-last memory.

    Everywhere else it is the plain one.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        group = self._find_group(input)
        if group is None:
            return super().forward(input)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        output, mean, variance = _Normalise.apply(input, self.weight, self.bias, self.eps, group)  # pyright: ignore[reportGeneralTypeIssues]  # untyped in torch
        self._note_statistics(mean, variance, input.numel() // input.size(1))
        return output

    def _find_group(self, features: Tensor) -> int | None:
        """How many pixels are taken for one; None where the plain layer is to be used."""
        if not (self.training and self.affine and self.track_running_stats and self.momentum is not None):
            return None
        if features.device.type != "cpu" or features.size(1) % _HALF_VECTOR_LENGTH == 0:
            return None
        if not features.is_contiguous(memory_format=torch.channels_last):
            return None
        return find_group(features.size(1), features.numel() // features.size(1))

    @torch.no_grad()
    def _note_statistics(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            raise RuntimeError("The layer has no running statistics.")
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)


def find_group(channels: int, pixels: int) -> int | None:
    """The fewest pixels whose channels together fill vectors; None where that does not divide the pixels."""
    group = 1
    while group * channels % _VECTOR_LENGTH:
        group *= 2
        if group > _VECTOR_LENGTH:
            return None
    return group if pixels % group == 0 and pixels > group else None


def accelerate_batch_norm(model: nn.Module) -> None:
    """Let all layers of batch normalisation be `WideBatchNorm2d`; weights and their names stay."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = WideBatchNorm2d


class _Normalise(torch.autograd.Function):
    """(features (N, C, H, W), weight (C,), bias (C,)) to (normalised, mean (C,), biased variance (C,))."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, epsilon: float, group: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = _widen(features, group)
        zeros, ones = _make_neutral(wide)
        wide_mean, wide_variance = _aten.batch_norm_update_stats(wide, zeros.clone(), ones.clone(), 0.0)
        # `batch_norm_update_stats` gives the inverse deviation where it has an epsilon; here the plain variance.
        mean = wide_mean.view(group, -1).mean(0)
        variance = (wide_variance.view(group, -1) + (wide_mean.view(group, -1) - mean).square()).mean(0)
        inverse = (variance + epsilon).rsqrt()
        factor = weight * inverse
        normalised = _scale(wide, factor, bias - mean * factor, group)
        ctx.save_for_backward(features, weight, mean, inverse)
        ctx.group = group
        ctx.mark_non_differentiable(mean, variance)
        return _narrow(normalised, features), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, mean, inverse = ctx.saved_tensors
        group = ctx.group
        # Gradients of concatenations are slices.
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        wide, wide_gradient = _widen(features, group), _widen(gradient, group)
        _, ones = _make_neutral(wide)
        # As if of a layer that does not train, with the deviation 1: its gradient of weights is
        # the sum of gradient times deviation from the mean, that of biases the sum of gradients.
        _, deviations, sums = _aten.native_batch_norm_backward(
            wide_gradient,
            wide,
            ones,
            mean.repeat(group),
            ones,
            None,
            None,
            False,  # noqa: FBT003 - torch's
            0.0,
            [False, True, True],
        )
        deviation = deviations.view(group, -1).sum(0)
        total = sums.view(group, -1).sum(0)
        count = features.numel() // features.size(1)
        factor = weight * inverse
        slope = -factor * inverse.square() * deviation / count
        offset = -factor * total / count - slope * mean
        result = _scale(wide, slope, offset, group)
        result.add_(_scale(wide_gradient, factor, None, group))
        return _narrow(result, features), deviation * inverse, total, None, None


def _widen(features: Tensor, group: int) -> Tensor:
    """(N, C, H, W) in channels-last memory to (N * H * W / group, group * C), the same memory."""
    return features.permute(0, 2, 3, 1).reshape(-1, group * features.size(1))


def _narrow(wide: Tensor, like: Tensor) -> Tensor:
    count, channels, height, width = like.shape
    return wide.view(count, height, width, channels).permute(0, 3, 1, 2)


def _make_neutral(wide: Tensor) -> tuple[Tensor, Tensor]:
    zeros = torch.zeros(wide.size(1))
    return zeros, torch.ones_like(zeros)


def _scale(wide: Tensor, factor: Tensor, offset: Tensor | None, group: int) -> Tensor:
    """Each channel times its factor, plus its offset, in one pass: a layer that does not train does just that."""
    zeros, ones = _make_neutral(wide)
    repeated = None if offset is None else offset.repeat(group)
    return _aten.native_batch_norm(wide, factor.repeat(group), repeated, zeros, ones, False, 0.0, 0.0)[0]  # noqa: FBT003
