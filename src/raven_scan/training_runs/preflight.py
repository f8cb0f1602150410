"""What is checked before a run is scheduled: all findings are told, not the first alone."""

import psutil

from raven_scan.access.types import Actor
from raven_scan.architectures.catalogue import Architecture, StartingWeights, get_architecture
from raven_scan.architectures.decisions import check_parameters
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.split import count_fraction
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.kernel.findings import Finding, Severity
from raven_scan.storage.blob_store import BlobStore
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import Origin, TrainedModelView
from raven_scan.training_runs.types import DeviceKind, RunOptions

_BYTES_A_WEIGHT = 4
_OPTIMISER_COPIES = 4
"""A checkpoint holds the weights, their moving average, and the optimiser's two moments."""

_CHECKPOINTS_AT_A_TIME = 4
_SPARE_DISK_BYTES = 512 << 20


class PreflightChecks:
    """Checks that a dataset version, a base model and parameters can make a run on this machine.

    Args:
        device: what runs compute on here.
    """

    def __init__(
        self, datasets: DatasetService, models: TrainedModelService, blobs: BlobStore, *, device: str
    ) -> None:
        self._datasets = datasets
        self._models = models
        self._blobs = blobs
        self._device = device

    def find_all(
        self,
        actor: Actor,
        version: DatasetVersionView,
        base_model: TrainedModelView,
        parameters: TrainingParameters,
        options: RunOptions,
    ) -> list[Finding]:
        architecture = get_architecture(base_model.architecture)
        device = self._device if options.device_kind is DeviceKind.AUTO else str(options.device_kind)
        return [
            *self._datasets.find_readiness_problems(actor, version.id),
            *self._check_base_model(actor, base_model, version.classes),
            *_check_parameters(architecture, parameters, base_model, version, device),
            *self.check_machine(base_model, parameters, device),
        ]

    def check_machine(
        self, base_model: TrainedModelView, parameters: TrainingParameters, device: str
    ) -> list[Finding]:
        """What this machine lacks now: asked before a run waits, and again by the worker that begins it."""
        architecture = get_architecture(base_model.architecture)
        # How much a GPU has is known to its framework alone.
        memory = _check_memory(architecture, parameters) if device == "cpu" else []
        return [*self._check_disk(base_model), *memory]

    def _check_base_model(
        self, actor: Actor, base_model: TrainedModelView, classes: list[str]
    ) -> list[Finding]:
        findings: list[Finding] = []
        if base_model.weights_digest is None:
            if base_model.starting_weights is StartingWeights.RANDOM:
                can_be_pulled = get_architecture(base_model.architecture).pretrained is not None
                findings.append(
                    Finding(
                        "base_model.random_weights",
                        Severity.WARNING,
                        f"{base_model.name} starts from random weights: it has learned nothing yet, and needs many "
                        "images and epochs.",
                        f"Start from its COCO weights, which `raven models pull {base_model.architecture}` downloads, "
                        "or import a checkpoint."
                        if can_be_pulled
                        else "Import a checkpoint, or start from rtmdet-lite0, which has ImageNet weights.",
                    )
                )
            return findings
        findings += self._models.find_weights_problems(actor, base_model)
        if base_model.classes != classes:
            findings.append(
                Finding(
                    "base_model.head_reinitialised",
                    Severity.WARNING,
                    f"The base model knows {_count_classes(base_model.classes)}, the dataset has "
                    f"{_count_classes(classes)}: the head that names classes starts anew.",
                    "This is usual when a model is fine-tuned.",
                )
            )
        return findings

    def _check_disk(self, base_model: TrainedModelView) -> list[Finding]:
        weights_bytes = base_model.weights_size_bytes or (base_model.parameter_count or 0) * _BYTES_A_WEIGHT
        needed = weights_bytes * _OPTIMISER_COPIES * _CHECKPOINTS_AT_A_TIME + _SPARE_DISK_BYTES
        free = self._blobs.free_bytes()
        if free >= needed:
            return []
        return [
            Finding(
                "machine.disk_too_small",
                Severity.ERROR,
                f"The run needs about {_format_bytes(needed)} on the disk; {_format_bytes(free)} are free.",
                "Free some space, or move the data folder (RAVEN_HOME) to a larger disk.",
            )
        ]


def get_starting_weights(base_model: TrainedModelView) -> StartingWeights:
    """What the base model has learned from; a model that was trained as a detector counts as COCO."""
    if base_model.origin is Origin.BUILTIN and base_model.starting_weights is not None:
        return base_model.starting_weights
    return StartingWeights.COCO


def _check_parameters(
    architecture: Architecture,
    parameters: TrainingParameters,
    base_model: TrainedModelView,
    version: DatasetVersionView,
    device: str,
) -> list[Finding]:
    problems = check_parameters(
        architecture,
        parameters,
        starting_weights=get_starting_weights(base_model),
        train_image_count=count_fraction(version.parts["train"].image_count, parameters.fraction),
        device=device,
    )
    return [Finding(problem.code, Severity.ERROR, problem.sentence, problem.hint) for problem in problems]


def _check_memory(architecture: Architecture, parameters: TrainingParameters) -> list[Finding]:
    image_size = parameters.image_size or architecture.image_size
    needed = architecture.estimate_memory_bytes(parameters.batch_size, image_size)
    memory = psutil.virtual_memory()
    sentence = (
        f"A step of {parameters.batch_size} images of {image_size} px takes about {_format_bytes(needed)} "
        "of memory; "
    )
    hint = "Lower the batch size or the image size."
    if needed > memory.total:
        return [
            Finding(
                "machine.memory_too_small",
                Severity.ERROR,
                f"{sentence}this machine has {_format_bytes(memory.total)}.",
                hint,
            )
        ]
    if needed > memory.available:
        return [
            Finding(
                "machine.memory_short",
                Severity.WARNING,
                f"{sentence}{_format_bytes(memory.available)} are free now.",
                f"{hint} Or end what uses the memory.",
            )
        ]
    return []


def _count_classes(classes: list[str]) -> str:
    return "1 class" if len(classes) == 1 else f"{len(classes)} classes"


def _format_bytes(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 30):.1f} GiB"
