"""bfloat16 in forward and backward, on the CPU as on CUDA."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class RavenAutocastOptimWrapper(OptimWrapper):
    """Runs the forward pass under autocast to bfloat16, whose range needs no scaling of the loss.

    MMEngine's `AmpOptimWrapper` refuses the CPU.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Generator[None]:
        device_type = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device_type, dtype=torch.bfloat16):
            yield

    def update_params(self, loss: torch.Tensor, *arguments: Any, **named: Any) -> None:
        super().update_params(loss.float(), *arguments, **named)
