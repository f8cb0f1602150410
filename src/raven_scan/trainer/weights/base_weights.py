"""The weights of a base model, loaded by MMEngine's runner itself.

`load_from` of a configuration names a safetensors file with the address scheme below, so that our entry and
MMDetection's own `tools/train.py` load it the same way. MMEngine's other loaders unpickle; this one cannot.
"""

from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import CheckpointLoader
from safetensors.torch import load_file

from raven_scan.trainer.weights.class_tensors import fit_class_tensors

_SCHEME = "raven-safetensors://"
_META_KEY = "raven_base_weights"


def make_base_weights_address(weights: Path) -> str:
    """What `load_from` says for this safetensors file (an absolute path)."""
    return f"{_SCHEME}{weights}"


@CheckpointLoader.register_scheme(prefixes=_SCHEME, force=True)  # pyright: ignore[reportOptionalCall]
def load_from_safetensors(address: str, map_location: Any = None) -> dict[str, Any]:
    """Read a base model's weights as MMEngine's checkpoint form. `map_location`: its runner asks for the CPU."""
    del map_location
    return {"state_dict": load_file(address.removeprefix(_SCHEME)), "meta": {_META_KEY: True}}


@HOOKS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class RavenBaseWeightsHook(Hook):
    """Fit a base model's class head to the classes of this run, between reading and loading.

    Checkpoints of this run (continuing, testing) pass untouched.

    Args:
        classes: of this run, in the order of the labels.
        base_classes: of the base model, or None where not known.
    """

    # Before the averaged model (49), which copies the checkpoint too.
    priority = 40

    def __init__(self, classes: list[str], base_classes: list[str] | None) -> None:
        self._classes = list(classes)
        self._base_classes = None if base_classes is None else list(base_classes)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        del runner
        if not checkpoint.get("meta", {}).get(_META_KEY):
            return
        fresh = fit_class_tensors(checkpoint["state_dict"], self._base_classes, self._classes)
        if fresh:
            print_log(
                f"The base model knows other classes: its class head is re-initialised for {len(self._classes)} "
                f"classes ({', '.join(fresh)}).",
                logger="current",
            )
        elif self._base_classes is not None and self._base_classes != self._classes:
            print_log(
                "The base model knows the classes in another order: its class head is re-ordered.", "current"
            )
