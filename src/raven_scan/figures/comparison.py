"""Which of two models is better on the same images."""

import time
from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from raven_scan.figures.average_precision import average, measure_precision_in
from raven_scan.figures.confidence import ScoredHits, collect_scored_hits
from raven_scan.figures.difference import Difference, DifferentPartsError, Verdict
from raven_scan.figures.intervals import IMAGES_MIN
from raven_scan.figures.matches import Floats, Matches
from raven_scan.figures.reasons import explain_absence
from raven_scan.figures.reckoning import RESAMPLES, TIME_LIMIT_S, describe_best_point
from raven_scan.figures.report import FIGURE_NAMES
from raven_scan.figures.resampling import (
    NEEDS,
    ResampledPoint,
    ResampledPrecision,
    Weights,
    average_classes,
    decide_resamples_at_once,
    draw_weights,
    find_interval,
)

COMPARED_FIGURES = tuple(name for name in FIGURE_NAMES if name != "confidence")
TELLING_HALF_WIDTH = 0.05
"""An interval that reaches further to each side would hide differences that matter."""
_ROUNDING = 1e-6


def compare(
    first: Matches,
    second: Matches,
    figure: str = "map50",
    *,
    class_name: str | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    time_limit_s: float = TIME_LIMIT_S,
) -> Difference:
    """By how much the first is better than the second, by a paired bootstrap over their images.

    Both are resampled alike, so that what is hard or easy in an image counts for both. The first is better or worse
    where the whole interval is on one side of 0. Otherwise the two do not differ significantly where the interval is
    narrow enough to tell, and where it is not, or fewer than 20 images have boxes, there are too few images to tell.
    The classes are the part's, whatever each model knows of them.

    Args:
        first: of one model.
        second: of another, on the same part.
        figure: one of `COMPARED_FIGURES`; precision, recall and F1 are at each model's own best confidence.
        class_name: compare it for this class; None: overall.
        seed: of the resamples.
        resamples: how often the images are drawn anew.
        time_limit_s: after it no further resamples are drawn.

    Raises:
        DifferentPartsError: they are not of the same images, true boxes and classes.
        ValueError: there is no such figure, or the part has no such class.
    """
    if class_name is not None and class_name not in list_part_classes(first):
        raise ValueError(f"there is no class {class_name!r}")
    check_same_part(first, second)
    contenders = [
        Contender(each, figure, class_name, seed=seed, resamples=resamples, time_limit_s=time_limit_s)
        for each in (first, second)
    ]
    return compare_contenders(*contenders)


