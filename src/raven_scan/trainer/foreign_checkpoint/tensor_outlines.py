"""What a checkpoint's pickle says of its tensors: type, shape, and where their memory lies. No memory is touched.

Source: `torch/_utils.py`: `_rebuild_tensor_v2` and its relatives, whose arguments these are.
"""

import math
from dataclasses import dataclass

import torch

from raven_scan.trainer.foreign_checkpoint.errors import BadCheckpointContentError
from raven_scan.trainer.foreign_checkpoint.pickled_data import (
    Made,
    Name,
    Node,
    StoredElsewhere,
    make_printable,
)

_UNTYPED = "torch.storage.UntypedStorage"
_DTYPE_OF_STORAGE = {
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.BoolStorage": torch.bool,
    "torch.ByteStorage": torch.uint8,
    "torch.CharStorage": torch.int8,
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.IntStorage": torch.int32,
    "torch.LongStorage": torch.int64,
    "torch.ShortStorage": torch.int16,
    _UNTYPED: torch.uint8,
}
_DTYPE_OF_NAME = {str(dtype): dtype for dtype in _DTYPE_OF_STORAGE.values()}
_MOST_DIMENSIONS = 16
# Parameters wrap a tensor; how often that may be nested.
_MOST_WRAPPERS = 4


@dataclass(frozen=True, slots=True)
class StorageOutline:
    """A tensor's memory: its key in the file, the type and the number of its elements."""

    key: str
    dtype: torch.dtype
    count: int

    @property
    def size_bytes(self) -> int:
        return self.count * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class TensorOutline:
    """A tensor within its storage; offset and strides count elements."""

    storage: StorageOutline
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        return self.count * self.dtype.itemsize


def find_storage(reference: Node) -> StorageOutline | None:
    """What a reference beyond the pickle says of a storage; None where it is none that is known."""
    if not isinstance(reference, StoredElsewhere):
        return None
    match reference.identity:
        case ("storage", Name(kind), str(key), _, int(count), *view):
            # A view into another storage (before 0.4) is not supported.
            if kind in _DTYPE_OF_STORAGE and count >= 0 and view in ([], [None]):
                return StorageOutline(key, _DTYPE_OF_STORAGE[kind], count)
        case _:
            pass
    return None


def find_tensor(node: Node) -> TensorOutline | None:
    """What a node says of a tensor; None where it is no tensor.

    Raises:
        BadCheckpointContentError: it is a tensor of a kind that cannot be kept (quantised, sparse, complex, …), or
            reaches beyond its memory.
    """
    for _ in range(_MOST_WRAPPERS):
        if not isinstance(node, Made):
            return None
        match node.maker.removeprefix("torch._utils."), node.arguments:
            case ("_rebuild_parameter" | "_rebuild_parameter_with_state", (data, *_)):
                node = data
            case ("torch._tensor._rebuild_from_type_v2", (Name(maker), _, tuple(arguments), *_)):
                node = Made(maker, arguments)
            case ("_rebuild_tensor" | "_rebuild_tensor_v2", (storage, offset, shape, strides, *_)):
                return _outline(find_storage(storage), None, offset, (shape, strides))
            case ("_rebuild_tensor_v3", (storage, offset, shape, strides, _, _, Name(dtype), *_)):
                return _outline(find_storage(storage), dtype, offset, (shape, strides))
            case (maker, _) if maker.startswith(("_rebuild", "torch.")):
                raise BadCheckpointContentError(
                    f"it holds tensors of an unsupported kind ({make_printable(node.maker)}); only plain ones are read."
                )
            case _:
                return None
    return None


def _outline(
    storage: StorageOutline | None, dtype_name: str | None, offset: Node, extent: tuple[Node, Node]
) -> TensorOutline:
    dtype = storage.dtype if storage and dtype_name is None else _DTYPE_OF_NAME.get(dtype_name or "")
    if storage is None or dtype is None:
        raise BadCheckpointContentError("it holds a tensor of a number type that is not supported.")
    shape, strides = extent
    if not (
        _is_size(offset)
        and isinstance(shape, tuple)
        and isinstance(strides, tuple)
        and len(shape) == len(strides) <= _MOST_DIMENSIONS
        and all(map(_is_size, shape + strides))
    ):
        raise BadCheckpointContentError("the shape of a tensor is damaged.")
    outline = TensorOutline(storage, dtype, offset, shape, strides)
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    # The second: strides of 0 repeat one element as often as the shape says.
    if outline.count and (
        (last + 1) * dtype.itemsize > storage.size_bytes or outline.size_bytes > storage.size_bytes
    ):
        raise BadCheckpointContentError("a tensor reaches beyond its data.")
    return outline


def _is_size(value: Node) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
