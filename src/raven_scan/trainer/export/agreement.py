"""How far the detections of two implementations of one model differ."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raven_scan.wire.onnx import OnnxAgreement, OnnxTolerance

TOLERANCE = OnnxTolerance(box_px=0.1, score=0.001, share=0.01)
# From here on a partner is sought; what overlaps less is another detection.
_LEAST_OVERLAP = 0.5

_Floats = NDArray[np.float32]
_Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Detections:
    """What was found in an image; D detections.

    Attributes:
        boxes: float32 (D, 4): x1 y1 x2 y2 in pixels of the input.
        scores: float32 (D,).
        labels: int64 (D,).
    """

    boxes: _Floats
    scores: _Floats
    labels: _Integers


@dataclass(slots=True)
class Differences:
    """Gathers the differences image by image.

    Args:
        min_score: detections below it may be partners, but are not counted.
    """

    min_score: float
    image_count: int = 0
    detection_count: int = 0
    unpaired_count: int = 0
    beyond_count: int = 0
    box_difference_px: float = field(default=0.0)
    score_difference: float = field(default=0.0)

    def add(self, first: Detections, second: Detections) -> None:
        """What two implementations found in one image."""
        self.image_count += 1
        first, second = _leave_out_infinite(first), _leave_out_infinite(second)
        rows, columns = _pair(first, second)
        box_px = np.abs(first.boxes[rows] - second.boxes[columns]).max(axis=1, initial=0.0)
        score = np.abs(first.scores[rows] - second.scores[columns])
        is_beyond = (box_px > TOLERANCE.box_px) | (score > TOLERANCE.score)
        for found, paired in ((first, rows), (second, columns)):
            counts = found.scores >= self.min_score
            partnerless = counts.copy()
            partnerless[paired] = False
            self.detection_count += int(counts.sum())
            self.unpaired_count += int(partnerless.sum())
            self.beyond_count += int(partnerless.sum()) + int((is_beyond & counts[paired]).sum())
        counted = (first.scores[rows] >= self.min_score) | (second.scores[columns] >= self.min_score)
        self.box_difference_px = max(self.box_difference_px, float(box_px[counted].max(initial=0.0)))
        self.score_difference = max(self.score_difference, float(score[counted].max(initial=0.0)))

    def conclude(self, images: str, images_in_part: int | None) -> OnnxAgreement:
        count = max(1, self.detection_count)
        return OnnxAgreement(
            images=images,
            image_count=self.image_count,
            images_in_part=images_in_part,
            min_score=self.min_score,
            detection_count=self.detection_count,
            unpaired_share=self.unpaired_count / count,
            beyond_share=self.beyond_count / count,
            box_difference_px=self.box_difference_px,
            score_difference=self.score_difference,
            tolerance=TOLERANCE,
        )


def _leave_out_infinite(found: Detections) -> Detections:
    """As the platform does wherever it detects: a network may predict sides that no float can hold."""
    is_finite = np.isfinite(found.boxes).all(axis=1) & np.isfinite(found.scores)
    return Detections(found.boxes[is_finite], found.scores[is_finite], found.labels[is_finite])


def _pair(first: Detections, second: Detections) -> tuple[_Integers, _Integers]:
    """Rows of partners: the largest overlap first, of one class, each row at most once."""
    overlaps = _measure_overlaps(first.boxes, second.boxes)
    overlaps[first.labels[:, None] != second.labels[None, :]] = 0
    rows, columns = np.nonzero(overlaps >= _LEAST_OVERLAP)
    left, right = set(rows.tolist()), set(columns.tolist())
    pairs: list[tuple[int, int]] = []
    for place in np.argsort(-overlaps[rows, columns], kind="stable").tolist():
        row, column = int(rows[place]), int(columns[place])
        if row in left and column in right:
            left.remove(row)
            right.remove(column)
            pairs.append((row, column))
    paired = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return paired[:, 0], paired[:, 1]


def _measure_overlaps(first: _Floats, second: _Floats) -> NDArray[np.float64]:
    """Intersection over union of each box with each: float64 (F, S)."""
    one, other = first.astype(np.float64)[:, None], second.astype(np.float64)[None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = sides.clip(min=0).prod(axis=2)
    whole = (
        (one[..., 2:] - one[..., :2]).prod(axis=2) + (other[..., 2:] - other[..., :2]).prod(axis=2) - shared
    )
    return np.divide(shared, whole, out=np.zeros_like(shared), where=shared > 0)
