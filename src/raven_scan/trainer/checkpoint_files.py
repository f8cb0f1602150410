"""Checkpoint files: written whole or not at all, read back before anybody is told, read without executing anything.

A file is torch's zip: every record of it carries a CRC-32 of what was in memory when it was written. Torch does not
look at them when it loads; here they are compared after writing, and again before reading.
"""

import os
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch

from raven_scan.trainer.failures import TrainerError
from raven_scan.trainer.weights_file import publish_file
from raven_scan.wire.spec import TrainSpec

FOLDER = "checkpoints"
KEPT = 2
_FORMAT = 2
_NAME = re.compile(r"step_(\d+)_epoch_(\d+)\.pt")
_CHUNK_BYTES = 4 * 2**20


class UnreadableCheckpointError(Exception):
    """A checkpoint is missing, cut off, or changed since it was written."""


def identify_run(spec: TrainSpec) -> dict[str, Any]:
    """What must be equal for a checkpoint to go on with."""
    return {"run_id": spec.run_id, "architecture": spec.architecture, "classes": list(spec.classes)}


def name_checkpoint(step: int, epoch: int) -> str:
    return f"step_{step:09d}_epoch_{epoch:06d}.pt"


def write_checkpoint(path: Path, content: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Write to a temporary name, flush to the disk, read back, rename. Nothing is left behind where that fails.

    Args:
        path: its folder is made.
        content: tensors, numbers and text in dicts and lists.
        identity: what `identify_run` said.

    Raises:
        OSError: the disk is full, or does not take it.
        UnreadableCheckpointError: what was read back is not what was written.
    """
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            recorder: Any = _ErrorKeepingFile(file)
            try:
                torch.save({**content, "format": _FORMAT, "identity": dict(identity)}, recorder)
            finally:
                recorder.raise_error()
            file.flush()
            os.fsync(file.fileno())
            _forget_pages(file.fileno())
        check_records(temporary)
        publish_file(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


def check_records(path: Path) -> None:
    """Compare every record of a checkpoint with its CRC-32.

    Raises:
        UnreadableCheckpointError: the file is missing, cut off or changed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for record in archive.infolist():
                # Reads to the end, where zipfile compares the record's CRC-32.
                with archive.open(record) as file:
                    while file.read(_CHUNK_BYTES):
                        pass
    except (OSError, zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, EOFError) as error:
        raise UnreadableCheckpointError(f"{type(error).__name__}: {error}") from error
    except (RuntimeError, IndexError, KeyError) as error:  # zipfile, of a directory that makes no sense
        raise UnreadableCheckpointError(f"{type(error).__name__}: {error}") from error


def read_checkpoint(path: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Read a checkpoint of this run, onto the CPU.

    Raises:
        UnreadableCheckpointError: it is missing, cut off or changed.
        TrainerError: `refused.checkpoint_of_other_run`.
    """
    check_records(path)
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        written = content["format"], content["identity"]
    except (
        OSError,
        RuntimeError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        raise UnreadableCheckpointError(f"{type(error).__name__}: {error}") from error
    if written != (_FORMAT, dict(identity)):
        raise TrainerError(
            "refused.checkpoint_of_other_run",
            f"The checkpoint {path.name} was written by another run, architecture, class list or version.",
            hint="Resume a run from its own checkpoints only.",
        )
    return content


def read_newest_checkpoint(
    paths: Sequence[Path], identity: Mapping[str, Any], tell: Callable[..., None]
) -> dict[str, Any] | None:
    """The first checkpoint that can be read, or None where there is none; each that cannot be read is told.

    Args:
        paths: the last one written first.
        identity: what `identify_run` said.
        tell: takes text, level and code, as `EventLog.tell` does.

    Raises:
        TrainerError: `refused.checkpoint_of_other_run`.
    """
    for path in paths:
        try:
            return read_checkpoint(path, identity)
        except UnreadableCheckpointError as error:
            tell(
                f"The checkpoint {path.name} cannot be read ({error}): the one before it is taken.",
                level="warning",
                code="checkpoint_unreadable",
            )
    if paths:
        tell(
            "No checkpoint can be read: the run starts again from its base model.",
            level="warning",
            code="starts_afresh",
        )
    return None


def list_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints in a folder, oldest first."""
    found = [
        (int(name[1]), int(name[2]), path)
        for path in folder.glob("step_*.pt")
        if (name := _NAME.fullmatch(path.name))
    ]
    return [path for _, _, path in sorted(found)]


def remove_old_checkpoints(folder: Path) -> None:
    """Keep the last two."""
    for old in list_checkpoints(folder)[:-KEPT]:
        old.unlink(missing_ok=True)


class _ErrorKeepingFile:
    """Takes everything, and keeps the first error for later.

    Torch's writer is C++: an exception out of `write` ends as an assertion of its own that has lost the cause.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: OSError | None = None

    def write(self, data: Any) -> int:
        size_bytes = memoryview(data).nbytes
        if self._error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._error = error
        return size_bytes

    def flush(self) -> None:
        """Nothing: the file is flushed once, to the disk, by its owner."""

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error


def _forget_pages(descriptor: int) -> None:
    """Let the file be read back from the disk, not from memory, where the system offers that."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
