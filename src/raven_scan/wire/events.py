"""What the trainer tells the worker: events, one JSON object a line, appended to a file.

A line counts once its newline is there. `time` is seconds since 1970 by the trainer's clock. Step and epoch
numbers are global (they go on over attempts): `step` counts optimiser steps done, `epoch` counts epochs completed.
"""

from pathlib import Path
from typing import Any

import msgspec

from raven_scan.wire.onnx import OnnxReport


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    time: float


class Started(Event, frozen=True, kw_only=True, tag="started"):
    """The process runs and has its frameworks imported.

    Attributes:
        versions: of libraries.
        environment: what else a run's record is to have: release and commit of the code, Python, operating system,
            processor, devices, threads. Empty of a command that trains nothing.
    """

    pid: int
    device: str
    versions: dict[str, str]
    environment: dict[str, str] = {}


class Phase(Event, frozen=True, kw_only=True, tag="phase"):
    """What it does now: build, weights, training, validation, checkpoint, export, evaluation, figures."""

    phase: str


class Configured(Event, frozen=True, kw_only=True, tag="configured"):
    """The configuration is written.

    Attributes:
        configuration: MMDetection's configuration as JSON, relative to the work folder.
        steps_per_epoch: optimiser steps in an epoch.
        epochs: epochs to do.
        precision: `float32`, `bfloat16` or `float16`, as decided.
        memory_format: `contiguous` or `channels_last`, as decided.
    """

    configuration: str
    steps_per_epoch: int
    epochs: int
    parameter_count: int
    precision: str = "float32"
    memory_format: str = "contiguous"


class Step(Event, frozen=True, kw_only=True, tag="step"):
    """One optimiser step, or several told together (the last one's values).

    Attributes:
        epoch: epochs completed before this step.
        losses: `loss` is the sum that is minimised; further entries are its parts.
    """

    step: int
    epoch: int
    learning_rate: float
    losses: dict[str, float]
    step_time_s: float
    data_time_s: float
    memory_mb: float


class Validated(Event, frozen=True, kw_only=True, tag="validated"):
    """Figures on the valid part: map, map50, map75, map_small, … in 0-1; None where there is no such box.

    Attributes:
        map_by_class: mAP by class name, of the classes with most boxes there, the most frequent first.
    """

    epoch: int
    step: int
    figures: dict[str, float | None]
    best: bool
    map_by_class: dict[str, float | None] = {}


class EpochEnded(Event, frozen=True, kw_only=True, tag="epoch_ended"):
    """An epoch is completed, with its validation where it has one."""

    epoch: int
    step: int


class CheckpointWritten(Event, frozen=True, kw_only=True, tag="checkpoint_written"):
    """A checkpoint is complete on the disk, and was read back.

    Attributes:
        path: relative to the work folder.
        epoch: epochs completed.
        step: steps done in all.
        position: steps done of the epoch that was begun; all of an epoch's where its validation is due.
        best: whether it is the best so far by mAP.
    """

    path: str
    epoch: int
    step: int
    position: int
    best: bool


class Stopped(Event, frozen=True, kw_only=True, tag="stopped"):
    """It was asked to end (SIGTERM), and ended after a checkpoint where it had begun to train."""

    epoch: int
    step: int


class DryRunDone(Event, frozen=True, kw_only=True, tag="dry_run_done"):
    """What a few steps on real batches cost.

    Attributes:
        start_time_s: from the process's start to its first step: imports, building, loading.
        step_time_s: a training step, data included, once warm.
        validation_image_time_s: an image of the validation, its share of computing figures included.
        checkpoint_time_s: writing a checkpoint.
        peak_memory_mb: of the device, or of all the trainer's processes on a CPU.
        steps_per_epoch: training steps in an epoch.
    """

    start_time_s: float
    step_time_s: float
    validation_image_time_s: float
    checkpoint_time_s: float
    peak_memory_mb: float
    steps_per_epoch: int


class Message(Event, frozen=True, kw_only=True, tag="message"):
    """A line for the run's log. `level`: info, warning."""

    level: str
    text: str
    code: str = ""


