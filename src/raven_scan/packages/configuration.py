"""What of MMDetection's configuration a package holds: what runs the model, and no more.

The configuration of a training names folders of the machine that trained, and steps that load files. The package's has
the model and the transforms of a test image alone. One that comes in is built by MMDetection from the names of classes
in it; so it may name those that the platform's own configurations do, and nothing else.
"""

import re
from typing import Any, cast

from raven_scan.packages import errors
from raven_scan.packages.manifest import CONFIGURATION, decode_json, encode_json

MODEL_TYPES = frozenset(
    [
        "AnchorGenerator",
        "BBoxL1Cost",
        "BN",
        "CSPDarknet",
        "CSPNeXt",
        "CSPNeXtPAFPN",
        "ChannelMapper",
        "CrossEntropyLoss",
        "DINO",
        "DINOHead",
        "DeltaXYWHBBoxCoder",
        "DetDataPreprocessor",
        "DistancePointBBoxCoder",
        "DynamicSoftLabelAssigner",
        "EfficientNetLite0",
        "FPN",
        "FasterRCNN",
        "FocalLoss",
        "FocalLossCost",
        "GIoULoss",
        "GN",
        "HungarianAssigner",
        "IoUCost",
        "IoULoss",
        "L1Loss",
        "MaxIoUAssigner",
        "MlvlPointGenerator",
        "PseudoSampler",
        "QualityFocalLoss",
        "RPNHead",
        "RTMDet",
        "RandomSampler",
        "RavenRTMDetHead",
        "ResNet",
        "RetinaHead",
        "RetinaNet",
        "RoIAlign",
        "Shared2FCBBoxHead",
        "SiLU",
        "SimOTAAssigner",
        "SingleRoIExtractor",
        "StandardRoIHead",
        "Swish",
        "YOLOX",
        "YOLOXHead",
        "YOLOXPAFPN",
        "nms",
    ]
)
"""Of the catalogue's architectures; a test builds them all."""

_TRANSFORM_TYPES = frozenset({"Resize", "Pad", "PackDetInputs"})
_SECTIONS = frozenset({"default_scope", "custom_imports", "model", "test_dataloader"})
_LOADER = frozenset(
    {"batch_size", "num_workers", "persistent_workers", "prefetch_factor", "pin_memory", "drop_last"}
)
_DATASET = frozenset({"type", "pipeline", "test_mode"})
_OF_FILES = frozenset({"init_cfg", "checkpoint", "backend_args", "file_client_args"})
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_OUR_MODULE = re.compile(r"raven_scan\.trainer(\.[a-z][a-z0-9_]{0,63}){1,4}")
_LARGEST_NUMBER = 100_000
_MOST_WORKERS = 8
_DEEPEST = 20


def reduce_configuration(content: bytes) -> bytes:
    """A training's stored configuration, as a package holds it. Raises Damaged or Invalid where it is none."""
    whole: dict[str, Any] = decode_json(content, dict[str, Any], CONFIGURATION)
    loader = whole.get("test_dataloader", {})
    if "model" not in whole or "dataset" not in loader:
        raise errors.make_bad_stored_configuration()
    reduced = {name: whole[name] for name in ("default_scope", "custom_imports", "model") if name in whole}
    reduced["test_dataloader"] = {
        **{name: value for name, value in loader.items() if name in _LOADER},
        "pin_memory": False,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "dataset": {name: value for name, value in loader["dataset"].items() if name in _DATASET},
    }
    return encode_json(reduced)


def check_configuration(content: bytes, *, class_count: int) -> None:
    """Refuses what no configuration of the platform has.

    Raises:
        Invalid: `package.bad_content`.
    """
    whole: dict[str, Any] = decode_json(content, dict[str, Any], CONFIGURATION)
    if not whole.keys() <= _SECTIONS or not {"model", "test_dataloader"} <= whole.keys():
        raise _refuse("it has other sections than model and test_dataloader")
    if whole.get("default_scope", "mmdet") != "mmdet":
        raise _refuse("its default scope is not mmdet")
    _check_imports(whole.get("custom_imports", {}))
    _check(whole["model"], MODEL_TYPES, class_count)
    _check_loader(whole["test_dataloader"])


def _check_imports(section: Any) -> None:
    names = section.get("imports", []) if isinstance(section, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(names, list):
        raise _refuse("its custom_imports are no list")
    for name in cast("list[Any]", names):
        if not isinstance(name, str) or not _OUR_MODULE.fullmatch(name):
            raise _refuse(f"it asks for the module {ascii(name)[:100]}")


def _check_loader(section: Any) -> None:
    if not isinstance(section, dict):
        raise _refuse("its test_dataloader is no section")
    loader = cast("dict[str, Any]", section)
    dataset = loader.get("dataset")
    if not loader.keys() <= _LOADER | {"sampler", "dataset"} or not isinstance(dataset, dict):
        raise _refuse("its test_dataloader has what no test needs")
    of_dataset = cast("dict[str, Any]", dataset)
    if not of_dataset.keys() <= _DATASET or of_dataset.get("type") != "RavenCocoDataset":
        raise _refuse("it reads images in another way than the platform does")
    if loader.get("sampler", {"type": "DefaultSampler", "shuffle": False}) != {
        "type": "DefaultSampler",
        "shuffle": False,
    }:
        raise _refuse("it does not go through the images in their order")
    for name in _LOADER & loader.keys():
        if not isinstance(loader[name], bool | int):
            raise _refuse(f"its {name} is no number")
    if not 0 <= loader.get("num_workers", 0) <= _MOST_WORKERS:
        raise _refuse("it wants too many processes")
    _check(of_dataset.get("pipeline"), _TRANSFORM_TYPES, None)


def _check(value: Any, types: frozenset[str], class_count: int | None, depth: int = 0) -> None:
    if depth > _DEEPEST:
        raise _refuse("it is nested too deeply")
    if isinstance(value, dict):
        for name, inner in cast("dict[str, Any]", value).items():
            _check_item(name, inner, types, class_count)
            _check(inner, types, class_count, depth + 1)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            _check(inner, types, class_count, depth + 1)
    elif isinstance(value, str):
        if not _WORD.fullmatch(value):
            raise _refuse(f"it has the text {ascii(value)[:100]}")
    elif isinstance(value, int | float) and not abs(value) <= _LARGEST_NUMBER:  # nor is what is no number
        raise _refuse(f"it has the number {value}")


def _check_item(name: str, value: Any, types: frozenset[str], class_count: int | None) -> None:
    if not _WORD.fullmatch(name) or name in _OF_FILES:
        raise _refuse(f"it has the setting {ascii(name)[:100]}")
    if name == "type" and value not in types:
        raise _refuse(f"it builds {ascii(value)[:100]}, which no architecture here has")
    if name == "pretrained" and not isinstance(value, bool) and value is not None:
        raise _refuse("it loads weights from elsewhere")
    if name == "num_classes" and class_count is not None and value != class_count:
        raise _refuse(f"it is for {value} classes, and the class list has {class_count}")


def _refuse(problem: str) -> Exception:
    return errors.make_bad_content(CONFIGURATION, problem)
