import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from raven_scan.trainer.foreign_checkpoint.errors import BadCheckpointContentError, NotACheckpointError
from raven_scan.trainer.foreign_checkpoint.pickled_data import make_printable
from raven_scan.trainer.foreign_checkpoint.tensor_outlines import TensorOutline
from raven_scan.trainer.foreign_checkpoint.torch_file import TorchFile, open_torch_file
from raven_scan.trainer.foreign_checkpoint.weights_selection import (
    CheckpointMeta,
    SelectedWeights,
    read_meta,
    select_weights,
)
from raven_scan.trainer.weights_file import publish_file

# Tensors may share memory in the file (layers used twice), but are kept each with its own.
_LARGEST_GROWTH = 4
_SMALL_BYTES = 1 << 20
_HEADER_LENGTH_BYTES = 8
_LISTED_NAMES = 50
# What tensors by name are made of.
_PLAIN_NAMES = re.compile(r"torch\._utils\._rebuild|torch\.(\w+\.)?\w+Storage$|collections\.OrderedDict$")


class CheckpointReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a file from outside was, and what of it was kept.

    Attributes:
        form: `torch zip`, `torch legacy` or `safetensors`.
        place: the key that the weights were found under, such as `state_dict`; "" where the file is nothing else.
        tensor_count: of the weights.
        parameter_count: numbers in them.
        size_bytes: of these numbers.
        dtypes: how many tensors there are of each type, such as `float32`.
        classes: names that the checkpoint says its model tells apart, or None.
        epoch: completed epochs, or None.
        iteration: completed steps, or None.
        texts: versions, time and name that MMEngine wrote.
        not_finite: names of tensors with an infinity or no number in them (the first 50).
        dropped: names of entries among the weights that are no tensors (the first 50).
        not_read: what else the pickle names and a full unpickling would have imported (the first 50).
    """

    form: str
    place: str
    tensor_count: int
    parameter_count: int
    size_bytes: int
    dtypes: dict[str, int]
    classes: list[str] | None
    epoch: int | None
    iteration: int | None
    texts: dict[str, str]
    not_finite: list[str]
    dropped: list[str]
    not_read: list[str]


def read_foreign_checkpoint(
    path: Path, destination: Path, *, file_name: str | None = None
) -> CheckpointReport:
    """Read the weights of a file from outside, tensors only, and write them as safetensors.

    Nothing in the file is executed, imported or unpickled. Tensors keep their type and get memory of their own.

    Args:
        path: a checkpoint as MMDetection or PyTorch writes it (zip, or the form before 1.6), or safetensors.
        destination: the safetensors file to write; its folder exists. Written whole or not at all.
        file_name: what its user calls it; None: as the file is called.

    Raises:
        NotACheckpointError: the file is none, is damaged, carries code, or claims more than it holds.
        OSError: a file cannot be read or written.
    """
    try:
        content = _read_safetensors(path) if _is_safetensors(path) else _read_torch_file(path)
    except BadCheckpointContentError as error:
        raise NotACheckpointError(file_name or path.name, error) from error
    tensors, selected, meta = content.tensors, content.selected, content.meta
    _write(tensors, destination)
    return CheckpointReport(
        form=content.form,
        place=selected.place,
        tensor_count=len(tensors),
        parameter_count=sum(tensor.numel() for tensor in tensors.values()),
        size_bytes=sum(tensor.nbytes for tensor in tensors.values()),
        dtypes=dict(Counter(str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values())),
        classes=meta.classes,
        epoch=meta.epoch,
        iteration=meta.iteration,
        texts=meta.texts,
        not_finite=_some(name for name, tensor in tensors.items() if not _is_finite(tensor)),
        dropped=_some(selected.dropped),
        not_read=_some(sorted(name for name in content.names if not _PLAIN_NAMES.match(name))),
    )


class _Content(NamedTuple):
    form: str
    tensors: dict[str, Tensor]
    selected: SelectedWeights
    meta: CheckpointMeta
    names: frozenset[str]


def _read_safetensors(path: Path) -> _Content:
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise BadCheckpointContentError(f"its safetensors are damaged: {error}.") from error
    if not tensors:
        raise BadCheckpointContentError("it holds no tensors.")
    return _Content("safetensors", tensors, SelectedWeights("", {}, []), CheckpointMeta(), frozenset())


def _read_torch_file(path: Path) -> _Content:
    with open_torch_file(path) as file:
        root = file.pickle.value
        selected = select_weights(root)
        tensors = _read_tensors(file, selected.tensors, path.stat().st_size)
        return _Content(file.form, tensors, selected, read_meta(root), file.pickle.names)


def _is_safetensors(path: Path) -> bool:
    """Whether the file starts as safetensors do: the length of a JSON object, and that object."""
    with path.open("rb") as file:
        start = file.read(_HEADER_LENGTH_BYTES + 1)
    length = int.from_bytes(start[:_HEADER_LENGTH_BYTES], "little")
    return start[_HEADER_LENGTH_BYTES:] == b"{" and length <= path.stat().st_size


def _read_tensors(file: TorchFile, outlines: dict[str, TensorOutline], file_bytes: int) -> dict[str, Tensor]:
    if sum(outline.size_bytes for outline in outlines.values()) > _LARGEST_GROWTH * file_bytes + _SMALL_BYTES:
        raise BadCheckpointContentError("its tensors claim many times the size of the file.")
    tensors: dict[str, Tensor] = {}
    last_key, memory = "", bytearray()
    # Storage by storage, so that each is read once and only one is held beside the tensors.
    for name in sorted(outlines, key=lambda name: outlines[name].storage.key):
        outline = outlines[name]
        if outline.count == 0:
            tensors[name] = torch.empty(outline.shape, dtype=outline.dtype)
            continue
        if outline.storage.key != last_key or len(memory) < outline.storage.size_bytes:
            last_key = outline.storage.key
            memory = bytearray(file.read_storage(last_key, outline.storage.size_bytes))
        tensors[name] = _build(outline, memory)
    return {name: tensors[name] for name in outlines}


def _build(outline: TensorOutline, memory: bytearray) -> Tensor:
    # A byte that is neither 0 nor 1 is no bool, and the compiler's code may do anything with it.
    dtype = torch.uint8 if outline.dtype == torch.bool else outline.dtype
    numbers = torch.frombuffer(memory, dtype=dtype, count=outline.storage.size_bytes // dtype.itemsize)
    tensor = numbers.as_strided(outline.shape, outline.strides, outline.offset)
    return tensor != 0 if outline.dtype == torch.bool else tensor.clone(memory_format=torch.contiguous_format)


def _write(tensors: dict[str, Tensor], destination: Path) -> None:
    temporary = destination.with_name(f".{destination.name}.part")
    try:
        save_file(tensors, temporary, metadata={"format": "pt"})
        publish_file(temporary, destination)
    finally:
        temporary.unlink(missing_ok=True)


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _some(names: Iterable[str]) -> list[str]:
    return [make_printable(name) for name in list(names)[:_LISTED_NAMES]]
