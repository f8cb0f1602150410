"""The images on which a model does worst, and matches as a file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from raven_scan.figures.gallery import describe_images, rank_images
from raven_scan.figures.image_results import ImageRanking
from raven_scan.figures.matches import UnreadableMatchesError, read_matches, write_matches
from raven_scan.figures.reckoning import reckon_report

Scenes = Any


def test_worst_images_come_first(scenes: Scenes):
    matches = scenes.draw(1, images=40).match()
    report = reckon_report(matches, resamples=0)
    missed, count = rank_images(matches, ImageRanking.MISSES, limit=1000)
    assert len(missed) == count
    numbers = [each.misses for each in missed]
    assert numbers == sorted(numbers, reverse=True)
    assert min(numbers) > 0
    recall = report.figures["recall"].value or 0
    assert sum(numbers) == round(report.counts.boxes * (1 - recall))
    alarmed, count = rank_images(matches, ImageRanking.FALSE_ALARMS, limit=1000)
    assert len(alarmed) == count
    keys = [(each.false_alarms, each.worst_confidence) for each in alarmed]
    assert keys == sorted(keys, reverse=True)
    page, same = rank_images(matches, ImageRanking.FALSE_ALARMS, offset=2, limit=3)
    assert same == count
    assert page == alarmed[2:5]
    assert describe_images(matches, [alarmed[0].image_id, 12345]) == [alarmed[0]]


def test_an_image_shows_what_is_there_and_what_was_detected(scenes: Scenes):
    truth = [
        (7, 0, 10.0, 10.0, 50.0, 50.0, 0),
        (7, 1, 200.0, 10.0, 50.0, 50.0, 0),
        (7, 2, 0.0, 300.0, 300.0, 300.0, 1),
    ]
    found = [
        (7, 0, 12.0, 10.0, 50.0, 50.0, 0.9),
        (7, 0, 400.0, 10.0, 50.0, 50.0, 0.8),
        (7, 2, 20.0, 320.0, 50.0, 50.0, 0.7),
        (7, 1, 200.0, 10.0, 50.0, 50.0, 0.1),
    ]
    matches = scenes.Scene([3, 7], truth, found).match()
    (result,), _ = rank_images(matches, ImageRanking.MISSES, confidence=0.5)
    assert (result.image_id, result.file_name) == (7, "7.jpg")
    # On the crowd it is no false alarm.
    assert (result.misses, result.false_alarms, result.worst_confidence) == (1, 1, 0.8)
    assert [(each.class_name, each.found, each.crowd) for each in result.true_boxes] == [
        ("déchets", True, False),
        ("плёнка", False, False),
        ("it's", False, True),
    ]
    assert [(each.class_name, each.confidence, each.hit) for each in result.detections] == [
        ("déchets", 0.9, True),
        ("déchets", 0.8, False),
        ("it's", 0.7, False),
    ]
    assert result.detections[0].box == (12.0, 10.0, 50.0, 50.0)
    assert rank_images(matches, ImageRanking.MISSES, confidence=0.05)[1] == 0
    # What is told beside does not count.
    (told,), _ = rank_images(matches, ImageRanking.MISSES, confidence=0.5, shown_from=0.05)
    assert sorted(each.confidence for each in told.detections) == [0.1, 0.7, 0.8, 0.9]
    assert told.true_boxes == result.true_boxes
    assert (told.misses, told.false_alarms) == (1, 1)


def test_matches_are_read_as_they_were_written(scenes: Scenes, tmp_path: Path):
    for scene in (scenes.draw(2, images=30), scenes.Scene([], [], [], ())):
        matches = scene.match()
        write_matches(matches, tmp_path / "matches")
        read = read_matches(tmp_path / "matches")
        assert read.classes == matches.classes
        assert read.file_names == matches.file_names
        assert np.array_equal(read.detection_boxes, matches.detection_boxes)
        assert reckon_report(read, resamples=10) == reckon_report(matches, resamples=10)
        assert [path.name for path in tmp_path.iterdir()] == ["matches"]


def test_damaged_matches_are_refused(scenes: Scenes, tmp_path: Path):
    path = tmp_path / "matches"
    with pytest.raises(UnreadableMatchesError):
        read_matches(path)
    write_matches(scenes.draw(2).match(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    with pytest.raises(UnreadableMatchesError):
        read_matches(path)
    path.write_bytes(whole.replace(b"matches 1", b"matches 2"))
    with pytest.raises(UnreadableMatchesError, match="form"):
        read_matches(path)
    path.write_bytes(whole)
    columns = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, framework="np") as file:
        metadata = file.metadata()
    for name, column in (
        ("truth_image", columns["truth_image"] + 1000),
        ("detection_label", columns["detection_label"] - 5),
        ("found_by", columns["found_by"] + 100_000),
        ("found_by", columns["found_by"] - 2),
        ("hits", columns["hits"][:, :2].copy()),
        ("scores", columns["scores"].astype(np.float32)),
    ):
        safetensors.numpy.save_file({**columns, name: column}, path, metadata=metadata)
        with pytest.raises(UnreadableMatchesError, match=name):
            read_matches(path)