class EnergyUsed(Event, frozen=True, kw_only=True, tag="energy_used"):
    """What a process and all that it started have used since it began.

    Attributes:
        pid: of the process that tells it.
        duration_s: for so long it was measured.
        gpu_wh: of whole GPUs; 0 where it uses none.
        co2_g: grams of CO2 equivalents of all of it.
        processor_method: how the processor's share is known: `rapl` (measured by the processor), `tdp` (estimated from
            its thermal design power and load) or `default` (from a power by thread and load).
        country: whose electricity it is, ISO 3166 alpha-3; None for the world's average.
        is_complete: False where a device could not be measured.
    """

    pid: int
    duration_s: float
    processor_wh: float
    memory_wh: float
    gpu_wh: float
    co2_g: float
    processor_method: str
    country: str | None
    is_complete: bool = True

    @property
    def energy_wh(self) -> float:
        return self.processor_wh + self.memory_wh + self.gpu_wh


class EvaluationProgress(Event, frozen=True, kw_only=True, tag="evaluation_progress"):
    done: int
    total: int


class TrainingDone(Event, frozen=True, kw_only=True, tag="training_done"):
    """Training ended well.

    Attributes:
        weights: safetensors of the best checkpoint, relative to the work folder.
        best_epoch: the epoch it is from.
        stopped_early: whether patience ended it.
    """

    weights: str
    best_epoch: int
    epochs: int
    steps: int
    stopped_early: bool
    figures: dict[str, float | None]


class Evaluated(Event, frozen=True, kw_only=True, tag="evaluated"):
    """Figures of a fresh process on one part.

    Attributes:
        figures: map, map50, map75, map_small, …, precision, recall, f1, confidence in 0-1.
        by_class: the same figures, by class name.
        image_count, box_count: what it was measured on (crowds left out).
        images_per_s: speed of prediction.
    """

    figures: dict[str, float | None]
    by_class: dict[str, dict[str, float | None]]
    image_count: int
    box_count: int
    images_per_s: float


class CheckpointRead(Event, frozen=True, kw_only=True, tag="checkpoint_read"):
    """What a foreign checkpoint holds, and how it fits the architecture.

    Attributes:
        classes: names found in its meta, or None.
        class_count: classes of its head, None where that cannot be told.
        matched: number of tensors that fit.
        missing, unexpected, mismatched: keys.
    """

    weights: str
    classes: list[str] | None
    class_count: int | None
    parameter_count: int
    matched: int
    missing: list[str]
    unexpected: list[str]
    mismatched: list[str]
    meta: dict[str, Any]


class StartingWeightsBuilt(Event, frozen=True, kw_only=True, tag="starting_weights_built"):
    weights: str
    parameter_count: int


class OnnxExported(Event, frozen=True, kw_only=True, tag="onnx_exported"):
    """A model is written as ONNX, and agrees with PyTorch."""

    model: str
    report: OnnxReport


class Failed(Event, frozen=True, kw_only=True, tag="failed"):
    """It cannot go on, and says why; the process then ends with exit code 1.

    Attributes:
        code: `refused`, `out_of_memory`, `diverged`, `crashed`, with a dotted detail, such as
            `refused.not_a_checkpoint`.
        message: a sentence for the user.
        hint: what to do next.
        evidence: what the cause was seen by, such as `step`, `last_finite_step`, `images`.
    """

    code: str
    message: str
    hint: str
    detail: str = ""
    evidence: dict[str, Any] = {}


AnyEvent = (
    Started
    | Phase
    | Configured
    | Step
    | Validated
    | EpochEnded
    | CheckpointWritten
    | Stopped
    | DryRunDone
    | Message
    | EnergyUsed
    | EvaluationProgress
    | TrainingDone
    | Evaluated
    | CheckpointRead
    | StartingWeightsBuilt
    | OnnxExported
    | Failed
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEvent)


def encode_event(event: AnyEvent) -> bytes:
    """One line, with its newline."""
    return _encoder.encode(event) + b"\n"


def decode_event(line: bytes) -> AnyEvent:
    """Raises msgspec.ValidationError or msgspec.DecodeError where the line is no event."""
    return _decoder.decode(line)


class EventReader:
    """Reads a growing events file; a line that has no newline yet waits for the next call."""

    def __init__(self, path: Path, *, offset: int = 0) -> None:
        self._path = path
        self.offset = offset

    def read_new(self) -> list[AnyEvent]:
        """Events since the last call; [] where there is no file yet.

        Raises:
            msgspec.DecodeError, UnicodeDecodeError: the next line is no event. What came before it has been
                returned by an earlier call.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self.offset)
                content = file.read()
        except FileNotFoundError:
            return []
        events: list[AnyEvent] = []
        for line in content[: content.rfind(b"\n") + 1].splitlines(keepends=True):
            if line.strip():
                try:
                    events.append(decode_event(line))
                except (msgspec.DecodeError, UnicodeDecodeError):
                    if events:
                        break
                    raise
            self.offset += len(line)
        return events
