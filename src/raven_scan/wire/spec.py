"""What the worker asks of the trainer: one JSON file a child process.

Paths are absolute. The trainer reads inputs where they are (links into the blob store) and writes only under
`work_folder`.
"""

from pathlib import Path
from typing import Any

import msgspec


class PartSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the split, as COCO.

    Attributes:
        folder: holds the images and `annotations_coco.json`.
        image_count: images in it, for progress before the JSON is read.
    """

    folder: Path
    image_count: int


class EnergySpec(msgspec.Struct, frozen=True, kw_only=True):
    """The process is to tell what it uses of energy.

    Attributes:
        country: whose electricity it is, ISO 3166 alpha-3; None for the world's average.
    """

    country: str | None = None


class TrainSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a training run.

    Attributes:
        classes: names in the order of the label index; any Unicode text.
        parameters: `TrainingParameters`, dumped, with every default decided.
        weights: safetensors of the base model, or None for the architecture's own starting weights.
        weights_classes: the base model's class list; where it differs, the head is re-initialised.
        resume_from: checkpoints of this run, the last one first: the first that can be read is gone on from, and
            where none can, or there is none, the run starts from its base model.
        events: file to which events are appended, a JSON line each.
        devices: one a process: `["cpu"]`, `["cuda:1"]`, `["cuda:0", "cuda:1"]`. Several are of one kind.
        threads: compute threads of a process on a CPU.
        energy: None: energy is not measured.
        cache_folder: of this machine, for what may be lost at any time; None: nothing is kept.
        cache_bytes: of decoded images in it, at most; 0: none.
    """

    run_id: str
    attempt: int
    architecture: str
    classes: list[str]
    parameters: dict[str, Any]
    train: PartSpec
    valid: PartSpec
    test: PartSpec
    weights: Path | None
    weights_classes: list[str] | None
    resume_from: list[Path]
    work_folder: Path
    events: Path
    devices: list[str]
    threads: int
    energy: EnergySpec | None = None
    cache_folder: Path | None = None
    cache_bytes: int = 0


class EvaluateSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Load a model's weights in a fresh process, check them, and evaluate them on one part.

    Attributes:
        weights: safetensors.
        configuration: the stored MMDetection configuration as JSON (`configuration.json` of the training); None for
            a model that was not trained here: it is built from its architecture and classes, and images are fit into
            the architecture's own input size.
        predictions: where to write the predictions, as COCO results JSON.
        report: where to write the `figures.report.EvaluationReport`, as JSON; None for nowhere.
        matches: where to write the `figures.matches.Matches`, as safetensors; None for nowhere.
        seed: of the resamples that intervals are made from.
        energy: None: energy is not measured.
    """

    architecture: str
    classes: list[str]
    configuration: Path | None
    weights: Path
    part: PartSpec
    predictions: Path
    events: Path
    device: str
    threads: int
    batch_size: int
    report: Path | None = None
    matches: Path | None = None
    seed: int = 0
    energy: EnergySpec | None = None


class ReadCheckpointSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Read a foreign checkpoint, tensors only, and keep it as safetensors.

    Attributes:
        checkpoint: the file from outside.
        file_name: what its user calls it.
        architecture: the name in the catalogue that it is said to be.
        weights: where to write the safetensors.
    """

    checkpoint: Path
    file_name: str
    architecture: str
    weights: Path
    events: Path


class BuildStartingWeightsSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Build an architecture with its own starting weights, and keep them as safetensors (a builtin model)."""

    architecture: str
    classes: list[str]
    seed: int
    weights: Path
    events: Path
