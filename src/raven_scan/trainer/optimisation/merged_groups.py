"""Optimisers whose parameters are in as few groups as their settings need."""

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

_SETTINGS_LEFT_OUT = frozenset({"params"})


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class RavenOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's, with one group of parameters for each set of settings that differs.

    MMEngine makes a group of each parameter, and optimisers work through one group after the other: hundreds of small
    steps, where a fused optimiser does them at once.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        wrapper = super().__call__(model)
        merge_groups(wrapper.optimizer.param_groups)
        return wrapper


def merge_groups(groups: list[dict[str, Any]]) -> None:
    """Put parameters whose settings are equal into the first group that has them, in their order."""
    merged: list[dict[str, Any]] = []
    for group in groups:
        same = next((each for each in merged if _get_settings(each) == _get_settings(group)), None)
        if same is None:
            merged.append(group)
        else:
            same["params"].extend(group["params"])
    groups[:] = merged


def _get_settings(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in _SETTINGS_LEFT_OUT}
