"""Values of evaluations."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from raven_scan.figures.difference import Difference
from raven_scan.figures.image_results import ImageResult
from raven_scan.figures.report import FIGURE_NAMES, Figure

DEFAULT_FIGURE = "map50"
FIGURES_COMPARED = tuple(name for name in FIGURE_NAMES if name != "confidence")
FEWEST_COMPARED, MOST_COMPARED = 2, 10


class EvaluationStatus(StrEnum):
    WAITING = "Waiting"
    PROCESSING = "Processing"
    SUCCESS = "Success"
    ERROR = "Error"
    CANCELLED = "Cancelled"

    @property
    def is_final(self) -> bool:
        return self in {EvaluationStatus.SUCCESS, EvaluationStatus.ERROR, EvaluationStatus.CANCELLED}


class GalleryKind(StrEnum):
    """What a gallery shows first: images with the worst misses, or with the worst false alarms."""

    MISSED = "missed"
    FALSE_ALARMS = "false-alarms"


@dataclass(frozen=True, slots=True)
class NamedReference:
    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class EvaluationError:
    """Why an evaluation ended in Error.

    Attributes:
        code: `refused.…`, `out_of_memory.…`, `crashed.…`, `hung`, `lost`, …
        log_tail: the last lines of its log.
    """

    code: str
    message: str
    hint: str
    log_tail: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class EvaluationProgress:
    """How far an evaluation is: what it does, and how many images of how many are done."""

    phase: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationView:
    """A model's evaluation on a part of a dataset version.

    Attributes:
        part: train, valid or test.
        warnings: what is to be known about the figures, such as classes that the model does not know.
        figures: by name (map50, recall, …), once it is a Success; the whole report has more.
        image_count, box_count: what they were measured on, crowds left out.
        images_per_s: speed of prediction.
        training_run_id: the run at whose end it was made; None: somebody asked for it.
        worker, device: that it is, or was, executed on.
        attempt_count: how often it was begun.
    """

    id: UUID
    model: NamedReference
    dataset_version: NamedReference
    part: str
    status: EvaluationStatus
    progress: EvaluationProgress
    warnings: list[str]
    figures: dict[str, Figure] | None
    image_count: int | None
    box_count: int | None
    images_per_s: float | None
    error: EvaluationError | None
    training_run_id: UUID | None
    worker: str | None
    device: str | None
    attempt_count: int
    created_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class EvaluationFilter:
    """Which evaluations a list has; None: whatever it is.

    Attributes:
        model: name or id.
        dataset: a dataset version, `name@number` or id.
    """

    model: str | None = None
    dataset: str | None = None
    part: str | None = None
    status: EvaluationStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """What a trainer measured. The blobs are stored before.

    Attributes:
        report_digest: sha256 of the report (`figures.report.EvaluationReport` as JSON).
        matches_digest: sha256 of the matches (`figures.matches`, safetensors).
    """

    report_digest: str
    matches_digest: str
    figures: dict[str, Figure]
    image_count: int
    box_count: int
    images_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvaluation:
    """The test of a model at the end of the training run that made it.

    Attributes:
        started_at: of the evaluation, not of the run.
    """

    dataset_version_id: UUID
    dataset_version_name: str
    part: str
    training_run_id: UUID
    worker: str
    device: str
    started_at: datetime
    result: EvaluationResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedModel:
    """A model in a comparison.

    Attributes:
        value: the figure of the model itself; None where it cannot be had.
        difference: to the first model, with its interval and in words; None of the first itself.
    """

    model: NamedReference
    evaluation_id: UUID
    value: float | None
    difference: Difference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two to ten models on the same part of the same dataset version, by one figure; the first is compared with."""

    dataset_version: NamedReference
    part: str
    figure: str
    class_name: str | None
    models: list[ComparedModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryImage:
    """An image on which a model does badly.

    Attributes:
        place: from 1, the worst first.
        digest: sha256 of the image; None where its dataset version is gone, or not to be seen.
        width, height: in pixels, in the frame of the boxes; None where the digest is.
        result: what was there, and what was detected.
    """

    place: int
    digest: str | None
    width: int | None
    height: int | None
    result: ImageResult


@dataclass(frozen=True, slots=True)
class EvaluationAtWork:
    """An evaluation that occupies a device of a worker."""

    evaluation: NamedReference
    worker: str
    device: str
    time_left_s: float | None


@dataclass(frozen=True, slots=True)
class EvaluationAttempt:
    """An evaluation that a worker holds, with all that it needs to know.

    Attributes:
        fence: the attempt's number; writes that carry another one are void.
    """

    id: UUID
    fence: int
    model_id: UUID
    model_name: str
    dataset_version_id: UUID
    dataset_version_name: str
    part: str
    device: str
