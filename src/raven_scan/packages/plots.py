"""Pictures for a model card, as PNG: the same bytes of the same report and library."""

import io
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from raven_scan.figures.report import EvaluationReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

PRECISION_RECALL = "plots/precision-recall.png"
F1_BY_CONFIDENCE = "plots/f1-by-confidence.png"
CONFUSION = "plots/confusion.png"

_DPI = 120
_BLUE, _GREY = "#1f5a94", "#9aa5b1"
_MOST_CLASSES = 30
_LONGEST_LABEL = 24

_lock = threading.Lock()
"""The library is not made for several threads."""


def draw_plots(report: EvaluationReport) -> dict[str, bytes]:
    """Precision by recall, F1 by confidence, and which class is taken for which, by file name; what can be drawn."""
    with _lock:
        drawn = {
            PRECISION_RECALL: _draw_precision_recall(report),
            F1_BY_CONFIDENCE: _draw_f1(report),
            CONFUSION: _draw_confusion(report),
        }
        return {name: _encode(drawing) for name, drawing in drawn.items() if drawing is not None}


def _draw_precision_recall(report: EvaluationReport) -> "Drawing | None":
    curves = report.precision_recall
    if curves.overall is None:
        return None
    drawing, axes = _make_axes("Recall", "Precision", f"Precision by recall, IoU {curves.iou:g}")
    known = [values for values in curves.by_class.values() if values is not None][:_MOST_CLASSES]
    for index, values in enumerate(known):
        label = "_" if index else "single classes"  # the library leaves out what begins so
        axes.plot(curves.recalls, values, color=_GREY, linewidth=0.8, label=label)
    axes.plot(curves.recalls, curves.overall, color=_BLUE, linewidth=2, label="mean of the classes")
    axes.legend(loc="lower left", frameon=False)
    return drawing


def _draw_f1(report: EvaluationReport) -> "Drawing | None":
    curve = report.f1_by_confidence.overall
    if curve is None:
        return None
    drawing, axes = _make_axes("Confidence", "", f"F1 by confidence, IoU {report.f1_by_confidence.iou:g}")
    axes.plot(curve.confidences, curve.precision, color=_GREY, linestyle="--", label="precision")
    axes.plot(curve.confidences, curve.recall, color=_GREY, linestyle=":", label="recall")
    axes.plot(curve.confidences, curve.f1, color=_BLUE, linewidth=2, label="F1")
    if curve.best is not None:
        axes.plot([curve.best.confidence], [curve.best.f1], "o", color=_BLUE)
        is_right = curve.best.confidence > 0.5
        axes.annotate(
            f"{curve.best.f1:.3f} at {curve.best.confidence:.3f}",
            (curve.best.confidence, curve.best.f1),
            textcoords="offset points",
            xytext=(-6 if is_right else 6, 6),
            ha="right" if is_right else "left",
        )
    axes.legend(loc="lower left", frameon=False)
    return drawing


def _draw_confusion(report: EvaluationReport) -> "Drawing | None":
    confusion = report.confusion
    count = len(confusion.labels)
    if not 1 < count <= _MOST_CLASSES + 1 or not any(map(any, confusion.matrix)):
        return None
    from matplotlib.figure import Figure as Drawing  # noqa: PLC0415

    side = max(5.0, 0.5 * count + 2.5)
    drawing = Drawing(figsize=(side, side), layout="constrained")
    axes: Any = drawing.add_subplot()
    totals = [sum(row) or 1 for row in confusion.matrix]
    shares = [[value / total for value in row] for row, total in zip(confusion.matrix, totals, strict=True)]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    labels = [_make_label(index, name) for index, name in enumerate(confusion.labels)]
    axes.set_xticks(range(count), labels, rotation=90, parse_math=False)
    axes.set_yticks(range(count), labels, parse_math=False)
    axes.set_xlabel("detected")
    axes.set_ylabel("there")
    axes.set_title(f"Boxes at confidence {confusion.confidence:.3f}, IoU {confusion.iou:g}", fontsize=10)
    for row, values in enumerate(confusion.matrix):
        for column, value in enumerate(values):
            if value:
                colour = "white" if shares[row][column] > 0.5 else "black"
                axes.text(column, row, str(value), ha="center", va="center", color=colour, fontsize=8)
    return drawing


def _make_axes(x_label: str, y_label: str, title: str) -> "tuple[Drawing, Any]":
    # The library takes a third of a second and much memory; a server that exports nothing goes without.
    from matplotlib.figure import Figure as Drawing  # noqa: PLC0415

    drawing = Drawing(figsize=(5, 4), layout="constrained")
    axes: Any = drawing.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_title(title, fontsize=10)
    axes.grid(visible=True, alpha=0.3)
    return drawing, axes


def _make_label(index: int, name: str) -> str:
    """A class's name where the font has all its letters, else its number in the model card."""
    if len(name) <= _LONGEST_LABEL and all(ord(each) in _find_letters() for each in name):
        return name
    return f"class {index}"


@cache
def _find_letters() -> "dict[int, int]":
    import matplotlib.font_manager  # noqa: PLC0415

    fonts: Any = matplotlib.font_manager
    letters: dict[int, int] = fonts.get_font(fonts.findfont("DejaVu Sans")).get_charmap()
    return letters


def _encode(drawing: "Drawing") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415

    canvas: Any = FigureCanvasAgg(drawing)
    buffer = io.BytesIO()
    # Without the library's version, so that two releases of it may well draw the same.
    canvas.print_figure(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
