"""A stored model as a network: its configuration is read, its weights are put in, and both are checked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from mmengine.config import ConfigDict
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope

from raven_scan.trainer.failures import TrainerError
from raven_scan.trainer.registration import register_parts
from raven_scan.trainer.weights import count_classes
from raven_scan.trainer.weights_file import load_strictly, read_weights


def read_stored_configuration(path: Path) -> dict[str, Any]:
    """A trained model's configuration, which names a model and a data set of test images.

    Raises:
        TrainerError: `refused.configuration`.
    """
    try:
        configuration = msgspec.json.decode(path.read_bytes())
        _ = configuration["model"]["type"], configuration["test_dataloader"]["dataset"]["pipeline"]
    except (OSError, msgspec.MsgspecError, KeyError, TypeError) as error:
        raise TrainerError(
            "refused.configuration",
            f"{path.name} is no configuration of a trained model: {error!r}.",
            hint="The model's files are damaged: train or import it again.",
        ) from error
    return configuration


def load_network(configuration: dict[str, Any], weights: Path, classes: Sequence[str]) -> torch.nn.Module:
    """MMDetection's network with weights, on the process's device, ready to predict.

    Raises:
        TrainerError: `refused.configuration`, `refused.weights_*`.
    """
    init_default_scope("mmdet")
    register_parts(configuration)
    tensors = read_weights(weights)
    class_count = count_classes({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    if class_count is not None and class_count != len(classes):
        raise TrainerError(
            "refused.weights_class_count",
            f"The weights are for {class_count} classes, the class list has {len(classes)}.",
            hint="The weights and the class list must come from the same model.",
        )
    # The heads ask their settings by attribute.
    network: torch.nn.Module = MODELS.build(ConfigDict(configuration["model"]))
    load_strictly(network, tensors, what=f"The weights file {weights.name}")
    return network.to(get_device()).eval()
