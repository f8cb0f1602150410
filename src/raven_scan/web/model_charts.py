"""Curves of what a model does, drawn by ECharts in the browser."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nicegui import ui

COLOURS = ("#0b8a74", "#c2662d", "#4b6fb5", "#9a4f96", "#7a7d18", "#b3261e", "#2a7f9e", "#8a6a3a")
_QUIET = "#7d8a84"
_LINES = "#8a969022"


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through points.

    Attributes:
        points: x and y; y is None where there is none.
        is_strong: drawn wider than the others.
        is_dashed: what it is compared with.
        shows_points: each with a dot.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    is_strong: bool = False
    is_dashed: bool = False
    shows_points: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """A place on a chart that has a name."""

    name: str
    x: float
    y: float


def draw_curves(
    description: str,
    x_name: str,
    y_name: str,
    curves: Sequence[Curve],
    *,
    best: Point | None = None,
    height_px: int = 300,
) -> None:
    """A chart whose axes go from 0 to 1.

    Args:
        description: for a screen reader.
        x_name: under the axis, as `y_name` beside its one.
        y_name: as `x_name`.
        curves: that are drawn, the first below the others.
        best: a point that is marked.
        height_px: of the chart.
    """
    series = [_make_series(curve) for curve in curves]
    if best is not None and series:
        series[0]["markPoint"] = {
            "symbol": "circle",
            "symbolSize": 11,
            "data": [{"name": best.name, "coord": [best.x, best.y]}],
            "label": {
                "formatter": "{b}",
                "position": "top",
                "distance": 6,
                "color": _QUIET,
                "fontWeight": "bold",
            },
        }
    chart = ui.echart(
        {
            "animation": False,
            "color": list(COLOURS),
            "grid": {"left": 48, "right": 18, "top": 34 if best is None else 52, "bottom": 44},
            "legend": {
                "type": "scroll",
                "top": 0,
                "icon": "roundRect",
                "itemHeight": 4,
                "textStyle": {"color": _QUIET, "width": 260, "overflow": "truncate"},
                "pageTextStyle": {"color": _QUIET},
            },
            "tooltip": {"trigger": "axis", ":valueFormatter": _FORMAT},
            "xAxis": _make_axis(x_name) | {"nameGap": 26},
            "yAxis": _make_axis(y_name) | {"nameGap": 34},
            "series": series,
            "aria": {"enabled": True, "label": {"description": description}},
        }
    ).style(f"height: {height_px}px; width: 100%")
    chart.props["role"] = "img"
    chart.props["aria-label"] = description


_FORMAT = "(value) => (typeof value === 'number' ? value.toFixed(3) : '-')"


def _make_axis(name: str) -> dict[str, Any]:
    return {
        "type": "value",
        "min": 0,
        "max": 1,
        "name": name,
        "nameLocation": "middle",
        "nameTextStyle": {"color": _QUIET},
        "axisLabel": {"color": _QUIET},
        "splitLine": {"lineStyle": {"color": _LINES}},
    }


def _make_series(curve: Curve) -> dict[str, Any]:
    return {
        "name": curve.name,
        "type": "line",
        "showSymbol": curve.shows_points,
        "symbolSize": 7,
        "lineStyle": {
            "width": 3 if curve.is_strong else 1.5,
            "type": "dashed" if curve.is_dashed else "solid",
        },
        "data": [[x, y] for x, y in curve.points],
    }
