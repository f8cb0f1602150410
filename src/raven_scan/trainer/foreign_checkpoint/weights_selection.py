"""Which of a checkpoint's contents are the weights, and what else it says of itself that is worth keeping."""

from dataclasses import dataclass, field

from raven_scan.trainer.foreign_checkpoint.errors import BadCheckpointContentError
from raven_scan.trainer.foreign_checkpoint.pickled_data import Made, Node, make_printable
from raven_scan.trainer.foreign_checkpoint.tensor_outlines import TensorOutline, find_tensor

# In the order of preference. MMEngine's averaging hook swaps on saving: `state_dict` holds the averaged weights and
# `ema_state_dict` those of the last step.
_PLACES = ("state_dict", "model_state_dict", "model", "ema_state_dict")
# What wrappers for several devices, and MMEngine's averaged model, put before every name.
_WRAPPER_PREFIX = "module."
_MOST_CLASSES = 10_000
_LONGEST_TEXT = 200
_TEXTS_IN_META = ("mmengine_version", "mmdet_version", "mmcv_version", "experiment_name", "time")


@dataclass(frozen=True, slots=True)
class SelectedWeights:
    """The weights of a checkpoint.

    Attributes:
        place: the key that they were found under; "" where the file is a state dict itself.
        tensors: by name, without prefixes of wrappers.
        dropped: names of entries that are no tensors.
    """

    place: str
    tensors: dict[str, TensorOutline]
    dropped: list[str]


@dataclass(frozen=True, slots=True)
class CheckpointMeta:
    """What a checkpoint says of itself; what is missing or of an unexpected type is None or left out."""

    classes: list[str] | None = None
    epoch: int | None = None
    iteration: int | None = None
    texts: dict[str, str] = field(default_factory=dict[str, str])


def select_weights(root: Node) -> SelectedWeights:
    """Find the weights.

    Raises:
        BadCheckpointContentError: there are none, or one cannot be kept.
    """
    entries = as_entries(root)
    if entries is None or (isinstance(root, Made) and not entries):
        what = (
            f"a pickled object ({make_printable(root.maker)})" if isinstance(root, Made) else "something else"
        )
        raise BadCheckpointContentError(
            f"it holds {what} and not tensors by name; save model.state_dict() instead."
        )
    for place in _PLACES:
        inner = as_entries(entries.get(place))
        if inner and (selected := _collect(place, inner)).tensors:
            return selected
    selected = _collect("", entries)
    if not selected.tensors:
        raise BadCheckpointContentError("it holds no tensors under state_dict or any other usual name.")
    return selected


def read_meta(root: Node) -> CheckpointMeta:
    """Tell the plain facts that MMDetection writes beside the weights."""
    meta = as_entries((as_entries(root) or {}).get("meta")) or {}
    dataset = as_entries(meta.get("dataset_meta")) or {}
    classes = None
    for source, key in ((dataset, "classes"), (dataset, "CLASSES"), (meta, "CLASSES")):
        classes = classes or _as_class_names(source.get(key))
    return CheckpointMeta(
        classes=classes,
        epoch=_as_count(meta.get("epoch")),
        iteration=_as_count(meta.get("iter")),
        texts={
            key: text
            for key in _TEXTS_IN_META
            if isinstance(text := meta.get(key), str) and len(text) <= _LONGEST_TEXT
        },
    )


def as_entries(node: Node) -> dict[Node, Node] | None:
    """The entries of a dictionary, or of what would have been made as one (`OrderedDict`, `ConfigDict`, …)."""
    if isinstance(node, dict):
        return node
    if not isinstance(node, Made):
        return None
    if node.entries or not node.arguments:
        return node.entries
    # Python 2 wrote an OrderedDict as a call with a list of pairs.
    pairs = node.arguments[0]
    if node.maker != "collections.OrderedDict" or not isinstance(pairs, list):
        return None
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and isinstance(pair[0], str)}


def _collect(place: str, entries: dict[Node, Node]) -> SelectedWeights:
    tensors: dict[str, TensorOutline] = {}
    dropped: list[str] = []
    for name, node in entries.items():
        tensor = find_tensor(node)
        if tensor is None or not isinstance(name, str):
            dropped.append(str(name)[:_LONGEST_TEXT])
        else:
            tensors[name] = tensor
    # MMEngine's averaged model counts its steps beside the weights.
    while tensors and all(name.startswith(_WRAPPER_PREFIX) for name in tensors if name != "steps"):
        if tensors.pop("steps", None):
            dropped.append("steps")
        tensors = {name.removeprefix(_WRAPPER_PREFIX): tensor for name, tensor in tensors.items()}
    return SelectedWeights(place, tensors, dropped)


def _as_class_names(node: Node) -> list[str] | None:
    # One class written ('waste') instead of ('waste',).
    names = [node] if isinstance(node, str) else node
    if not isinstance(names, list | tuple) or not 0 < len(names) <= _MOST_CLASSES:
        return None
    if not all(isinstance(name, str) and 0 < len(name) <= _LONGEST_TEXT for name in names):
        return None
    return list(names)


def _as_count(node: Node) -> int | None:
    if isinstance(node, int) and not isinstance(node, bool) and 0 <= node < 1 << 62:
        return node
    return None
