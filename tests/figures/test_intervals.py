"""Intervals: what is resampled is what would be measured on the resampled images."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raven_scan.figures import average_precision
from raven_scan.figures.average_precision import measure_precision, summarise_precision
from raven_scan.figures.reckoning import reckon_report
from raven_scan.figures.report import FIGURE_NAMES
from raven_scan.figures.resampling import (
    NEEDS,
    ResampledPoint,
    ResampledPrecision,
    average_classes,
    draw_weights,
    find_interval,
)

Scenes = Any


@given(st.integers(0, 10_000), st.sampled_from([1, 130]))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_weights_of_images_equal_copies_of_images(scenes: Scenes, seed: int, beside: int):
    scene = scenes.draw(seed, ties=False)
    matches = scene.match()
    weights = next(draw_weights(len(scene.image_ids), beside, seed))
    times = dict(zip(matches.image_ids.tolist(), weights[0].tolist(), strict=True))
    copies = scenes.Scene(
        [image * 100 + copy for image, count in times.items() for copy in range(count)],
        [(row[0] * 100 + copy, *row[1:]) for row in scene.truth for copy in range(times[row[0]])],
        [(row[0] * 100 + copy, *row[1:]) for row in scene.found for copy in range(times[row[0]])],
    )
    with pytest.MonkeyPatch.context() as patch:
        # COCO's recalls are rounded: where 7 of 100 boxes are found, 0.07000000000000001 is not reached.
        patch.setattr(average_precision, "RECALLS", np.arange(101) / 100)
        expected = summarise_precision(measure_precision(copies.match()))
    resampled = ResampledPrecision(matches, list(NEEDS)).reckon(weights)
    for figure in NEEDS:
        value = float(average_classes(resampled[figure])[0])
        assert (None if np.isnan(value) else value) == pytest.approx(expected[figure], abs=1e-5)


def test_every_image_once_is_the_figure_itself(scenes: Scenes):
    matches = scenes.draw(3, images=60).match()
    report = reckon_report(matches, resamples=0)
    once = np.ones((1, len(matches.image_ids)), np.int32)
    resampled = ResampledPrecision(matches, list(NEEDS)).reckon(once)
    confidences = [report.by_class[name]["confidence"].value for name in matches.classes]
    resampled |= ResampledPoint(matches, report.figures["confidence"].value, confidences).reckon(once)
    for label, name in enumerate(matches.classes):
        for figure in FIGURE_NAMES[:-1]:
            assert resampled[figure][0, label] == pytest.approx(report.by_class[name][figure].value, abs=1e-5)
    for figure in ("precision", "recall", "f1"):
        assert resampled[figure][0, -1] == pytest.approx(report.figures[figure].value)


def test_the_same_seed_gives_the_same_intervals_around_the_figures(scenes: Scenes):
    matches = scenes.draw(4, images=40).match()
    one, same, other = (reckon_report(matches, seed=seed, resamples=150) for seed in (1, 1, 2))
    assert one == same
    assert one.figures["map50"] != other.figures["map50"]
    assert one.intervals.resamples == 150
    assert one.intervals.note is None
    for name, figure in one.figures.items():
        assert figure.value is not None
        if name == "confidence":
            # It is chosen, not measured.
            assert figure.low is None
            continue
        assert figure.low is not None
        assert figure.high is not None
        assert 0 <= figure.low <= figure.value <= figure.high <= 1
    assert one.calibration.error.low is not None


def test_more_images_make_intervals_narrower(scenes: Scenes):
    widths = []
    for images in (30, 480):
        figure = reckon_report(scenes.draw(5, images=images).match(), resamples=100).figures["recall"]
        widths.append((figure.high or 0) - (figure.low or 0))
    assert 2 < widths[0] / widths[1] < 8


def test_an_interval_is_as_wide_as_figures_of_other_images_are_scattered(scenes: Scenes):
    figures = [
        reckon_report(scenes.draw(1000 + seed, images=50, ties=False).match(), resamples=0)
        .figures["map50"]
        .value
        or 0
        for seed in range(40)
    ]
    figure = reckon_report(scenes.draw(999, images=50, ties=False).match()).figures["map50"]
    assert (figure.high or 0) - (figure.low or 0) == pytest.approx(2 * 1.96 * np.std(figures), rel=0.4)


def test_a_part_too_large_for_all_resamples_says_so(scenes: Scenes):
    matches = scenes.draw(6, images=40).match()
    report = reckon_report(matches, resamples=800, time_limit_s=0.0)
    assert report.intervals.resamples == 500
    assert report.intervals.note == (
        "500 of 800 resamples were drawn: the part is too large for more in the time given."
    )
    few = reckon_report(scenes.draw(6, images=8).match(), resamples=100)
    assert "narrower than they should be" in (few.intervals.note or "")


def test_what_most_resamples_lack_has_no_interval():
    lacking = np.full(100, np.nan)
    lacking[:49] = 0.5
    assert find_interval(0.5, lacking, (0.0, 1.0)) is None
    lacking[49] = 0.6
    assert find_interval(0.5, lacking, (0.0, 1.0)) is not None


def test_resamples_draw_as_many_images_as_there_are():
    drawn = np.concatenate(list(draw_weights(7, 230, 0)))
    assert drawn.shape == (230, 7)
    assert Counter(drawn.sum(axis=1).tolist()) == {7: 230}
    assert drawn.sum(axis=0) == pytest.approx(230, rel=0.25)


def test_how_many_are_resampled_at_once_changes_nothing():
    together = np.concatenate(list(draw_weights(11, 50, 3)))
    assert np.array_equal(together, np.concatenate(list(draw_weights(11, 50, 3, at_once=7))))
