"""Everything that a report tells, against plain counts."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raven_scan.figures.calibration import BIN_COUNT, CONFIDENCE_MIN
from raven_scan.figures.reckoning import reckon_report
from raven_scan.figures.report import (
    BACKGROUND,
    ERROR_KINDS,
    FIGURE_NAMES,
    EvaluationReport,
    Speed,
    decode_report,
    encode_report,
)

Scenes = Any
IOU = 0.5


def report_of(scene: Any, *, resamples: int = 0, **options: Any) -> EvaluationReport:
    return reckon_report(scene.match(), resamples=resamples, **options)


def count_at(scenes: Scenes, scene: Any, labels: list[int], least: float) -> tuple[int, int, int]:
    """Hits, false alarms and misses of the detections with at least this score, counted one by one."""
    hits = alarms = boxes = 0
    for label in labels:
        for image_id in scene.image_ids:
            here = [each for each in scene.truth if each[:2] == (image_id, label)]
            free = [each for each in here if not each[6]]
            crowds = [each for each in here if each[6]]
            boxes += len(free)
            found = [each for each in scene.found if each[:2] == (image_id, label) and each[6] >= least]
            for each in sorted(found, key=lambda each: -each[6]):
                box = each[2:6]
                best = max(free, key=lambda true: scenes.overlap(box, true[2:6]), default=None)
                if best is not None and scenes.overlap(box, best[2:6]) >= IOU:
                    free.remove(best)
                    hits += 1
                elif not any(scenes.overlap(box, crowd[2:6], of_own_area=True) >= IOU for crowd in crowds):
                    alarms += 1
    return hits, alarms, boxes - hits


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_best_confidence_and_curve_equal_a_count_one_by_one(scenes: Scenes, seed: int):
    scene = scenes.draw(seed, images=6)
    report = report_of(scene)
    everything = [(None, [0, 1, 2]), *((name, [label]) for label, name in enumerate(scenes.CLASSES))]
    for name, labels in everything:
        figures = report.figures if name is None else report.by_class[name]
        curves = report.f1_by_confidence
        curve = curves.overall if name is None else curves.by_class[name]
        if not any(each[1] in labels and not each[6] for each in scene.truth):
            assert curve is None
            assert figures["f1"].value is None
            continue
        assert curve is not None
        for row in (0, 35, 60, 100):
            hits, alarms, misses = count_at(scenes, scene, labels, curve.confidences[row])
            assert curve.recall[row] == pytest.approx(hits / (hits + misses))
            assert curve.precision[row] == pytest.approx(hits / (hits + alarms) if hits + alarms else 1)
        points = {
            score: count_at(scenes, scene, labels, score)
            for score in {each[6] for each in scene.found if each[1] in labels}
        }
        f1 = {score: 2 * h / (2 * h + a + m) for score, (h, a, m) in points.items() if h}
        if not f1:
            assert curve.best is None
            assert figures["f1"].value == 0
            assert figures["confidence"].value is None
            assert figures["confidence"].reason
            continue
        best = max(f1.values())
        assert figures["f1"].value == pytest.approx(best)
        confidence = figures["confidence"].value
        assert confidence == max(score for score, value in f1.items() if math.isclose(value, best))
        hits, alarms, misses = points[confidence]
        assert figures["precision"].value == pytest.approx(hits / (hits + alarms))
        assert figures["recall"].value == pytest.approx(hits / (hits + misses))
        assert curve.best is not None
        assert curve.best.confidence == confidence


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_confusions_add_up_to_boxes_and_detections(scenes: Scenes, seed: int):
    scene = scenes.draw(seed)
    matches = scene.match()
    confusion = report_of(scene).confusion
    matrix = np.asarray(confusion.matrix)
    assert confusion.labels == [*scenes.CLASSES, BACKGROUND]
    for label in range(3):
        boxes = sum(1 for each in scene.truth if each[1] == label and not each[6])
        assert matrix[label].sum() == boxes
        sure = matches.get_counted(0) & (matches.scores >= confusion.confidence)
        assert matrix[:, label].sum() == (sure & (matches.detection_label == label)).sum()
        hits, _, _ = count_at(scenes, scene, [label], confusion.confidence)
        assert matrix[label, label] == hits
    assert matrix[3, 3] == 0


def test_a_class_taken_for_another_is_no_background(scenes: Scenes):
    truth = [(1, 0, 10.0, 10.0, 50.0, 50.0, 0), (1, 0, 200.0, 10.0, 50.0, 50.0, 0)]
    found = [
        (1, 0, 10.0, 10.0, 50.0, 50.0, 0.9),
        # The surer one is taken, the other is a false alarm.
        (1, 1, 202.0, 10.0, 50.0, 50.0, 0.8),
        (1, 2, 200.0, 10.0, 50.0, 50.0, 0.7),
        (1, 2, 400.0, 300.0, 50.0, 50.0, 0.95),
    ]
    scene = scenes.Scene([1], truth, found)
    report = report_of(scene)
    assert report.confusion.confidence == 0.9
    assert report.confusion.matrix == [[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
    from raven_scan.figures.confusion import count_confusions  # noqa: PLC0415 - the one lower confidence

    matrix = count_confusions(scene.match(), 0.5).matrix
    assert matrix == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2, 0]]


def classify_plainly(scenes: Scenes, scene: Any) -> tuple[dict[str, int], int]:
    """Errors by kind and boxes missed, as TIDE asks for each false alarm in turn."""
    matches = scene.match()
    counts: dict[str, int] = dict.fromkeys(map(str, ERROR_KINDS), 0)
    covered: set[int] = set()
    truth = [row for row in range(len(matches.crowds)) if not matches.crowds[row]]
    for row in np.flatnonzero(matches.get_counted(0) & ~matches.get_hits(0)).tolist():
        own: dict[int, float] = {}
        other: dict[int, float] = {}
        for each in truth:
            if matches.truth_image[each] == matches.detection_image[row]:
                near = scenes.overlap(matches.detection_boxes[row], matches.truth_boxes[each])
                same = matches.truth_label[each] == matches.detection_label[row]
                (own if same else other)[each] = near
        best_own, best_other = max(own.values(), default=0), max(other.values(), default=0)
        if 0.1 <= best_own < IOU:
            kind = "localisation"
            covered.add(max(own, key=lambda each: own[each]))
        elif best_other >= IOU:
            kind = "classification"
            covered.add(max(other, key=lambda each: other[each]))
        elif best_own >= IOU:
            kind = "double"
        elif max(best_own, best_other) < 0.1:
            kind = "background"
        else:
            kind = "both"
        counts[kind] += 1
    counts["missed"] = sum(1 for row in truth if matches.found_by[row, 0] < 0 and row not in covered)
    return counts, len(truth)


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_errors_are_of_the_kinds_that_tide_tells_apart(scenes: Scenes, seed: int):
    scene = scenes.draw(seed, images=8, truth_max=8, found_max=16, noise=0.4)
    errors = report_of(scene).errors
    expected, _ = classify_plainly(scenes, scene)
    assert {name: kind.count for name, kind in errors.kinds.items()} == expected
    for kind in errors.kinds.values():
        assert kind.count_at_confidence >= 0
        assert kind.map50_gain.value is None or 0 <= kind.map50_gain.value <= 1


def test_what_an_error_costs_is_what_its_correction_gains(scenes: Scenes):
    one, two = (0, 10.0, 10.0, 50.0, 50.0), (0, 200.0, 10.0, 50.0, 50.0)
    truth = [(1, *one, 0), (1, *two, 0)]
    hit = (1, *one, 0.5)
    cases = {
        "missed": ([hit], 0.5),
        "localisation": ([hit, (1, 0, 230.0, 10.0, 50.0, 50.0, 0.4)], 0.5),
        "classification": ([hit, (1, 1, 200.0, 10.0, 50.0, 50.0, 0.4)], 0.5),
        "double": ([(1, *one, 0.9), (1, *one, 0.8), (1, *two, 0.5)], 1 / 3 / 2),
        "background": ([(1, 0, 400.0, 400.0, 50.0, 50.0, 0.9), (1, *one, 0.8), (1, *two, 0.5)], 1 / 3),
    }
    for name, (found, gain) in cases.items():
        kinds = report_of(scenes.Scene([1], truth, found)).errors.kinds
        assert {each: kind.count for each, kind in kinds.items() if kind.count} == {name: 1}
        # 51 of 101 recalls are up to a half.
        assert kinds[name].map50_gain.value == pytest.approx(gain, abs=0.01)


def test_calibration_counts_hits_by_confidence(scenes: Scenes):
    scene = scenes.draw(8, images=60, ties=False)
    matches = scene.match()
    calibration = report_of(scene).calibration
    counted = matches.get_counted(0) & (matches.scores >= CONFIDENCE_MIN)
    scores, hits = matches.scores[counted], matches.get_hits(0)[counted]
    error = 0.0
    for row, each in enumerate(calibration.bins):
        own = (scores >= row / BIN_COUNT) & (scores < (row + 1) / BIN_COUNT)
        assert each.count == own.sum()
        assert each.precision == pytest.approx(hits[own].mean())
        assert each.confidence == pytest.approx(scores[own].mean())
        error += abs(scores[own].mean() - hits[own].mean()) * own.sum() / len(scores)
    assert calibration.error.value == pytest.approx(error)


def test_precision_by_recall_is_that_of_pycocotools(scenes: Scenes):
    scene = scenes.draw(11)
    curves = report_of(scene).precision_recall
    expected = scenes.run_pycocotools(scene).eval["precision"][0, :, :, 0, -1]
    for label, name in enumerate(scenes.CLASSES):
        assert curves.by_class[name] == pytest.approx(expected[:, label])
    assert curves.overall == pytest.approx(expected.mean(axis=1))


def test_a_figure_that_cannot_be_had_says_why(scenes: Scenes):
    found = [(1, 0, 10.0, 10.0, 50.0, 50.0, 0.9)]
    nothing_there = report_of(scenes.Scene([1, 2], [], found), resamples=100)
    assert {figure.value for figure in nothing_there.figures.values()} == {None}
    assert nothing_there.figures["map"].reason == "No image of the part has a true box."
    assert nothing_there.intervals.note == "Fewer than two images have a true box."
    assert nothing_there.precision_recall.overall is None
    assert nothing_there.f1_by_confidence.overall is None
    assert nothing_there.errors.kinds["background"].count == 1
    assert nothing_there.errors.kinds["background"].map50_gain.value is None
    truth = [(1, 0, 10.0, 10.0, 50.0, 50.0, 0), (2, 0, 10.0, 10.0, 50.0, 50.0, 0)]
    nothing_found = report_of(scenes.Scene([1, 2], truth, []), resamples=100)
    assert nothing_found.figures["map50"].value == 0
    assert nothing_found.figures["recall"].value == 0
    assert nothing_found.figures["precision"].value is None
    assert nothing_found.figures["precision"].reason == "Nothing was detected."
    assert "small box" in (nothing_found.figures["map_small"].reason or "")
    assert nothing_found.by_class["плёнка"]["map"].reason == (
        "No image of the part has a true box of the class 'плёнка'."
    )
    assert nothing_found.calibration.error.value is None
    assert nothing_found.calibration.error.reason
    assert nothing_found.speed.images_per_s is None
    assert nothing_found.speed.reason
    assert nothing_found.flops.reason
    for report in (nothing_there, nothing_found):
        for figure in [*report.figures.values(), *report.by_class["déchets"].values()]:
            assert (figure.value is None) == (figure.reason is not None)


def test_a_report_is_what_it_was_after_a_way_through_json(scenes: Scenes):
    report = report_of(
        scenes.draw(1, images=30),
        resamples=50,
        speed=Speed(images_per_s=3.5, batch_size=8, device="cpu"),
    )
    assert decode_report(encode_report(report)) == report
    assert list(report.figures) == list(FIGURE_NAMES)
    assert b"NaN" not in encode_report(report)
    assert report.counts.images == 30
    assert report.counts.boxes == sum(each.boxes for each in report.counts_by_class.values())