class Contender:
    """One model in comparisons by one figure; what was reckoned of it is kept for the next comparison.

    Args:
        matches: of the model.
        figure: one of `COMPARED_FIGURES`.
        class_name: of this class; None: overall.
        seed: of the resamples.
        resamples: how often the images are drawn anew.
        time_limit_s: after it no further resamples are drawn.

    Raises:
        ValueError: there is no such figure.
    """

    def __init__(
        self,
        matches: Matches,
        figure: str,
        class_name: str | None,
        *,
        seed: int,
        resamples: int = RESAMPLES,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> None:
        if figure not in COMPARED_FIGURES:
            raise ValueError(f"{figure!r} is none of {', '.join(COMPARED_FIGURES)}")
        self.matches = matches
        self.figure = figure
        self.class_name = class_name
        self._label = None if class_name is None else matches.classes.index(class_name)
        self._seed, self._resamples, self._time_limit_s = seed, resamples, time_limit_s

    @cached_property
    def value(self) -> float | None:
        """The figure of the model itself."""
        if self.figure in NEEDS:
            precision = measure_precision_in(self.matches, *NEEDS[self.figure])
            return average(precision if self._label is None else precision[:, [self._label]])
        overall, by_class = self._scored
        return describe_best_point(overall if self._label is None else by_class[self._label])[self.figure]

    @cached_property
    def resampled(self) -> Floats:
        """The figure of resamples, float64 (R,): fewer where there was no time for more."""
        reckon = self._prepare()
        ends_at = time.monotonic() + self._time_limit_s
        at_once = decide_resamples_at_once(self.matches)
        found: list[Floats] = []
        for weights in draw_weights(
            len(self.matches.image_ids), self._resamples, self._seed, at_once=at_once
        ):
            found.append(reckon(weights))
            if time.monotonic() >= ends_at:
                break
        return np.concatenate(found)

    @cached_property
    def _scored(self) -> tuple[ScoredHits, list[ScoredHits]]:
        return collect_scored_hits(self.matches)

    def _prepare(self) -> Callable[[Weights], Floats]:
        label = self._label
        if self.figure in NEEDS:
            precision = ResampledPrecision(self.matches, [self.figure])

            def reckon_precision(weights: Weights) -> Floats:
                by_class = precision.reckon(weights)[self.figure]
                return average_classes(by_class) if label is None else by_class[:, label]

            return reckon_precision
        overall, by_class = self._scored
        point = ResampledPoint(
            self.matches,
            describe_best_point(overall)["confidence"],
            [describe_best_point(each)["confidence"] for each in by_class],
        )
        return lambda weights: point.reckon(weights)[self.figure][:, -1 if label is None else label]


def compare_contenders(first: Contender, second: Contender) -> Difference:
    """As `compare`, of two on the same part, by the same figure of the same class."""
    difference = Difference(
        figure=first.figure,
        value=None,
        low=None,
        high=None,
        verdict=Verdict.TOO_FEW_IMAGES,
        first=first.value,
        second=second.value,
        image_count=len(first.matches.image_ids),
        resamples=0,
    )
    for each in (first, second):
        if each.value is None:
            label = None if each.class_name is None else each.matches.classes.index(each.class_name)
            return replace(difference, reason=explain_absence(each.matches, each.figure, label))
    value = (first.value or 0.0) - (second.value or 0.0)
    resamples = min(len(first.resampled), len(second.resampled))
    differences = first.resampled[:resamples] - second.resampled[:resamples]
    difference = replace(difference, value=value, resamples=resamples)
    interval = find_interval(value, differences, (-1.0, 1.0))
    if interval is None:
        reason = "Most resamples of the images have no box that this figure needs."
        return replace(difference, reason=reason)
    low, high = interval
    verdict, reason = _judge(low, high, _count_images_with_boxes(first.matches, first.class_name))
    return replace(difference, low=low, high=high, verdict=verdict, reason=reason)


def check_same_part(first: Matches, second: Matches) -> None:
    """Raises DifferentPartsError unless both are of the same images and true boxes, of the same classes.

    Classes that only the models know do not count: the part was not annotated with them.
    """
    if not np.array_equal(first.image_ids, second.image_ids):
        raise DifferentPartsError("They were evaluated on different images.")
    if list_part_classes(first) != list_part_classes(second):
        raise DifferentPartsError("They were evaluated on different classes.")
    # The order of the class list is each model's own.
    label_by_name = {name: label for label, name in enumerate(first.classes)}
    labels = np.asarray([label_by_name.get(name, -1) for name in second.classes], np.int64)
    table = _make_truth_table(first, first.truth_label)
    if not np.array_equal(table, _make_truth_table(second, labels[second.truth_label])):
        raise DifferentPartsError("They were evaluated against different true boxes.")


def list_part_classes(matches: Matches) -> set[str]:
    """The classes that the part was annotated with."""
    return set(matches.classes) - set(matches.foreign_classes)


def _make_truth_table(matches: Matches, labels: npt.NDArray[np.integer]) -> Floats:
    columns = (matches.truth_areas, matches.crowds, labels, matches.truth_image)
    table = np.column_stack([matches.truth_boxes, *(each.astype(np.float64) for each in columns)])
    return table[np.lexsort(table.T)]


def _count_images_with_boxes(matches: Matches, class_name: str | None) -> int:
    boxes = ~matches.crowds
    if class_name is not None:
        boxes &= matches.truth_label == matches.classes.index(class_name)
    return len(np.unique(matches.truth_image[boxes]))


def _judge(low: float, high: float, images_with_boxes: int) -> tuple[Verdict, str | None]:
    if images_with_boxes < IMAGES_MIN:
        reason = f"Only {images_with_boxes} images have such boxes; {IMAGES_MIN} are the least to tell from."
        return Verdict.TOO_FEW_IMAGES, reason
    if low > _ROUNDING:
        return Verdict.BETTER, None
    if high < -_ROUNDING:
        return Verdict.WORSE, None
    if (high - low) / 2 <= TELLING_HALF_WIDTH:
        return Verdict.NO_SIGNIFICANT_DIFFERENCE, None
    reason = f"The interval reaches {(high - low) / 2:.2f} to each side; on more images it would be narrower."
    return Verdict.TOO_FEW_IMAGES, reason
