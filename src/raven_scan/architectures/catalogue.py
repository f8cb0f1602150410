"""The architectures that the platform can build."""

from dataclasses import dataclass
from enum import StrEnum


class StartingWeights(StrEnum):
    """What an architecture's own weights are, before any training here."""

    RANDOM = "random"
    IMAGENET = "imagenet"
    COCO = "coco"


@dataclass(frozen=True, slots=True)
class Architecture:
    """A detector that the platform can build.

    Attributes:
        name: as users write it, such as `rtmdet-tiny`.
        config: MMDetection's own configuration, a path in its config folder.
        starting_weights: what it starts from without a checkpoint.
        image_size: default side of the square input, pixels.
        size_divisor: the input's side must be a multiple of it.
        frozen_stages: default count of frozen backbone stages when fine-tuning.
        stages: how many backbone stages can be frozen.
        parameters_millions: trainable parameters with 80 classes.
        memory_mb: for the preflight: (fixed, per image of 640 x 640 in a batch) while training in float32.
        pretrained: name in MMDetection's model index of its COCO checkpoint, or None.
    """

    name: str
    title: str
    config: str
    starting_weights: StartingWeights
    image_size: int
    size_divisor: int
    frozen_stages: int
    stages: int
    parameters_millions: float
    memory_mb: tuple[int, int]
    pretrained: str | None


