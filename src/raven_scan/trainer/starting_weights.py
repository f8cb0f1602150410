"""The `build-starting-weights` command: an architecture with the weights that it starts from without a checkpoint."""

import logging
import time

import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import set_random_seed

from raven_scan.architectures.catalogue import Architecture, get_architecture
from raven_scan.trainer.configuration import build_model_configuration
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.registration import register_parts
from raven_scan.trainer.weights_file import write_weights
from raven_scan.wire.events import StartingWeightsBuilt
from raven_scan.wire.spec import BuildStartingWeightsSpec


def build_starting_weights(spec: BuildStartingWeightsSpec, log: EventLog) -> None:
    """Build the model, initialise it as its configuration says, and keep its tensors. The same seed, the same file."""
    log.tell_phase("build")
    set_random_seed(spec.seed)
    model = build_model(get_architecture(spec.architecture), len(spec.classes))
    # Otherwise it tells how each tensor was initialised.
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    model.init_weights()  # pyright: ignore[reportCallIssue]
    log.tell_phase("export")
    write_weights(spec.weights, model.state_dict())
    log.emit(
        StartingWeightsBuilt(
            time=time.time(),
            weights=str(spec.weights),
            parameter_count=sum(each.numel() for each in model.parameters()),
        )
    )


def build_model(architecture: Architecture, class_count: int) -> torch.nn.Module:
    """An architecture with weights that are not initialised yet."""
    init_default_scope("mmdet")
    configuration = build_model_configuration(architecture, class_count)
    register_parts(configuration)
    # The heads ask their settings by attribute.
    model: torch.nn.Module = MODELS.build(ConfigDict(configuration["model"]))
    return model
