"""What the parameters that a user left open become, and whether the decided ones go together."""

from dataclasses import dataclass
from math import sqrt

from raven_scan.architectures.catalogue import Architecture, Family, StartingWeights
from raven_scan.architectures.parameters import Augmentation, Precision, TrainingParameters

# The defaults of the catalogue are for this batch size.
_BASE_BATCH_SIZE = 8
_LARGEST_LEARNING_RATE_FACTOR = 4.0
# Below this, training a detector's backbone further overfits. Measured on YOLOX-nano with 258 images: see
# docs/decisions/0033-learning-in-short-runs.md.
_FEW_IMAGES = 1000


@dataclass(frozen=True, slots=True)
class ParameterProblem:
    """Why parameters do not go together. `code` is stable; `hint` says what to change."""

    code: str
    sentence: str
    hint: str


def decide_parameters(
    architecture: Architecture,
    parameters: TrainingParameters,
    *,
    starting_weights: StartingWeights,
    train_image_count: int,
) -> TrainingParameters:
    """Fill what the user left open; what is set stays as it is. A default batch is no larger than the train part.

    `loader_processes` stays open: it depends on the machine that trains.

    `starting_weights` is what the weights of the base model have learned from: COCO also stands for any model that
    was trained as a detector, such as one of an earlier run. `train_image_count` counts the train part.
    """
    batch_size = parameters.batch_size
    if "batch_size" not in parameters.model_fields_set:
        batch_size = min(batch_size, max(train_image_count, 1))
    is_random = starting_weights is StartingWeights.RANDOM
    learning_rate = architecture.learning_rate_from_random if is_random else architecture.learning_rate
    # Adam's steps do not grow with the batch, their noise falls with its root.
    factor = sqrt(min(batch_size, max(train_image_count, 1)) / _BASE_BATCH_SIZE)
    decided: dict[str, object] = {
        "image_size": architecture.image_size,
        "learning_rate": float(f"{learning_rate * min(factor, _LARGEST_LEARNING_RATE_FACTOR):.3g}"),
        "weight_decay": architecture.weight_decay,
        "frozen_stages": _decide_frozen_stages(architecture, starting_weights, train_image_count),
    }
    still_open = {name: value for name, value in decided.items() if getattr(parameters, name) is None}
    return parameters.model_copy(update={"batch_size": batch_size, **still_open})


def _decide_frozen_stages(
    architecture: Architecture, starting_weights: StartingWeights, train_image_count: int
) -> int:
    if starting_weights is StartingWeights.RANDOM:
        return 0
    if starting_weights is StartingWeights.COCO and train_image_count < _FEW_IMAGES:
        return architecture.frozen_stages_few_images
    return architecture.frozen_stages


def check_parameters(
    architecture: Architecture,
    parameters: TrainingParameters,
    *,
    starting_weights: StartingWeights,
    train_image_count: int,
    device: str | None = None,
) -> list[ParameterProblem]:
    """All reasons why decided parameters do not go together; [] where they do.

    `starting_weights` is as in `decide_parameters`; `device` is `cpu`, `cuda:N`, or None where it is not known yet.
    """
    return [
        *_check_image_size(architecture, parameters),
        *_check_frozen_stages(architecture, parameters, starting_weights),
        *_check_schedule(parameters),
        *_check_batch(parameters, train_image_count),
        *_check_precision(architecture, parameters, device),
    ]


def _check_image_size(architecture: Architecture, parameters: TrainingParameters) -> list[ParameterProblem]:
    size, divisor, smallest = parameters.image_size, architecture.size_divisor, architecture.image_size_min
    if size is None:
        return []
    problems: list[ParameterProblem] = []
    if size % divisor:
        below = max(divisor, size // divisor * divisor)
        problems.append(
            ParameterProblem(
                "parameters.image_size_not_multiple",
                f"{architecture.title} needs an image size that is a multiple of {divisor}, not {size}.",
                f"Set the image size to {below} or {below + divisor}.",
            )
        )
    if size < smallest:
        problems.append(
            ParameterProblem(
                "parameters.image_size_too_small",
                f"{architecture.title} cannot be trained on images of {size} pixels a side.",
                f"Set the image size to {smallest} or more.",
            )
        )
    return problems


def _check_frozen_stages(
    architecture: Architecture, parameters: TrainingParameters, starting_weights: StartingWeights
) -> list[ParameterProblem]:
    frozen = parameters.frozen_stages or 0
    problems: list[ParameterProblem] = []
    if frozen > architecture.stages:
        problems.append(
            ParameterProblem(
                "parameters.frozen_stages_too_many",
                f"{architecture.title} has {architecture.stages} backbone stages; {frozen} cannot be frozen.",
                f"Freeze at most {architecture.stages}.",
            )
        )
    if frozen and starting_weights is StartingWeights.RANDOM:
        problems.append(
            ParameterProblem(
                "parameters.frozen_random_weights",
                f"{frozen} backbone stages would be frozen at random weights, which have learned nothing.",
                "Start from a pretrained base model, or set the frozen stages to 0.",
            )
        )
    return problems


def _check_schedule(parameters: TrainingParameters) -> list[ParameterProblem]:
    problems: list[ParameterProblem] = []
    if parameters.warmup_epochs >= parameters.epochs:
        problems.append(
            ParameterProblem(
                "parameters.warmup_too_long",
                f"The warm-up of {parameters.warmup_epochs:g} epochs takes all of the {parameters.epochs} epochs.",
                f"Set a warm-up below {parameters.epochs} epochs.",
            )
        )
    if parameters.validation_interval > parameters.epochs:
        problems.append(
            ParameterProblem(
                "parameters.never_validated",
                f"A validation every {parameters.validation_interval} epochs never happens in "
                f"{parameters.epochs} epochs, so there is no best checkpoint.",
                f"Set the validation interval to {parameters.epochs} or less.",
            )
        )
    return problems


def _check_batch(parameters: TrainingParameters, train_image_count: int) -> list[ParameterProblem]:
    problems: list[ParameterProblem] = []
    if parameters.batch_size > train_image_count:
        problems.append(
            ParameterProblem(
                "parameters.batch_larger_than_dataset",
                f"A batch of {parameters.batch_size} images is more than the train part's {train_image_count}.",
                f"Set the batch size to {max(train_image_count, 1)} or less.",
            )
        )
    if parameters.augmentation is Augmentation.FULL and train_image_count < MOSAIC_IMAGE_COUNT:
        problems.append(
            ParameterProblem(
                "parameters.too_few_images_for_mosaic",
                f"Full augmentation joins {MOSAIC_IMAGE_COUNT} images in a mosaic; the train part has "
                f"{train_image_count}.",
                "Choose light augmentation, or add images.",
            )
        )
    return problems


MOSAIC_IMAGE_COUNT = 4


def _check_precision(
    architecture: Architecture, parameters: TrainingParameters, device: str | None
) -> list[ParameterProblem]:
    if parameters.precision is Precision.FLOAT16 and device == "cpu":
        return [
            ParameterProblem(
                "parameters.float16_on_cpu",
                "float16 trains on a CUDA device only; this run is on the CPU.",
                "Choose float32 or bfloat16.",
            )
        ]
    if parameters.precision is Precision.FLOAT16 and architecture.family is Family.DINO:
        return [
            ParameterProblem(
                "parameters.float16_unstable",
                f"{architecture.title} does not train stably in float16.",
                "Choose float32 or bfloat16.",
            )
        ]
    return []
