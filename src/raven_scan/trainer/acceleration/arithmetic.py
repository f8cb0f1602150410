"""With what arithmetic a run computes: decided once, kept in its configuration and its checkpoints."""

from dataclasses import dataclass
from typing import Any

from raven_scan.architectures.parameters import (
    Acceleration,
    MemoryFormat,
    Precision,
    TrainingParameters,
)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Nothing in it is `auto`.

    Attributes:
        accelerated: whether the operators and the optimiser of this package are used.
    """

    precision: Precision
    memory_format: MemoryFormat
    accelerated: bool

    def dump(self) -> dict[str, Any]:
        """Text and numbers alone, for configurations and checkpoints."""
        return {
            "precision": self.precision.value,
            "memory_format": self.memory_format.value,
            "accelerated": self.accelerated,
        }

    @classmethod
    def load(cls, dumped: dict[str, Any]) -> "Arithmetic":
        """Raises KeyError or ValueError where that is none."""
        return cls(
            precision=Precision(dumped["precision"]),
            memory_format=MemoryFormat(dumped["memory_format"]),
            accelerated=bool(dumped["accelerated"]),
        )

    def __str__(self) -> str:
        return f"{self.precision}, {self.memory_format.replace('_', '-')}"


# MMDetection's own. Also of runs from before there was a choice.
PLAIN = Arithmetic(Precision.FLOAT32, MemoryFormat.CONTIGUOUS, accelerated=False)


def decide_unmeasured(parameters: TrainingParameters) -> Arithmetic:
    """What a run computes with where nothing is measured: `auto` is float32, channels-last where it accelerates."""
    is_accelerated = parameters.acceleration is Acceleration.ON
    precision, memory_format = parameters.precision, parameters.memory_format
    if precision is Precision.AUTO:
        precision = Precision.FLOAT32
    if memory_format is MemoryFormat.AUTO:
        memory_format = MemoryFormat.CHANNELS_LAST if is_accelerated else MemoryFormat.CONTIGUOUS
    return Arithmetic(precision, memory_format, is_accelerated)


def list_candidates(parameters: TrainingParameters, device: str) -> list[Arithmetic]:
    """What a measurement has to choose from; the first is what the others are compared with.

    Args:
        parameters: what is not `auto` is as it says.
        device: `cpu` or `cuda:N`.
    """
    is_accelerated = parameters.acceleration is Acceleration.ON
    precisions = [Precision.FLOAT32, Precision.BFLOAT16]
    if device != "cpu":
        precisions.append(Precision.FLOAT16)
    if parameters.precision is not Precision.AUTO:
        precisions = [parameters.precision]
    formats = [MemoryFormat.CONTIGUOUS, MemoryFormat.CHANNELS_LAST]
    if parameters.memory_format is not MemoryFormat.AUTO:
        formats = [parameters.memory_format]
    return [
        Arithmetic(precision, memory_format, is_accelerated)
        for precision in precisions
        for memory_format in formats
    ]
