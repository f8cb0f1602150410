"""What an evaluation tells: figures with intervals, curves, errors by kind. Values only; nothing here needs numpy."""

from typing import Any

import msgspec

FIGURE_NAMES = (
    "map",
    "map50",
    "map75",
    "map_small",
    "map_medium",
    "map_large",
    "precision",
    "recall",
    "f1",
    "confidence",
)
"""Figures of a report, overall and of a class. Precision, recall and F1 are at `confidence`, where F1 is highest."""

ERROR_KINDS = ("classification", "localisation", "both", "double", "background", "missed")
BACKGROUND = "background"
"""The last label of a confusion matrix: no box there."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure in 0-1.

    Attributes:
        value: None where it cannot be had.
        low, high: bounds of its interval; None where there is none.
        reason: why there is no value, a sentence; None where there is one.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What figures were measured on.

    Attributes:
        images: all of the part; of a class, those with a true box of it.
        boxes: true boxes, crowds left out.
        crowds: regions of many objects, which count neither as found nor as missed.
        detections: all that count, whatever their confidence.
    """

    images: int
    boxes: int
    crowds: int
    detections: int


class PrecisionRecall(msgspec.Struct, frozen=True, kw_only=True):
    """Precision by recall, as COCO interpolates it: the best precision at this recall or a higher one.

    Attributes:
        iou: overlap from which a box is found.
        recalls: 0, 0.01, … 1.
        overall: mean precision over classes that have boxes; None where no class has.
        by_class: precision at each recall; None for a class without boxes.
    """

    iou: float
    recalls: list[float]
    overall: list[float] | None
    by_class: dict[str, list[float] | None]


class ConfidencePoint(msgspec.Struct, frozen=True, kw_only=True):
    """What a model does when detections below this confidence are dropped."""

    confidence: float
    precision: float
    recall: float
    f1: float


class ConfidenceCurve(msgspec.Struct, frozen=True, kw_only=True):
    """Precision, recall and F1 by confidence, at IoU 0.5; hits and misses of all classes together.

    Attributes:
        confidences: 0, 0.01, … 1: detections of at least this confidence count.
        precision: 1 where nothing is detected.
        best: where F1 is highest; None where no confidence gives a hit.
    """

    confidences: list[float]
    precision: list[float]
    recall: list[float]
    f1: list[float]
    best: ConfidencePoint | None


class F1ByConfidence(msgspec.Struct, frozen=True, kw_only=True):
    """`overall` and of a class: None where there are no boxes."""

    iou: float
    overall: ConfidenceCurve | None
    by_class: dict[str, ConfidenceCurve | None]


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """Which class is taken for which.

    Attributes:
        labels: the classes, and `background` last.
        matrix: row: what is there, column: what was detected. Row `background` holds false alarms, column
            `background` misses.
        confidence: detections of at least this count: the one with the best F1.
        iou: overlap from which a detection and a box are one.
    """

    labels: list[str]
    matrix: list[list[int]]
    confidence: float
    iou: float


class ErrorKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of error.

    Attributes:
        count: among all detections (or boxes, for `missed`), whatever their confidence.
        count_at_confidence: the same among detections of at least the best confidence.
        map50_gain: by how much mAP50 would be higher without it.
    """

    count: int
    count_at_confidence: int
    map50_gain: Figure


class ErrorKinds(msgspec.Struct, frozen=True, kw_only=True):
    """Errors by kind, each by name of `ERROR_KINDS`.

    `classification`: the right place, another class. `localisation`: the right class, IoU between `iou_background`
    and `iou`. `both`: another class, and so far off. `double`: a box that a surer detection has found. `background`:
    nothing there. `missed`: a box that no detection found, and of which no error above is a near miss.

    Source: Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors, 2020.
    """

    iou: float
    iou_background: float
    confidence: float | None
    kinds: dict[str, ErrorKind]


class CalibrationBin(msgspec.Struct, frozen=True, kw_only=True):
    """Detections with a confidence in [low, high); the last bin includes 1.

    Attributes:
        confidence, precision: their mean confidence, and how many of them are hits; None for an empty bin.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    precision: float | None


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a confidence of 0.7 means that 7 of 10 are right.

    Attributes:
        confidence_min: detections below are left out.
        error: expected calibration error of detections: |confidence - precision| of bins, averaged over detections.

    Source: Küppers et al., Multivariate Confidence Calibration for Object Detection, 2020 (its D-ECE over the
    confidence alone).
    """

    iou: float
    confidence_min: float
    bins: list[CalibrationBin]
    error: Figure


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """How fast it predicted, with loading, in this evaluation. `reason`: why it is not known."""

    images_per_s: float | None = None
    batch_size: int | None = None
    device: str | None = None
    reason: str | None = None


class Flops(msgspec.Struct, frozen=True, kw_only=True):
    """Floating-point operations of one image; a multiplication and an addition are two.

    Attributes:
        input_size_px: height and width of the input that it was counted with.
        reason: why it is not known.
    """

    value: int | None = None
    input_size_px: tuple[int, int] | None = None
    reason: str | None = None


class Intervals(msgspec.Struct, frozen=True, kw_only=True):
    """How the intervals were made: a bootstrap over images.

    Attributes:
        level: share of resamples inside an interval.
        resamples: how many there were; 0 where there are no intervals.
        note: why they are fewer than asked, or none; else None.
    """

    level: float
    resamples: int
    seed: int
    note: str | None = None


class EvaluationReport(msgspec.Struct, frozen=True, kw_only=True):
    """How well a model detects, on one part.

    Attributes:
        classes: names in the order of the label index.
        unknown_classes: classes of the dataset that the model does not know; each of their boxes is missed.
        classes_without_boxes: classes of the model of which the part has no true box; their figures cannot be had.
        figures: by name of `FIGURE_NAMES`.
        by_class: the same by class name.
        counts, counts_by_class: what they were measured on.
    """

    classes: list[str]
    unknown_classes: list[str]
    classes_without_boxes: list[str] = []
    figures: dict[str, Figure]
    by_class: dict[str, dict[str, Figure]]
    counts: Counts
    counts_by_class: dict[str, Counts]
    precision_recall: PrecisionRecall
    f1_by_confidence: F1ByConfidence
    confusion: Confusion
    errors: ErrorKinds
    calibration: Calibration
    speed: Speed
    parameter_count: int | None
    flops: Flops
    intervals: Intervals


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(EvaluationReport)


def encode_report(report: EvaluationReport) -> bytes:
    """As JSON."""
    return _encoder.encode(report)


def decode_report(content: bytes) -> EvaluationReport:
    """Raises msgspec.ValidationError or msgspec.DecodeError where it is no report."""
    return _decoder.decode(content)


def make_report_plain(report: EvaluationReport) -> dict[str, Any]:
    """As plain data, for an answer."""
    plain: dict[str, Any] = msgspec.to_builtins(report)
    return plain
