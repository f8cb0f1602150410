"""SiLU in one pass over memory, forward and backward."""

from typing import Any

import torch
from mmcv.cnn.bricks.swish import Swish
from torch import Tensor, nn

_aten: Any = torch.ops.aten


class ContiguousSiLU(nn.SiLU):
    """`nn.SiLU`, out of place, whose gradient is made contiguous before it is used.

    The gradient of a concatenation of channels is a slice of a larger one; in channels-last memory PyTorch's operators
    take up to ten times as long on it, but copy it quickly. In place, autograd would have to copy the input first,
    which the gradient is computed from.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        if not torch.is_grad_enabled() or not input.requires_grad:
            return nn.functional.silu(input)
        return _Activate.apply(input)  # pyright: ignore[reportReturnType]  # untyped in torch


def accelerate_activations(model: nn.Module) -> None:
    """Let all SiLU be `ContiguousSiLU`, and YOLOX's Swish too: the same function, written as two operators."""
    for module in model.modules():
        if type(module) in {Swish, nn.SiLU}:
            # Neither has weights.
            module.__class__ = ContiguousSiLU
            setattr(module, "inplace", False)  # noqa: B010 - of a class that it had not a line before


class _Activate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        return nn.functional.silu(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        # In the order of the features, which may be channels-last.
        return _aten.silu_backward(_match(gradients[0], features), features)


def _match(gradient: Tensor, features: Tensor) -> Tensor:
    """The gradient in the order of the features in memory."""
    if gradient.stride() == features.stride():
        return gradient
    return torch.empty_like(features).copy_(gradient)
