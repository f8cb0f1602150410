"""Which of two models is better, in words."""

from dataclasses import replace
from typing import Any

import pytest

from raven_scan.figures.comparison import COMPARED_FIGURES, compare
from raven_scan.figures.difference import DifferentPartsError, Verdict

Scenes = Any


def weaken(scene: Any, *, every: int) -> Any:
    """Without every so many-th detection."""
    return replace(scene, found=[each for row, each in enumerate(scene.found) if row % every])


def test_words_follow_from_the_interval(scenes: Scenes):
    scene = scenes.draw(1, images=150)
    strong, weak = scene.match(), weaken(scene, every=2).match()
    better, worse = compare(strong, weak), compare(weak, strong)
    assert better.verdict is Verdict.BETTER
    assert worse.verdict is Verdict.WORSE
    assert better.value == -(worse.value or 0)
    assert (better.low, better.high) == pytest.approx((-(worse.high or 0), -(worse.low or 0)))
    assert better.value == pytest.approx((better.first or 0) - (better.second or 0))
    assert 0 < (better.low or 0) < (better.value or 0) < (better.high or 0)
    same = compare(strong, strong)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert same.verdict is Verdict.NO_SIGNIFICANT_DIFFERENCE
    other = compare(strong, weaken(scene, every=50).match())
    assert other.verdict is Verdict.NO_SIGNIFICANT_DIFFERENCE
    assert (other.low or 0) <= 0 <= (other.high or 0)


def test_every_figure_is_compared(scenes: Scenes):
    scene = scenes.draw(2, images=60)
    strong, weak = scene.match(), weaken(scene, every=2).match()
    for figure in COMPARED_FIGURES:
        difference = compare(strong, weak, figure, resamples=100)
        assert difference.figure == figure
        assert difference.low is not None
        assert difference.resamples == 100
    of_class = compare(strong, weak, "recall", class_name="плёнка", resamples=100)
    assert of_class.value != compare(strong, weak, "recall", resamples=100).value
    for figure, class_name in (("confidence", None), ("map50", "another")):
        with pytest.raises(ValueError, match="no"):
            compare(strong, weak, figure, class_name=class_name)


def test_few_images_tell_nothing(scenes: Scenes):
    few = scenes.draw(3, images=10)
    difference = compare(few.match(), weaken(few, every=2).match())
    assert difference.verdict is Verdict.TOO_FEW_IMAGES
    assert "20 are the least" in (difference.reason or "")
    # Enough by number, but they scatter.
    scene = scenes.draw(4, images=30, noise=0.05)
    one, other = replace(scene, found=scene.found[::2]), replace(scene, found=scene.found[1::2])
    difference = compare(one.match(), other.match())
    assert difference.verdict is Verdict.TOO_FEW_IMAGES
    assert "to each side" in (difference.reason or "")


def test_what_cannot_be_had_is_not_compared(scenes: Scenes):
    scene = scenes.Scene([1, 2], [(1, 0, 10.0, 10.0, 50.0, 50.0, 0)], [])
    difference = compare(scene.match(), scene.match(), "map_large")
    assert difference.value is None
    assert difference.verdict is Verdict.TOO_FEW_IMAGES
    assert "large box" in (difference.reason or "")


def test_other_parts_are_refused(scenes: Scenes):
    scene = scenes.draw(5, images=30)
    others = {
        "images": replace(scene, image_ids=[*scene.image_ids, 99]),
        "classes": replace(scene, classes=("a", "b", "c")),
        "boxes": replace(scene, truth=scene.truth[1:]),
    }
    for word, other in others.items():
        with pytest.raises(DifferentPartsError, match=word):
            compare(scene.match(), other.match())


def test_classes_in_another_order_are_the_same_classes(scenes: Scenes):
    scene = scenes.draw(6, images=40)
    order = [2, 0, 1]
    turned = scenes.Scene(
        scene.image_ids,
        [(row[0], order.index(row[1]), *row[2:]) for row in scene.truth],
        [(row[0], order.index(row[1]), *row[2:]) for row in scene.found],
        tuple(scene.classes[label] for label in order),
    )
    difference = compare(scene.match(), turned.match())
    assert difference.value == pytest.approx(0)
    assert (difference.low, difference.high) == pytest.approx((0, 0), abs=1e-6)
    assert difference.verdict is Verdict.NO_SIGNIFICANT_DIFFERENCE
