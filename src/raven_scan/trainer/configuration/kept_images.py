"""Where the data sets of a run keep decoded images; not part of its stored configuration, which tells no such place."""

from typing import Any

from raven_scan.architectures.parameters import Acceleration
from raven_scan.wire.spec import TrainSpec

_FOLDER = "images"


def keep_images(configuration: dict[str, Any], spec: TrainSpec) -> None:
    """Have training and validation share decoded images with other runs of this machine, where there is a place."""
    is_accelerated = spec.parameters.get("acceleration", Acceleration.ON) == Acceleration.ON
    if spec.cache_folder is None or spec.cache_bytes <= 0 or not is_accelerated:
        return
    for name in ("train_dataloader", "val_dataloader"):
        configuration[name]["dataset"]["cache"] = {
            "folder": str(spec.cache_folder / _FOLDER),
            "largest_bytes": spec.cache_bytes,
        }
