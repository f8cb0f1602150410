"""A model that knows other classes than the part has: what it does not know it misses."""

from typing import Any

import pytest

from raven_scan.figures.class_lists import ClassLists, merge_class_lists
from raven_scan.figures.comparison import compare
from raven_scan.figures.difference import DifferentPartsError, Verdict
from raven_scan.figures.matches import read_matches, write_matches
from raven_scan.figures.reckoning import reckon_report
from raven_scan.figures.report import FIGURE_NAMES

Scenes = Any

PRECISIONS = ("map", "map50", "map75", "map_small", "map_medium", "map_large")


def test_lists_are_merged_behind_the_models_own():
    merged = merge_class_lists(["b", "x"], ["a", "b", "c"])
    assert merged == ClassLists(("b", "x", "a", "c"), unknown=("a", "c"), foreign=("x",))


def test_a_class_that_the_model_does_not_know_is_missed(scenes: Scenes):
    scene = scenes.draw(3, images=40)
    known = scene.only([0, 2])
    report = reckon_report(known.match(), resamples=50)
    expected = scenes.read_stats(scenes.run_pycocotools(known))
    assert {name: report.figures[name].value for name in PRECISIONS} == pytest.approx(expected, abs=1e-6)
    matches = known.match_knowing(("it's", "déchets"))
    merged = reckon_report(matches, resamples=50)
    assert merged.unknown_classes == ["плёнка"]
    assert merged.classes == ["it's", "déchets", "плёнка"]
    assert {name: merged.figures[name].value for name in PRECISIONS} == pytest.approx(expected, abs=1e-6)
    missed = merged.by_class["плёнка"]
    boxes = merged.counts_by_class["плёнка"].boxes
    assert boxes > 0
    assert [missed[name].value for name in ("map", "map50", "recall", "f1")] == [0, 0, 0, 0]
    assert (missed["recall"].low, missed["recall"].high) == (0, 0)
    for name in ("precision", "confidence"):
        assert missed[name].value is None
        assert "does not know the class 'плёнка'" in (missed[name].reason or "")
    assert sum(merged.confusion.matrix[2]) == boxes
    assert merged.figures["recall"].value == pytest.approx(report.figures["recall"].value)
    assert merged.errors.kinds["missed"].count >= merged.counts_by_class["плёнка"].boxes / 2


def test_what_the_part_was_not_annotated_with_cannot_be_had(scenes: Scenes):
    scene = scenes.draw(4, images=40)
    plain = scene.match()
    richer = scene.match_knowing(("tree", *scene.classes), extra_detections_of="tree")
    report, with_tree = (reckon_report(each, resamples=50) for each in (plain, richer))
    assert with_tree.classes_without_boxes == ["tree"]
    assert with_tree.unknown_classes == []
    assert with_tree.figures == report.figures
    assert with_tree.counts == report.counts
    for name in FIGURE_NAMES:
        figure = with_tree.by_class["tree"][name]
        assert figure.value is None
        assert "does not have the class 'tree'" in (figure.reason or "")
    lacking = scenes.Scene(
        scene.image_ids, [row for row in scene.truth if row[1] != 1], scene.found, scene.classes
    )
    told = reckon_report(lacking.match(), resamples=0)
    assert told.classes_without_boxes == ["плёнка"]
    assert told.by_class["плёнка"]["recall"].reason == (
        "No image of the part has a true box of the class 'плёнка'."
    )


def test_models_of_different_classes_are_compared_over_those_of_the_part(scenes: Scenes, tmp_path: Any):
    scene = scenes.draw(5, images=120)
    all_known = scene.match_knowing(("tree", *reversed(scene.classes)), extra_detections_of="tree")
    some_known = scene.match_knowing(scene.classes[:2])
    path = tmp_path / "matches.safetensors"
    write_matches(some_known, path)
    difference = compare(all_known, read_matches(path), resamples=200)
    assert difference.verdict is Verdict.BETTER
    assert difference.second == reckon_report(some_known, resamples=0).figures["map50"].value
    alone = compare(some_known, all_known, "recall", class_name=scene.classes[2], resamples=200)
    assert alone.verdict is Verdict.WORSE
    assert alone.first == 0
    same = compare(scene.match(), all_known, resamples=100)
    assert same.value == pytest.approx(0)
    with pytest.raises(ValueError, match="no class"):
        compare(all_known, some_known, class_name="tree")
    with pytest.raises(DifferentPartsError, match="classes"):
        compare(all_known, scenes.Scene(scene.image_ids, scene.truth, [], ("a", "b", "c")).match())
