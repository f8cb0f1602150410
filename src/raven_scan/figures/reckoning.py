"""A report from matches: every figure, without a model."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from raven_scan.figures.average_precision import (
    MAP50,
    RECALLS,
    Precision,
    count_boxes,
    measure_precision,
    summarise_precision,
)
from raven_scan.figures.calibration import BIN_COUNT, CONFIDENCE_MIN, measure_calibration_error, sum_bins
from raven_scan.figures.confidence import (
    ScoredHits,
    collect_scored_hits,
    find_best_point,
    trace_confidences,
)
from raven_scan.figures.confusion import count_confusions
from raven_scan.figures.error_kinds import count_errors
from raven_scan.figures.intervals import Resampled, resample
from raven_scan.figures.matches import IOU_THRESHOLDS, Matches
from raven_scan.figures.reasons import explain_absence
from raven_scan.figures.report import (
    FIGURE_NAMES,
    Calibration,
    CalibrationBin,
    Counts,
    EvaluationReport,
    F1ByConfidence,
    Figure,
    Flops,
    PrecisionRecall,
    Speed,
)

RESAMPLES = 1000
TIME_LIMIT_S = 60.0
CONFIDENCE_WITHOUT_HITS = 0.5
"""Where confusions are counted if no confidence is the best one, because nothing is found."""

Values = dict[str, float | None]


def reckon_report(
    matches: Matches,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    time_limit_s: float = TIME_LIMIT_S,
    speed: Speed | None = None,
    parameter_count: int | None = None,
    flops: Flops | None = None,
) -> EvaluationReport:
    """Every figure of these matches, with intervals.

    Args:
        matches: of one model on one part.
        seed: of the resamples.
        resamples: how often the images are drawn anew; 0 for no intervals.
        time_limit_s: after it no further resamples are drawn; the report says so.
        speed: as the trainer measured it.
        parameter_count: of the model.
        flops: as the trainer counted them.
    """
    precision = measure_precision(matches)
    scored, scored_by_class = collect_scored_hits(matches)
    overall, by_class = _summarise(matches, precision, scored, scored_by_class)
    resampled = resample(
        matches,
        overall["confidence"],
        [by_class[name]["confidence"] for name in matches.classes],
        seed=seed,
        resamples=resamples,
        ends_at=time.monotonic() + time_limit_s,
    )
    best = overall["confidence"]
    return EvaluationReport(
        classes=list(matches.classes),
        unknown_classes=list(matches.unknown_classes),
        classes_without_boxes=[
            name
            for name, count in zip(matches.classes, count_boxes(matches).tolist(), strict=True)
            if not count and name not in matches.unknown_classes
        ],
        figures=_add_intervals(overall, resampled, matches),
        by_class={
            name: _add_intervals(by_class[name], resampled, matches, label)
            for label, name in enumerate(matches.classes)
        },
        counts=_count(matches),
        counts_by_class={name: _count(matches, label) for label, name in enumerate(matches.classes)},
        precision_recall=_trace_precision(matches, precision),
        f1_by_confidence=F1ByConfidence(
            iou=IOU_THRESHOLDS[MAP50],
            overall=trace_confidences(scored),
            by_class={
                name: trace_confidences(each)
                for name, each in zip(matches.classes, scored_by_class, strict=True)
            },
        ),
        confusion=count_confusions(matches, CONFIDENCE_WITHOUT_HITS if best is None else best),
        errors=count_errors(matches, best, overall["map50"]),
        calibration=_calibrate(matches, resampled),
        speed=speed or Speed(reason="It was reckoned from stored matches: nothing was predicted."),
        parameter_count=parameter_count,
        flops=flops or Flops(reason="It was reckoned from stored matches: no model was built."),
        intervals=resampled.intervals,
    )


def describe_best_point(scored: ScoredHits) -> Values:
    """Precision, recall, F1 and confidence where F1 is highest.

    Without true boxes all are None. Where nothing is found there is no confidence: recall and F1 are 0, and so is
    precision where something was detected.
    """
    point = find_best_point(scored)
    if point is None:
        zero = 0.0 if scored.box_count > 0 else None
        return {
            "precision": zero if len(scored.scores) else None,
            "recall": zero,
            "f1": zero,
            "confidence": None,
        }
    return {
        "precision": point.precision,
        "recall": point.recall,
        "f1": point.f1,
        "confidence": point.confidence,
    }


def _summarise(
    matches: Matches, precision: Precision, scored: ScoredHits, scored_by_class: Sequence[ScoredHits]
) -> tuple[Values, dict[str, Values]]:
    overall = summarise_precision(precision) | describe_best_point(scored)
    by_class = {
        name: summarise_precision(precision[:, :, [label]]) | describe_best_point(scored_by_class[label])
        for label, name in enumerate(matches.classes)
    }
    return overall, by_class


def _add_intervals(
    values: Mapping[str, float | None], resampled: Resampled, matches: Matches, label: int | None = None
) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for name in FIGURE_NAMES:
        value = values[name]
        if value is None:
            figures[name] = Figure(value=None, reason=explain_absence(matches, name, label))
            continue
        low, high = resampled.find_interval(name, value, label) or (None, None)
        figures[name] = Figure(value=value, low=low, high=high)
    return figures


def _count(matches: Matches, label: int | None = None) -> Counts:
    boxes, detections = ~matches.crowds, matches.get_counted(MAP50)
    crowds = matches.crowds
    if label is not None:
        of_class = matches.truth_label == label
        boxes, crowds = boxes & of_class, crowds & of_class
        detections &= matches.detection_label == label
    images = len(matches.image_ids) if label is None else len(np.unique(matches.truth_image[boxes]))
    return Counts(
        images=images, boxes=int(boxes.sum()), crowds=int(crowds.sum()), detections=int(detections.sum())
    )


def _trace_precision(matches: Matches, precision: Precision) -> PrecisionRecall:
    curves = precision[0, MAP50]
    has_boxes = count_boxes(matches) > 0
    return PrecisionRecall(
        iou=IOU_THRESHOLDS[MAP50],
        recalls=RECALLS.tolist(),
        overall=curves[has_boxes].mean(axis=0).tolist() if has_boxes.any() else None,
        by_class={
            name: curves[label].tolist() if has_boxes[label] else None
            for label, name in enumerate(matches.classes)
        },
    )


def _calibrate(matches: Matches, resampled: Resampled) -> Calibration:
    sums = sum_bins(matches)
    counts, scores, hits = (each.sum(axis=0) for each in (sums.counts, sums.scores, sums.hits))
    error = float(measure_calibration_error(counts[None], scores[None], hits[None])[0])
    if np.isnan(error):
        reason = f"No detection has a confidence of at least {CONFIDENCE_MIN}."
        figure = Figure(value=None, reason=reason)
    else:
        low, high = resampled.find_interval("calibration_error", error) or (None, None)
        figure = Figure(value=error, low=low, high=high)
    bins = [
        CalibrationBin(
            low=row / BIN_COUNT,
            high=(row + 1) / BIN_COUNT,
            count=int(counts[row]),
            confidence=float(scores[row] / counts[row]) if counts[row] else None,
            precision=float(hits[row] / counts[row]) if counts[row] else None,
        )
        for row in range(BIN_COUNT)
    ]
    return Calibration(iou=IOU_THRESHOLDS[MAP50], confidence_min=CONFIDENCE_MIN, bins=bins, error=figure)
