"""Reads a checkpoint from outside, in a child process: tensors only, nothing of it is executed here or there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raven_scan.jobs.child_process import run_child
from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.progress import Progress
from raven_scan.storage.blobs import digest_file
from raven_scan.trained_models.coco_classes import COCO_CLASSES
from raven_scan.trained_models.types import CheckpointReport
from raven_scan.wire.events import AnyEvent, CheckpointRead, Started
from raven_scan.wire.spec import ReadCheckpointSpec

LARGEST_CHECKPOINT_BYTES = 20_000_000_000

_TIMEOUT_S = 900.0
_LONGEST_KEY_LIST = 500
_LONGEST_META_CHARACTERS = 100_000
_LONGEST_CLASS_NAME = 200


@dataclass(frozen=True, slots=True)
class ReadCheckpoint:
    """What was read.

    Attributes:
        weights: safetensors, in the folder that was given.
        classes: names in the order of the label index; [] where the checkpoint has no head that fits.
    """

    weights: Path
    classes: list[str]
    parameter_count: int
    report: CheckpointReport
    environment: dict[str, str]


def read_checkpoint(
    path: Path, architecture: str, *, folder: Path, file_name: str, url: str | None, progress: Progress
) -> ReadCheckpoint:
    """Reads the checkpoint at `path`.

    Args:
        path: a `.pth` or `.safetensors` file.
        architecture: what it is said to be.
        folder: working folder.
        file_name: what the user calls the file.
        url: where it came from, or None.
        progress: told of stages.

    Raises:
        Invalid: the file is missing, too big, no checkpoint, or not of this architecture.
        Unavailable: the child process failed.
    """
    _check_file(path, file_name)
    progress("computing the digest", 0, 0)
    sha256 = digest_file(path)
    versions: dict[str, str] = {}

    def note_versions(event: AnyEvent) -> None:
        if isinstance(event, Started):
            versions.update(event.versions)

    progress("reading the checkpoint", 0, 0)
    result = run_child(
        "read-checkpoint",
        ReadCheckpointSpec(
            checkpoint=path.resolve(),
            file_name=_clean_text(file_name),
            architecture=architecture,
            weights=folder / "weights.safetensors",
            events=folder / "events.jsonl",
        ),
        expected=CheckpointRead,
        noun="trained_model",
        folder=folder,
        log_path=folder / "child.log",
        timeout_s=_TIMEOUT_S,
        on_event=note_versions,
    )
    keys = [result.missing, result.unexpected, result.mismatched]
    missing, unexpected, mismatched = (
        [_clean_text(key) for key in some[:_LONGEST_KEY_LIST]] for some in keys
    )
    return ReadCheckpoint(
        weights=folder / "weights.safetensors",
        classes=choose_classes(result.classes, result.class_count),
        parameter_count=result.parameter_count,
        report=CheckpointReport(
            file_name=_clean_text(file_name),
            sha256=sha256,
            url=url,
            matched=result.matched,
            missing=missing,
            unexpected=unexpected,
            mismatched=mismatched,
            left_out=sum(max(0, len(some) - _LONGEST_KEY_LIST) for some in keys),
            meta=_clean_meta(result.meta),
        ),
        environment=versions,
    )


def choose_classes(names: list[str] | None, class_count: int | None) -> list[str]:
    """The class list of a checkpoint: its own names where they can be used, COCO's for 80 classes, or numbers.

    Args:
        names: what its meta says, or None.
        class_count: classes of its head, or None where it has none that fits.
    """
    if class_count is None:
        return []
    if names is not None and len(names) == class_count == len(set(names)) and all(map(_is_name, names)):
        return names
    if class_count == len(COCO_CLASSES):
        return list(COCO_CLASSES)
    return [f"class_{index}" for index in range(class_count)]


def _is_name(name: str) -> bool:
    return name.isprintable() and bool(name.strip()) and len(name) <= _LONGEST_CLASS_NAME


def _check_file(path: Path, file_name: str) -> None:
    shown = _clean_text(file_name)
    try:
        # Asked first: opening a pipe would wait for ever.
        problem = "is no file" if path.exists() else "is not there"
        if path.is_file():
            with path.open("rb") as file:
                file.read(1)
            size_bytes = path.stat().st_size
            problem = None
            if size_bytes == 0:
                problem = "is empty"
            elif size_bytes > LARGEST_CHECKPOINT_BYTES:
                problem = f"has {size_bytes} bytes; at most {LARGEST_CHECKPOINT_BYTES} are taken"
    except (OSError, ValueError) as error:
        problem = f"cannot be read ({getattr(error, 'strerror', None) or error})"
    if problem is not None:
        raise Invalid(
            "trained_model.bad_checkpoint_file",
            f"{shown} {problem}.",
            hint="Give the path of a .pth or .safetensors file.",
            parameters={"file": shown},
        )


def _clean_text(text: str) -> str:
    """Without NUL and halves of surrogate pairs (of file names that are no UTF-8): PostgreSQL takes neither."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _clean_meta(meta: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(meta)
    if len(text) > _LONGEST_META_CHARACTERS:
        return {"left_out": "longer than is kept"}
    return json.loads(text.replace(r"\u0000", r"\ufffd"))
