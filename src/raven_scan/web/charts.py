"""Charts, drawn by ECharts in the browser, which keeps what they show: the server holds no points."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any

from nicegui import ui

from raven_scan.training_runs.metric_history import MetricHistory
from raven_scan.web.marks import as_prop

_COLOURS = ["#0b8a74", "#c2662d", "#4b6fb5", "#9a4f96", "#7a7d18", "#b3261e", "#2f8fa8", "#8a6d3b"]

Points = list[list[float | int | None]]


class LineChart:
    """Lines by step.

    Args:
        description: for a screen reader.
        highest: end of the axis; None to fit.
        empty: said while there is nothing to draw.
        step: what the axis of steps is called.
        comes_later: its place is kept, and `build` is called once there is time: a browser makes a chart in 25 ms.
    """

    def __init__(
        self,
        description: str,
        *,
        highest: float | None = None,
        empty: str = "",
        step: str = "",
        comes_later: bool = False,
    ) -> None:
        self._description = description
        self._options = _make_options(description, highest, step)
        self._chart: ui.echart | None = None
        with ui.element("div").classes("chart") as self._place:
            if empty:
                ui.html(f'<p class="chart-empty muted small">{escape(empty)}</p>', sanitize=False)
        if not comes_later:
            self.build()

    def build(self) -> None:
        """Has the browser make it, in its place."""
        with self._place:
            self._chart = ui.echart(self._options).classes("drawn")
            self._chart.props(f'role="img" aria-label={as_prop(self._description)}')

    @property
    def id(self) -> int:
        """Once it is built."""
        if self._chart is None:
            raise RuntimeError("the chart is not built yet")
        return self._chart.id

    def show(self, histories: Iterable[tuple[str, MetricHistory]]) -> None:
        """Draws whole histories, each under its name."""
        lines = [{"name": name, "points": list_points(history)} for name, history in histories]
        self._place.client.run_javascript(f"ravenShowLines({self.id}, {json.dumps(lines)})")


@dataclass(frozen=True, slots=True)
class LineChoice:
    """Which of many lines are drawn at first; whoever looks ticks others.

    Attributes:
        first: names of metrics, of which those come first that are there; then the rest, by their names.
        most: so many are drawn at first; where there are no more, there is nothing to choose.
        said: above the boxes to tick, with `{shown}` of `{count}`.
    """

    first: Sequence[str]
    most: int
    said: str


@dataclass(frozen=True, slots=True)
class ChartedMetrics:
    """Which metrics a chart shows.

    Attributes:
        names: what their lines are called, by the names of metrics, in this order.
        prefix: also those that begin so, called what follows it.
        choice: where there may be many.
    """

    chart: LineChart
    names: Mapping[str, str]
    prefix: str = ""
    choice: LineChoice | None = None


@dataclass(slots=True)
class ChartBoard:
    """Charts that grow together.

    Attributes:
        id: of the part of the page that they are in.
    """

    id: int
    charts: list[ChartedMetrics] = field(default_factory=list[ChartedMetrics])

    def build(self) -> None:
        """Has the browser make its charts."""
        for each in self.charts:
            each.chart.build()

    def write_start(self, points: str) -> str:
        """JavaScript that draws what there is in charts that are built; `points` as `encode_points` has them."""
        charts = [
            {
                "id": each.chart.id,
                "names": dict(each.names),
                "prefix": each.prefix,
                "choice": None if each.choice is None else asdict(each.choice),
            }
            for each in self.charts
        ]
        return f"ravenBoard({self.id}, {json.dumps(charts)}, [{{points: {points}}}])"

    def write_news(self, metrics: str, log: str) -> str:
        """JavaScript that adds what is new; `metrics` as `RunNews` has them."""
        return f"ravenTellRun({self.id}, {metrics}, {json.dumps(log)})"


def encode_points(histories: Iterable[MetricHistory]) -> str:
    """Points by name, as JSON: of a hundred classes they are tens of thousands, too many for the event loop."""
    return json.dumps({history.name: list_points(history) for history in histories})


def list_points(history: MetricHistory) -> Points:
    """Steps with values, None where there is no value."""
    return [
        [int(step), None if math.isnan(value) else float(f"{value:.6g}")]
        for step, value in zip(history.steps, history.values, strict=True)
    ]


def _make_options(description: str, highest: float | None, step: str) -> dict[str, Any]:
    return {
        "animation": False,
        "color": _COLOURS,
        "grid": {"left": 8, "right": 16, "top": 34, "bottom": 24 if step else 4, "containLabel": True},
        "legend": {
            "type": "scroll",
            "top": 0,
            "icon": "roundRect",
            "itemHeight": 4,
            "textStyle": {"lineHeight": 20},  # or words are cut off, where a legend has pages
        },
        "tooltip": {"trigger": "axis", "confine": True},
        "xAxis": {
            "type": "value",
            "min": "dataMin",
            "max": "dataMax",
            "splitLine": {"show": False},
            "name": step,
            "nameLocation": "middle",
            "nameGap": 26,
            # The first and the last step are written too, however near to a round one they are.
            "axisLabel": {"hideOverlap": True},
            "axisPointer": {"label": {"precision": 0}},
        },
        "yAxis": {
            "type": "value",
            "scale": highest is None,
            "min": None if highest is None else 0,
            "max": highest,
        },
        "series": [],
        "aria": {"enabled": True, "label": {"description": description}},
    }
