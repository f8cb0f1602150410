"""Precision, recall and F1 by confidence, and the confidence with the best F1.

Source: van Rijsbergen, Information Retrieval, 1979, for F1. Hits are COCO's at IoU 0.5.
"""

from dataclasses import dataclass

import numpy as np

from raven_scan.figures.average_precision import MAP50, count_boxes, sort_by_class
from raven_scan.figures.matches import Bools, Floats, Matches
from raven_scan.figures.overlaps import Integers
from raven_scan.figures.report import ConfidenceCurve, ConfidencePoint

CONFIDENCES: Floats = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True, eq=False)
class ScoredHits:
    """Detections (D) that count, of one class or of all, and how many true boxes there are.

    Attributes:
        scores: float64 (D,), the best first.
        hits: bool (D,): found a true box.
    """

    scores: Floats
    hits: Bools
    box_count: int


def collect_scored_hits(matches: Matches) -> tuple[ScoredHits, list[ScoredHits]]:
    """Of all classes together, and of each."""
    counted, hits = matches.get_counted(MAP50), matches.get_hits(MAP50)
    boxes = count_boxes(matches)

    def collect(rows: Integers, box_count: int) -> ScoredHits:
        kept = rows[counted[rows]]
        return ScoredHits(matches.scores[kept], hits[kept], box_count)

    overall = collect(np.argsort(-matches.scores, kind="stable"), int(boxes.sum()))
    by_class = [
        collect(rows, count) for rows, count in zip(sort_by_class(matches), boxes.tolist(), strict=True)
    ]
    return overall, by_class


def find_best_point(scored: ScoredHits) -> ConfidencePoint | None:
    """Where F1 is highest; among equals the highest confidence, which raises the fewest false alarms.

    None where nothing is found at any confidence.
    """
    found = np.cumsum(scored.hits)
    if scored.box_count == 0 or not len(found) or found[-1] == 0:
        return None
    # Detections of equal score come and go together: only the last of them is a point.
    points = np.flatnonzero(np.append(scored.scores[1:] != scored.scores[:-1], np.True_))
    f1 = 2 * found[points] / (points + 1 + scored.box_count)
    best = points[int(np.argmax(f1))]
    return ConfidencePoint(
        confidence=float(scored.scores[best]),
        precision=float(found[best] / (best + 1)),
        recall=float(found[best] / scored.box_count),
        f1=float(f1.max()),
    )


def trace_confidences(scored: ScoredHits) -> ConfidenceCurve | None:
    """Precision, recall and F1 at 101 confidences; None where there are no boxes."""
    if scored.box_count == 0:
        return None
    count = np.searchsorted(-scored.scores, -CONFIDENCES, side="right")
    found = np.append(0, np.cumsum(scored.hits))[count]
    precision = np.divide(found, count, out=np.ones(len(count)), where=count > 0)
    return ConfidenceCurve(
        confidences=CONFIDENCES.tolist(),
        precision=precision.tolist(),
        recall=(found / scored.box_count).tolist(),
        f1=(2 * found / (count + scored.box_count)).tolist(),
        best=find_best_point(scored),
    )
