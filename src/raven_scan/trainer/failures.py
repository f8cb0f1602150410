"""Why the trainer cannot go on: a code, a sentence and what to do next, for the `Failed` event."""

import errno
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from raven_scan.trainer.resources import measure_device_memory, measure_disk, measure_host_memory

_LOADER_DIED = re.compile(r"DataLoader worker \(pid")
_LOADER_KILLED = re.compile(r"DataLoader worker \(pid \d+\) is killed by signal: (?P<signal>[\w ]+)")
_ALLOCATION_FAILED = re.compile(
    r"DefaultCPUAllocator: (can't|not enough memory)|out of memory|CUBLAS_STATUS_ALLOC_FAILED|std::bad_alloc"
)
_SHARED_MEMORY_FULL = re.compile(
    r"insufficient shared memory|unable to (mmap|allocate shared memory|open shared memory)"
)
_REQUESTED = re.compile(r"(?:[Tt]ried|Unable) to allocate (?P<number>[\d.]+) (?P<unit>bytes|KiB|MiB|GiB)")
_LESS_MEMORY = "Lower the batch size or the image size, or choose a smaller architecture."


class TrainerError(Exception):
    """The trainer cannot go on, and knows why.

    Attributes:
        code: `refused.*`, `out_of_memory.*`, `diverged` or `crashed.*`.
        message: a sentence for the user.
        hint: what to do next.
        detail: further lines for the log and for whoever looks closer.
        evidence: what the cause was seen by, as plain data.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str,
        detail: str = "",
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.detail = detail
        self.evidence = dict(evidence or {})


@dataclass(frozen=True, slots=True)
class Failure:
    """What a `Failed` event says."""

    code: str
    message: str
    hint: str
    detail: str
    evidence: dict[str, Any] = field(default_factory=dict[str, Any])


# Exceptions of the trainer's own parts, by name: this module must not import theirs, which import the frameworks.
_REFUSALS = {
    "BadImageError": ("refused.image", "Replace the image, and import the dataset as a new version."),
    "UnknownArchitectureError": (
        "refused.unknown_architecture",
        "Choose one of the architectures that the platform offers.",
    ),
    "BadPartError": ("refused.dataset", "Import the dataset again; its files were changed or are damaged."),
}


def describe_failure(error: BaseException) -> Failure:  # noqa: PLR0911 - one return a cause
    """Tell what an exception means for the user.

    An exception that nobody foresaw becomes `crashed.exception` with its traceback as detail.
    """
    if isinstance(error, TrainerError):
        return Failure(error.code, error.message, error.hint, error.detail, error.evidence)
    refusal = _REFUSALS.get(type(error).__name__)
    if refusal is not None:
        # From a loader process the text is a traceback, and the sentence its last line.
        sentence = str(error).strip().rsplit("\n", 1)[-1].removeprefix(f"{type(error).__module__}.")
        return Failure(
            refusal[0],
            sentence.removeprefix(f"{type(error).__name__}: "),
            refusal[1],
            "".join(traceback.format_exception(error)),
        )
    # A loader process wraps what it ran into in another exception of the same type, its traceback in the text.
    text = str(error)
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, MemoryError) or "MemoryError" in text.split("\n", 1)[0]:
        return _describe_lack_of_memory("host", text, trace)
    if type(error).__name__ == "OutOfMemoryError":
        return _describe_lack_of_memory("device", text, trace)
    if _SHARED_MEMORY_FULL.search(text):
        return _describe_lack_of_shared_memory(trace)
    if _LOADER_DIED.search(text):
        killed = _LOADER_KILLED.search(text)
        return describe_dead_loader(killed["signal"].strip() if killed else None, trace)
    if isinstance(error, RuntimeError) and _ALLOCATION_FAILED.search(text):
        where = "device" if "CUDA" in text or "CUBLAS" in text else "host"
        return _describe_lack_of_memory(where, text, trace)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Failure(
            "crashed.disk_full",
            f"The disk is full: {error.filename or 'the work folder'} cannot be written.",
            "Free space on the disk of the platform's data folder, then create the run again.",
            trace,
            measure_disk(error.filename),
        )
    described = ": ".join(part for part in (type(error).__name__, _shorten(text).rstrip(".")) if part)
    return Failure(
        "crashed.exception",
        f"Something unexpected happened: {described}.",
        "Look at the end of the log. If it is no setting of this run, report it with the log.",
        trace,
    )


def _describe_lack_of_memory(where: str, text: str, trace: str) -> Failure:
    requested = _REQUESTED.search(text)
    return Failure(
        f"out_of_memory.{where}",
        "The GPU has too little memory for this."
        if where == "device"
        else "The machine has too little memory for this.",
        _LESS_MEMORY,
        trace,
        {
            **(measure_device_memory() if where == "device" else measure_host_memory()),
            **({"requested_bytes": _count_bytes(requested)} if requested else {}),
        },
    )


def _count_bytes(requested: re.Match[str]) -> int:
    units = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
    return round(float(requested["number"]) * units[requested["unit"]])


def _describe_lack_of_shared_memory(trace: str) -> Failure:
    return Failure(
        "out_of_memory.shared_memory",
        "The loader processes ran out of shared memory.",
        "Give the container more shared memory (--shm-size), or set loader processes to 0.",
        trace,
        measure_disk("/dev/shm"),  # noqa: S108 - where the system keeps it
    )


def describe_dead_loader(name: str | None, trace: str) -> Failure:
    """Tell what it means that a loader process is gone.

    Args:
        name: of the signal that ended it, such as `Killed`; None where it is not known, or where there was none.
        trace: what was seen of it.
    """
    evidence = {"signal": name} if name else {}
    if name == "Bus error":
        # A page of shared memory that there was no room for.
        failure = _describe_lack_of_shared_memory(trace)
        return replace(failure, evidence={**failure.evidence, **evidence})
    if name == "Killed":
        return Failure(
            "out_of_memory.loader",
            "A process that loads images was killed, most likely because the machine ran out of memory.",
            "Lower the number of loader processes, the batch size or the image size.",
            trace,
            {**evidence, **measure_host_memory()},
        )
    return Failure(
        "crashed.loader",
        "A process that loads images ended unexpectedly.",
        "Set loader processes to 0 and run again: the log then names the image that it fails on.",
        trace,
        evidence,
    )


def _shorten(text: str, limit: int = 300) -> str:
    first = text.strip().split("\n", 1)[0]
    return first if len(first) <= limit else first[: limit - 1] + "…"
