"""What a configuration names to compute as was decided."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import Tensor, nn

from raven_scan.architectures.parameters import MemoryFormat, Precision
from raven_scan.trainer.acceleration import accelerate
from raven_scan.trainer.acceleration.arithmetic import Arithmetic


@HOOKS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class RavenArithmeticHook(Hook):
    """Prepares the model before the first step: operators, order of memory, and what stays float32.

    Args:
        precision: `float32`, `bfloat16` or `float16`; the autocast itself is the optimiser wrapper's.
        memory_format: `contiguous` or `channels_last`.
        accelerated: whether this package's operators take the places of MMDetection's.
    """

    # Before the weights are averaged (49): that copies the model as it is.
    priority = "VERY_HIGH"

    def __init__(self, precision: str, memory_format: str, *, accelerated: bool) -> None:
        self._arithmetic = Arithmetic(Precision(precision), MemoryFormat(memory_format), accelerated)

    def before_run(self, runner: Any) -> None:
        prepare_model(runner.model, self._arithmetic)


def prepare_model(model: nn.Module, arithmetic: Arithmetic) -> nn.Module:
    """Returns the model itself, with the same weights under the same names."""
    if arithmetic.accelerated:
        accelerate(model)
    if arithmetic.memory_format is MemoryFormat.CHANNELS_LAST:
        model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's stubs lack it
    if arithmetic.precision is not Precision.FLOAT32:
        for name, module in model.named_modules():
            # Dense heads, and those of regions.
            if name.rpartition(".")[2] in {"bbox_head", "rpn_head"}:
                module.register_forward_hook(_give_float32)
    return model


def _give_float32(module: nn.Module, inputs: Any, outputs: Any) -> Any:
    """Boxes are decoded in the type of a head's outputs, and bfloat16 has steps of two pixels at 400."""
    del module, inputs
    return _convert(outputs)


def _convert(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, Mapping):
        return {key: _convert(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return type(value)(_convert(each) for each in value)  # pyright: ignore[reportUnknownVariableType, reportCallIssue]
    return value
