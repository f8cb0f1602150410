"""The model section: MMDetection's own, for the classes, the input and the frozen stages of a run."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config

from raven_scan.architectures.catalogue import Architecture, Family, StartingWeights
from raven_scan.trainer.configuration.json_form import make_plain

_LITE0_CHANNELS = [40, 112, 320]


def read_mmdetection_configuration(architecture: Architecture) -> dict[str, Any]:
    """MMDetection's own configuration of the architecture, as the installed package has it."""
    package = find_spec("mmdet")
    if package is None or package.origin is None:
        raise RuntimeError("MMDetection is not installed.")
    path = Path(package.origin).parent / ".mim" / "configs" / architecture.config
    configuration: dict[str, Any] = Config.fromfile(str(path)).to_dict()
    return configuration


def build_model_section(
    configuration: dict[str, Any], architecture: Architecture, *, class_count: int, frozen_stages: int
) -> dict[str, Any]:
    """The `model` of a configuration.

    Args:
        configuration: MMDetection's own, from `read_mmdetection_configuration`.
        architecture: what it is the configuration of.
        class_count: classes of the run.
        frozen_stages: 0 trains all of the backbone, 1 freezes the stem and the first stage, and so on.
    """
    model = make_plain(configuration["model"])
    _clear_addresses(model)
    _replace_synchronised_norm(model)
    _set_class_count(model, class_count)
    # Random changes of the input size depend on the batches before; scale jitter is part of the augmentation.
    model["data_preprocessor"].pop("batch_augments", None)
    model["data_preprocessor"]["pad_size_divisor"] = architecture.size_divisor
    if architecture.family is Family.RTMDET:
        model["bbox_head"]["type"] = "RavenRTMDetHead"
    if architecture.starting_weights is StartingWeights.IMAGENET:
        _put_lite0_backbone(model, frozen_stages)
    elif architecture.family in (Family.RTMDET, Family.YOLOX):
        model["backbone"]["frozen_stages"] = _mmdetection_stages(frozen_stages)
    else:
        _set_resnet_stages(model["backbone"], frozen_stages)
    return model


def _mmdetection_stages(frozen_stages: int) -> int:
    # MMDetection's 0 is the stem alone; ours is nothing, and from 1 on both mean the same.
    return frozen_stages if frozen_stages > 0 else -1


def _set_resnet_stages(backbone: dict[str, Any], frozen_stages: int) -> None:
    backbone["frozen_stages"] = _mmdetection_stages(frozen_stages)
    # With a part frozen, the statistics of batch normalisation stay as they were learned, as in MMDetection's own
    # configurations. A backbone that trains as a whole, such as one from random weights, must learn them.
    backbone["norm_eval"] = frozen_stages > 0
    if frozen_stages == 0:
        backbone["norm_cfg"] = {"type": "BN", "requires_grad": True}


def _put_lite0_backbone(model: dict[str, Any], frozen_stages: int) -> None:
    model["backbone"] = {
        "type": "EfficientNetLite0",
        "out_indices": [2, 3, 4],
        "frozen_stages": frozen_stages,
        "pretrained": True,
    }
    model["neck"]["in_channels"] = list(_LITE0_CHANNELS)
    # Distances as exponents, as in the larger RTMDets: a fresh head learns faster.
    model["bbox_head"]["exp_on_reg"] = True
    model["data_preprocessor"].update(mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True)


def _clear_addresses(section: Any) -> None:
    """Take out every initialisation from an address, so that no run touches the network."""
    if isinstance(section, dict):
        initialisation = section.get("init_cfg")
        if isinstance(initialisation, dict) and "checkpoint" in initialisation:
            del section["init_cfg"]
        for item in section.values():
            _clear_addresses(item)
    elif isinstance(section, list):
        for item in section:
            _clear_addresses(item)


def _replace_synchronised_norm(section: Any) -> None:
    """One process trains: normalisation over several would only ask for a GPU."""
    if isinstance(section, dict):
        if section.get("type") == "SyncBN":
            section["type"] = "BN"
        for item in section.values():
            _replace_synchronised_norm(item)
    elif isinstance(section, list):
        for item in section:
            _replace_synchronised_norm(item)


def _set_class_count(section: Any, class_count: int) -> None:
    if isinstance(section, dict):
        if "num_classes" in section:
            section["num_classes"] = class_count
        for item in section.values():
            _set_class_count(item, class_count)
    elif isinstance(section, list):
        for item in section:
            _set_class_count(item, class_count)
