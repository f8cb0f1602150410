"""Charts, drawn by ECharts in the browser."""

import math
from collections.abc import Sequence
from typing import Any

from nicegui import ui

from raven_scan.training_runs.metric_history import MetricHistory

_COLOURS = ["#0b8a74", "#c2662d", "#4b6fb5", "#9a4f96", "#7a7d18", "#b3261e"]


class LineChart:
    """Metrics by step; what is shown anew is sent only where it has changed.

    Args:
        description: for a screen reader.
        highest: end of the axis; None to fit.
    """

    def __init__(self, description: str, *, highest: float | None = None) -> None:
        self._shown: tuple[Any, ...] = ()
        self._chart = ui.echart(
            {
                "animation": False,
                "color": _COLOURS,
                "grid": {"left": 52, "right": 14, "top": 30, "bottom": 28},
                "legend": {
                    "type": "scroll",
                    "top": 0,
                    "icon": "roundRect",
                    "itemHeight": 4,
                    "textStyle": {"color": "#7d8a84"},
                },
                "tooltip": {"trigger": "axis"},
                "xAxis": {"type": "value", "min": "dataMin", "max": "dataMax", "splitLine": {"show": False}},
                "yAxis": {
                    "type": "value",
                    "scale": highest is None,
                    "min": None if highest is None else 0,
                    "max": highest,
                    "splitLine": {"lineStyle": {"color": "#8a969022"}},
                },
                "series": [],
                "aria": {"enabled": True, "label": {"description": description}},
            }
        ).style("height: 240px; width: 100%")
        self._chart.props(f'role="img" aria-label="{description}"')

    def show(self, histories: Sequence[MetricHistory]) -> None:
        seen = tuple(
            (each.name, int(each.steps[-1]), len(each.steps)) for each in histories if len(each.steps)
        )
        if seen == self._shown:
            return
        self._shown = seen
        self._chart.options["series"] = [  # pyright: ignore[reportUnknownMemberType]
            {
                "name": each.name,
                "type": "line",
                "showSymbol": len(each.steps) < 30,
                "symbolSize": 5,
                "lineStyle": {"width": 2},
                "data": [
                    [int(step), None if math.isnan(value) else float(value)]
                    for step, value in zip(each.steps, each.values, strict=True)
                ],
            }
            for each in histories
        ]
        self._chart.update()
