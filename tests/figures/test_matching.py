"""Matches and average precision against pycocotools and faster-coco-eval."""

from typing import Any

import faster_coco_eval
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raven_scan.figures import overlaps
from raven_scan.figures.average_precision import measure_precision, summarise_precision
from raven_scan.figures.matches import AREA_RANGES, IOU_THRESHOLDS
from raven_scan.figures.reckoning import reckon_report

Scenes = Any

# On a grid, so that overlaps, areas and scores are often equal.
_place = st.integers(0, 12).map(lambda each: each * 8.0)
_side = st.sampled_from([8.0, 16.0, 24.0, 32.0, 40.0, 96.0, 104.0])
_image = st.integers(1, 4)
_label = st.integers(0, 2)
_truth_row = st.tuples(_image, _label, _place, _place, _side, _side, st.sampled_from([0, 0, 0, 1]))
_score = st.integers(0, 10).map(lambda each: each / 10)
_found_row = st.tuples(_image, _label, _place, _place, _side, _side, _score)


@given(st.lists(_truth_row, max_size=25), st.lists(_found_row, max_size=40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_figures_and_flags_equal_those_of_pycocotools(scenes: Scenes, truth: Any, found: Any):
    # Near boxes: what is found is often a true box, moved a little.
    found += [
        (image, label, x + 8.0 * (number % 2), y, width, height, 0.5)
        for number, (image, label, x, y, width, height, _) in enumerate(truth)
        if number % 3
    ]
    check(scenes, scenes.Scene([3, 1, 2, 4, 7], truth, found))


@given(st.integers(0, 10_000))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_figures_of_scattered_boxes_equal_those_of_pycocotools(scenes: Scenes, seed: int):
    check(scenes, scenes.draw(seed))


def test_more_than_a_hundred_detections_an_image_count_as_in_pycocotools(scenes: Scenes):
    check(scenes, scenes.draw(1, images=2, truth_max=150, found_max=600))


def check(scenes: Scenes, scene: Any) -> None:
    matches = scene.match()
    precision = measure_precision(matches)
    evaluation = scenes.run_pycocotools(scene)
    figures = summarise_precision(precision)
    assert figures == pytest.approx(scenes.read_stats(evaluation), abs=1e-9)
    assert figures == pytest.approx(measure_with_faster_coco_eval(scene), abs=1e-6)
    expected = evaluation.eval["precision"][:, :, :, :, -1].transpose(3, 0, 2, 1)
    assert np.nan_to_num(precision, nan=-1.0) == pytest.approx(expected, abs=1e-9)
    for each in evaluation.evalImgs:
        if each is None or each["maxDet"] != 100:
            continue
        area = [list(bounds) for bounds in AREA_RANGES.values()].index(
            [float(bound) for bound in each["aRng"]]
        )
        row = int(np.flatnonzero(matches.image_ids == each["image_id"])[0])
        own = (matches.detection_image == row) & (matches.detection_label == each["category_id"])
        assert matches.scores[own].tolist() == each["dtScores"]
        for threshold in range(len(IOU_THRESHOLDS)):
            ignored = each["dtIgnore"][threshold].astype(bool)
            hits = (each["dtMatches"][threshold] != 0) & ~ignored
            assert matches.get_hits(threshold, area)[own].tolist() == hits.tolist()
            assert matches.get_counted(threshold, area)[own].tolist() == (~ignored).tolist()


def measure_with_faster_coco_eval(scene: Any) -> dict[str, float | None]:
    coco = faster_coco_eval.COCO(scene.make_document())
    evaluation = faster_coco_eval.COCOeval_faster(coco, coco.loadRes(scene.make_results()), "bbox")
    evaluation.run()
    names = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
    return {
        name: None if value == -1 else float(value)
        for name, value in zip(names, evaluation.stats[:6], strict=True)
    }


def test_true_boxes_know_what_found_them(scenes: Scenes):
    matches = scenes.draw(2, images=40).match()
    for threshold in range(len(IOU_THRESHOLDS)):
        finders = matches.found_by[:, threshold]
        found = finders[finders >= 0]
        assert sorted(found.tolist()) == np.flatnonzero(matches.get_hits(threshold)).tolist()
        assert not matches.crowds[finders >= 0].any()
        boxes = np.flatnonzero(finders >= 0)
        assert (matches.truth_image[boxes] == matches.detection_image[found]).all()
        assert (matches.truth_label[boxes] == matches.detection_label[found]).all()


def test_a_box_on_no_image_is_refused(scenes: Scenes):
    with pytest.raises(ValueError, match="on no image"):
        scenes.Scene([1], [], [(2, 0, 0.0, 0.0, 5.0, 5.0, 0.5)]).match()
    with pytest.raises(ValueError, match="one id"):
        scenes.Scene([1, 1], [], []).match()


def test_very_many_pairs_are_looked_at_some_at_a_time(scenes: Scenes, monkeypatch: pytest.MonkeyPatch):
    scene = scenes.draw(9, images=20, noise=0.3)
    whole = reckon_report(scene.match(), resamples=0)
    for at_once in (1, 7):
        monkeypatch.setattr(overlaps, "PAIRS_AT_ONCE", at_once)
        assert reckon_report(scene.match(), resamples=0) == whole
