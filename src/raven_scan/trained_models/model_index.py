"""MMDetection's own model index: which checkpoints there are, where, and what they score.

It comes with the wheel, as YAML under `mmdet/.mim`. MMDetection itself is not imported.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from raven_scan.architectures.catalogue import Architecture, list_architectures
from raven_scan.kernel.errors import Invalid, NotFound, RavenError, Unavailable

_CONFIG_FOLDER = "configs/"
_DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{8})\.pth$")


class _Result(msgspec.Struct):
    task: str = msgspec.field(name="Task", default="")
    dataset: str = msgspec.field(name="Dataset", default="")
    metrics: dict[str, Any] = msgspec.field(name="Metrics", default_factory=dict[str, Any])


class _Model(msgspec.Struct):
    name: str = msgspec.field(name="Name")
    config: str = msgspec.field(name="Config")
    weights: str | list[str] | None = msgspec.field(name="Weights", default=None)
    results: list[_Result] | None = msgspec.field(name="Results", default=None)


class _Family(msgspec.Struct):
    models: list[_Model] = msgspec.field(name="Models")


class _Index(msgspec.Struct):
    families: list[str] = msgspec.field(name="Import")


@dataclass(frozen=True, slots=True)
class IndexedCheckpoint:
    """One checkpoint of the index, of an architecture that the platform can build.

    Attributes:
        name: in the index.
        architecture: ours.
        url: where it is.
        file_name: last part of the address.
        digest_prefix: the first digits of its sha256, which the file name ends in; None where it does not.
        map: box mAP in 0-1 on `dataset`, as the index has it.
    """

    name: str
    architecture: str
    url: str
    file_name: str
    digest_prefix: str | None
    map: float | None
    dataset: str


def get_checkpoint(name: str, base_address: str | None = None) -> IndexedCheckpoint:
    """The checkpoint of a name in the index, or the default one of an architecture of ours.

    Args:
        name: such as `rtmdet_tiny_8xb32-300e_coco` or `rtmdet-tiny`.
        base_address: of a mirror: stands for scheme and host of the index's addresses.

    Raises:
        NotFound: `trained_model.not_in_index`.
        Invalid: `trained_model.not_buildable`, the index has it but the platform cannot build it;
            `trained_model.no_checkpoint`, nobody published one.
        Unavailable: `trained_model.no_index`, MMDetection is not installed as it should be.
    """
    models = read_index()
    ours = {architecture.name: architecture for architecture in list_architectures()}
    if name in ours:
        architecture = ours[name]
        model = models.get(architecture.pretrained or "")
        if model is None:
            raise _make_no_checkpoint(name)
    else:
        model = models.get(name)
        if model is None:
            raise _make_not_in_index(name, list(models))
        found = _find_architecture(model)
        if found is None:
            raise Invalid(
                "trained_model.not_buildable",
                f"{name} is in MMDetection's model index, but its architecture is none of the platform's.",
                hint=f"Architectures: {', '.join(ours)}.",
            )
        architecture = found
    if not isinstance(model.weights, str):
        raise _make_no_checkpoint(name)
    return _make_checkpoint(model, model.weights, architecture, base_address)


@lru_cache(maxsize=1)
def read_index() -> dict[str, "_Model"]:
    """The models of the index by name."""
    folder = _find_index_folder()
    try:
        index = msgspec.yaml.decode((folder / "model-index.yml").read_bytes(), type=_Index)
        families = [
            msgspec.yaml.decode((folder / family).read_bytes(), type=_Family) for family in index.families
        ]
    except (OSError, msgspec.MsgspecError) as error:
        raise _make_no_index(str(error)) from error
    return {model.name: model for family in families for model in family.models}


def _find_index_folder() -> Path:
    spec = find_spec("mmdet")
    if spec is None or spec.origin is None:
        raise _make_no_index("mmdet is not installed")
    return Path(spec.origin).parent / ".mim"


def _find_architecture(model: "_Model") -> Architecture | None:
    config = model.config.removeprefix(_CONFIG_FOLDER)
    for architecture in list_architectures():
        # An architecture without a checkpoint may be built on the configuration of one that has one.
        if architecture.pretrained and (
            model.name == architecture.pretrained or config == architecture.config
        ):
            return architecture
    return None


def _make_checkpoint(
    model: "_Model", weights: str, architecture: Architecture, base_address: str | None
) -> IndexedCheckpoint:
    parts = urlsplit(weights)
    file_name = parts.path.rsplit("/", 1)[-1]
    digest = _DIGEST_IN_NAME.search(file_name)
    detection = next((result for result in model.results or [] if result.task == "Object Detection"), None)
    box_ap = detection.metrics.get("box AP") if detection else None
    return IndexedCheckpoint(
        name=model.name,
        architecture=architecture.name,
        url=weights if base_address is None else base_address.rstrip("/") + parts.path,
        file_name=file_name,
        digest_prefix=digest.group(1) if digest else None,
        map=round(box_ap / 100, 6) if isinstance(box_ap, int | float) else None,
        dataset=detection.dataset if detection else "",
    )


def _make_no_checkpoint(name: str) -> RavenError:
    published = [architecture.name for architecture in list_architectures() if architecture.pretrained]
    return Invalid(
        "trained_model.no_checkpoint",
        f"MMDetection's model index has no checkpoint of {name}.",
        hint=f"It has one of each of these: {', '.join(published)}.",
    )


def _make_not_in_index(name: str, known: list[str]) -> RavenError:
    ours = [architecture.name for architecture in list_architectures()]
    close = get_close_matches(name, ours + known, n=3)
    return NotFound(
        "trained_model.not_in_index",
        f"There is no {name[:100]!r} in MMDetection's model index.",
        hint=f"Did you mean {' or '.join(close)}?" if close else f"Architectures: {', '.join(ours)}.",
        parameters={"name": ascii(name[:100])},
    )


def _make_no_index(detail: str) -> RavenError:
    return Unavailable(
        "trained_model.no_index",
        f"MMDetection's model index cannot be read: {detail}.",
        hint="Install the platform again with its locked versions.",
    )
