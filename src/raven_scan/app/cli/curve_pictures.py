"""Curves of several runs over each other, as a picture."""

import io
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from raven_scan.training_runs.comparison_schemas import RunComparisonOut

_KINDS = ("png", "svg", "pdf")
_DPI = 120
_WIDTH_IN, _HEIGHT_IN = 8.0, 3.2
_STYLES = ("-", "--", ":", "-.")
_LONGEST_NAME = 40


def check_kind(path: "Path") -> str:
    """What kind of picture the file's name asks for."""
    kind = path.suffix.removeprefix(".").lower()
    if kind not in _KINDS:
        names = ", ".join(f".{each}" for each in _KINDS)
        raise typer.BadParameter(f"{path.name} ends in none of {names}.", param_hint="--picture")
    return kind


def draw_compared_curves(compared: "RunComparisonOut", kind: str) -> bytes:
    """A chart a metric, with a line a run.

    Args:
        compared: with at least one curve.
        kind: png, svg or pdf.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - it takes a third of a second

    count = len(compared.curves)
    drawing: Any = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN * count), layout="constrained")
    charts = drawing.subplots(count, 1, squeeze=False)
    labels = [_make_label(number, run.name) for number, run in enumerate(compared.runs, 1)]
    for axes, curve in zip(charts[:, 0], compared.curves, strict=True):
        for place, (label, series) in enumerate(zip(labels, curve.series, strict=True)):
            if series is not None:
                style = _STYLES[place // 10 % len(_STYLES)]
                values = _break_where_missing(series.values)
                axes.plot(
                    series.steps, values, style, color=f"C{place % 10}", label=label, marker=_mark(values)
                )
        axes.set_title(curve.metric, parse_math=False, fontsize=10)
        axes.set_xlabel("step")
        axes.grid(visible=True, alpha=0.3)
        for text in axes.legend(fontsize=8).get_texts():
            text.set_parse_math(False)
    buffer = io.BytesIO()
    drawing.savefig(buffer, format=kind, dpi=_DPI)
    return buffer.getvalue()


def _make_label(number: int, name: str) -> str:
    """With its number, since some names may look alike: what the font lacks is a question mark."""
    letters = _list_letters()
    shown = "".join(each if ord(each) in letters else "?" for each in name[:_LONGEST_NAME])
    return f"{number}. {shown}"


@cache
def _list_letters() -> frozenset[int]:
    import matplotlib.font_manager  # noqa: PLC0415

    fonts: Any = matplotlib.font_manager
    return frozenset(fonts.get_font(fonts.findfont("DejaVu Sans")).get_charmap())


def _break_where_missing(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def _mark(values: Sequence[float]) -> str:
    """A line needs two points; where there is one, it is a dot."""
    return "o" if len(values) == 1 else ""
