"""The parameters of a training run, with their bounds and defaults.

The same type checks a request at the server, documents itself in the API, and configures the trainer.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Augmentation(StrEnum):
    """What is done to training images: nothing, flips and colour, or all of it (rotation, scale, mosaic)."""

    OFF = "off"
    LIGHT = "light"
    FULL = "full"


class Schedule(StrEnum):
    """How the learning rate goes after warm-up."""

    COSINE = "cosine"
    STEP = "step"
    CONSTANT = "constant"


class Precision(StrEnum):
    """Arithmetic of the forward and backward pass; `auto` is the fastest that is sound, as measured at the start."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class MemoryFormat(StrEnum):
    """In which order tensors of images lie in memory; `auto` is the faster one, as measured at the start."""

    AUTO = "auto"
    CONTIGUOUS = "contiguous"
    CHANNELS_LAST = "channels_last"


class Acceleration(StrEnum):
    """Whether operators, optimiser and data take their faster ways, or MMDetection's own."""

    ON = "on"
    OFF = "off"


class TrainingParameters(BaseModel):
    """What a user may set. None means: the default of the architecture, decided when the run is created."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Annotated[int, Field(ge=1, le=2000, description="Passes over the training part.")] = 20
    batch_size: Annotated[int, Field(ge=1, le=512, description="Images a forward pass, on each device.")] = 8
    accumulation: Annotated[
        int,
        Field(ge=1, le=64, description="Forward passes whose gradients are summed up before a step."),
    ] = 1
    image_size: Annotated[
        int | None,
        Field(ge=64, le=4096, multiple_of=32, description="Side of the square input, in pixels."),
    ] = None
    learning_rate: Annotated[
        float | None,
        Field(gt=0, le=10, description="Peak learning rate. Default: by architecture, batch size and start."),
    ] = None
    weight_decay: Annotated[float | None, Field(ge=0, le=1, description="Weight decay.")] = None
    warmup_epochs: Annotated[
        float, Field(ge=0, le=100, description="Epochs in which the learning rate rises from near zero.")
    ] = 0.5
    schedule: Annotated[Schedule, Field(description="How the learning rate falls after warm-up.")] = (
        Schedule.COSINE
    )
    frozen_stages: Annotated[
        int | None,
        Field(ge=0, le=5, description="Stages of the backbone that are not trained, counted from the stem."),
    ] = None
    augmentation: Annotated[Augmentation, Field(description="Augmentation preset.")] = Augmentation.LIGHT
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="Seed of everything that is random.")] = 0
    precision: Annotated[
        Precision,
        Field(description="Arithmetic of forward and backward; auto measures which is fastest."),
    ] = Precision.AUTO
    memory_format: Annotated[
        MemoryFormat, Field(description="Order of image tensors in memory; does not change what is computed.")
    ] = MemoryFormat.AUTO
    acceleration: Annotated[
        Acceleration,
        Field(
            description="Faster ways to compute the same; off is MMDetection's own arithmetic, for comparison."
        ),
    ] = Acceleration.ON
    early_stopping_patience: Annotated[
        int | None,
        Field(ge=1, le=1000, description="Stop after so many validations without a better mAP. None: never."),
    ] = None
    validation_interval: Annotated[int, Field(ge=1, le=1000, description="Epochs between validations.")] = 1
    checkpoint_interval: Annotated[int, Field(ge=1, le=1000, description="Epochs between checkpoints.")] = 1
    checkpoint_minutes: Annotated[
        float, Field(gt=0, le=1440, description="Minutes between checkpoints within an epoch.")
    ] = 5.0
    fraction: Annotated[
        float,
        Field(gt=0, le=1, description="Part of the training images to train on, drawn by seed and class."),
    ] = 1.0
    loader_processes: Annotated[
        int | None, Field(ge=0, le=64, description="Processes that load images. Default: by the machine.")
    ] = None
