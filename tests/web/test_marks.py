"""What users wrote is shown as they wrote it, and as text."""

import json
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from nicegui.props import Props

from raven_scan.figures.report import BACKGROUND, Confusion
from raven_scan.web.marks import as_prop, embed, mark
from raven_scan.web.model_figures import draw_confusion
from raven_scan.web.texts import Texts

_WRITTEN = ["Rome & <b>Ostia</b>", 'a "quoted" one', "L'immagine\\", "a\nb\tc", "{1} [2] 🛩"]
_T = Texts("en", ZoneInfo("UTC"))


@pytest.mark.parametrize("text", _WRITTEN)
def test_props_attributes_and_chips_hold_what_was_written(text: str) -> None:
    assert Props.parse(f"flat aria-label={as_prop(text)} dense") == {
        "flat": True,
        "aria-label": text,
        "dense": True,
    }
    embedded = embed([text])
    assert json.loads(unescape(embedded)) == [text]
    assert not {"<", '"', "'"} & set(embedded)
    assert "<b>" not in mark(text, "good")


def test_of_many_classes_those_are_shown_that_are_confused() -> None:
    """A table of each with each of 300 classes would have 90 000 cells."""
    count = 301
    matrix = [[1 if row == column else 0 for column in range(count)] for row in range(count)]
    matrix[250][7] = 5
    labels = [f"<i>{number}" for number in range(count - 1)]
    confusion = Confusion(labels=[*labels, BACKGROUND], matrix=matrix, confidence=0.5, iou=0.5)
    drawn = draw_confusion(confusion, _T)
    assert drawn.count("<tr>") == drawn.count('<th scope="col">') + 1 < 40
    assert '<th scope="row">&lt;i&gt;250</th>' in drawn
    assert "5 of &lt;i&gt;250 detected as &lt;i&gt;7: 83%" in drawn
    assert "270 classes with fewer errors are left out." in drawn
    assert "<i>" not in drawn
