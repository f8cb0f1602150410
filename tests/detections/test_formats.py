"""Detections as files for other programs, without a model."""

import csv
import io
from uuid import UUID

import pytest

from raven_scan.detections.formats import make_coco, make_csv
from raven_scan.detections.types import AnsweringModel, DetectedBox, Detections, ImageDetections

_MODEL = UUID("0192d3f0-0000-7000-8000-000000000000")


def make_detections(name: str, class_name: str = "litter") -> Detections:
    box = DetectedBox(class_name=class_name, score=0.5, x=-1.25, y=0.0, width=10.0, height=20.0)
    return Detections(
        model=AnsweringModel(id=_MODEL, name=name, published_name=None, version=None),
        classes=[class_name],
        min_confidence=0.1,
        images=[ImageDetections(name=name, width=100, height=50, boxes=[box])],
    )


@pytest.mark.parametrize(
    "name",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\x00=1",
        "\N{FULLWIDTH EQUALS SIGN}1",
        '=HYPERLINK("a","b")',
    ],
)
def test_names_are_no_formulas_to_a_spreadsheet(name: str):
    detections = make_detections(name, class_name=name)
    (row,) = csv.DictReader(io.StringIO(make_csv(detections), newline=""))
    assert (row["image"], row["class"], row["model"]) == (f"'{name}",) * 3
    # Numbers are no names.
    assert (row["x"], row["score"], row["version"]) == ("-1.250", "0.500000", "")
    assert make_coco(detections)["images"][0]["file_name"] == name


@pytest.mark.parametrize("name", ["flight-17/a=b.png", "'=1", "\N{LATIN SMALL LETTER E WITH ACUTE}.png"])
def test_other_names_stay_as_they_are(name: str):
    (row,) = csv.DictReader(io.StringIO(make_csv(make_detections(name))))
    assert row["image"] == name
