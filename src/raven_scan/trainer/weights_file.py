"""A model's weights as safetensors: written whole or not at all, read strictly."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from raven_scan.trainer.failures import TrainerError

_NAMED_KEYS = 5


def write_weights(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors, floating point as float32, contiguous, each with memory of its own.

    Raises:
        TrainerError: `diverged`, where a value is not finite.
    """
    check_finite(
        tensors,
        code="diverged",
        what="The trained model",
        hint="Lower the learning rate or warm up longer, and train again.",
    )
    own = {name: _as_stored(tensor) for name, tensor in tensors.items()}
    temporary = path.with_name(f".{path.name}.part")
    save_file(own, temporary, metadata={"format": "pt"})
    publish_file(temporary, path)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read all tensors, onto the CPU.

    Raises:
        TrainerError: `refused.weights_unreadable`.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors, without reading their values.

    Raises:
        TrainerError: `refused.weights_unreadable`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no dict
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error


def load_strictly(model: torch.nn.Module, tensors: dict[str, torch.Tensor], *, what: str) -> None:
    """Put weights into a model that must take every one of them and need no other.

    Raises:
        TrainerError: `refused.weights_not_finite`, `refused.weights_do_not_fit`.
    """
    check_finite(tensors, code="refused.weights_not_finite", what=what)
    expected = model.state_dict()
    missing = sorted(expected.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - expected.keys())
    mismatched = sorted(
        name for name in expected.keys() & tensors.keys() if tensors[name].shape != expected[name].shape
    )
    problems = [
        f"{title}: {name_some(names)}"
        for title, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", mismatched),
        )
        if names
    ]
    if problems:
        raise TrainerError(
            "refused.weights_do_not_fit",
            f"{what} does not fit its architecture and class list; {'; '.join(problems)}.",
            hint="The weights, the configuration and the class list must come from the same model.",
        )
    model.load_state_dict(tensors, strict=True)


def check_finite(
    tensors: Mapping[str, torch.Tensor],
    *,
    code: str,
    what: str,
    hint: str = "The file is of a training that diverged: take an earlier checkpoint.",
) -> None:
    """Raises TrainerError with `code`, where a tensor holds an infinity or no number."""
    bad = [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if bad:
        raise TrainerError(
            code,
            f"{what} has values that are not finite: {name_some(bad)}.",
            hint=hint,
        )


def publish_file(temporary: Path, path: Path) -> None:
    """Give a complete file its name, so that it survives a crash of the machine."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_bytes(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    publish_file(temporary, path)


def name_some(names: list[str]) -> str:
    """The first few of many names."""
    more = len(names) - _NAMED_KEYS
    return ", ".join(names[:_NAMED_KEYS]) + (f" and {more} more" if more > 0 else "")


def _as_stored(tensor: torch.Tensor) -> torch.Tensor:
    dtype: Any = torch.float32 if tensor.is_floating_point() else tensor.dtype
    # A clone: heads that share layers have tensors on the same memory, which safetensors refuses.
    return tensor.detach().to(device="cpu", dtype=dtype, copy=True).contiguous()


def _unreadable(path: Path, error: Exception) -> TrainerError:
    return TrainerError(
        "refused.weights_unreadable",
        f"The weights in {path.name} cannot be read: {error}",
        hint="The file is damaged or was removed: import or train the model again.",
    )
