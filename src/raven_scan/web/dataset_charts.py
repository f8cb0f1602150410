"""How the boxes of a dataset version are, as charts."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from nicegui import ui

from raven_scan.datasets.browsing import BOX_SIDES_PX, BOXES_AN_IMAGE, VersionStatistics
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.web.frame import sheet
from raven_scan.web.marks import as_prop
from raven_scan.web.texts import Texts

_COLOUR_OF_PART = {"train": "#0b8a74", "valid": "#c2662d", "test": "#4b6fb5"}
_GREY = "#7d8a84"
_LINE = "#8a969022"
_MOST_CLASSES = 20
_BAR_PX = 24


def show_statistics(version: DatasetVersionView, statistics: VersionStatistics, t: Texts) -> None:
    """The charts, beside each other where there is room."""
    with ui.element("div").classes("grid"):
        with sheet(t("Boxes by class")):
            _show_classes(version, t)
        with sheet(t("Box sizes")):
            edges = [str(side) for side in BOX_SIDES_PX]
            names = [
                f"< {edges[0]}",
                *(f"{low}\N{EN DASH}{high}" for low, high in pairwise(edges)),
                f"≥ {edges[-1]}",
            ]
            _show_bars(
                names, statistics.boxes_by_side, t("Boxes by the side of a square as large, in pixels")
            )
            if statistics.median_side_px is not None:
                _say(
                    t(
                        "The side of a square as large as the box, in pixels. Half of the boxes are below {side} px.",
                        side=t.number(statistics.median_side_px),
                    )
                )
        with sheet(t("Boxes an image")):
            _show_bars(_name_counts(), statistics.images_by_boxes, t("Images by their number of boxes"))
            _say(t("Images by how many boxes they have; those with none show what is no waste."))


def _show_classes(version: DatasetVersionView, t: Texts) -> None:
    totals = {
        name: sum(part.boxes_by_class[name] for part in version.parts.values()) for name in version.classes
    }
    shown = sorted(totals, key=lambda name: -totals[name])[:_MOST_CLASSES]
    counts = {name: [part.boxes_by_class[each] for each in shown] for name, part in version.parts.items()}
    _show_bars(shown, counts, t("Boxes by class and part"), is_sideways=True)
    if len(shown) < len(totals):
        rest = len(totals) - len(shown)
        _say(t("{count} classes with fewer boxes are left out.", count=t.number(rest)))


def _show_bars(
    names: Sequence[str], counts: Mapping[str, Sequence[int]], description: str, *, is_sideways: bool = False
) -> None:
    """Bars of what the parts have, one upon the other."""
    categories = {
        "type": "category",
        "data": list(names),
        "inverse": is_sideways,
        "axisTick": {"show": False},
        "axisLine": {"lineStyle": {"color": _LINE}},
        "axisLabel": {
            "color": _GREY,
            "interval": 0,
            **({"overflow": "truncate", "width": 110} if is_sideways else {"rotate": 40}),
        },
    }
    numbers = {
        "type": "value",
        "minInterval": 1,
        "splitLine": {"lineStyle": {"color": _LINE}},
        "axisLabel": {"color": _GREY, "hideOverlap": True},
    }
    present = [part for part, values in counts.items() if any(values)]
    height = max(140, 64 + _BAR_PX * len(names)) if is_sideways else 260
    chart = ui.echart(
        {
            "animation": False,
            "grid": {"left": 8, "right": 18, "top": 30, "bottom": 4, "containLabel": True},
            "legend": {"top": 0, "icon": "roundRect", "itemHeight": 8, "textStyle": {"color": _GREY}},
            "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}},
            "xAxis": numbers if is_sideways else categories,
            "yAxis": categories if is_sideways else numbers,
            "series": [
                {
                    "name": part,
                    "type": "bar",
                    "stack": "all",
                    "barMaxWidth": 26,
                    "itemStyle": {"color": _COLOUR_OF_PART.get(part, _GREY)},
                    "data": list(counts[part]),
                }
                for part in present
            ],
            "aria": {"enabled": True, "label": {"description": description}},
        }
    ).style(f"height: {height}px; width: 100%")
    chart.props(f'role="img" aria-label={as_prop(description)}')


def _name_counts() -> list[str]:
    names: list[str] = []
    lowest = 0
    for highest in BOXES_AN_IMAGE:
        names.append(str(highest) if highest == lowest else f"{lowest}\N{EN DASH}{highest}")
        lowest = highest + 1
    return [*names, f"> {BOXES_AN_IMAGE[-1]}"]


def _say(sentence: str) -> None:
    ui.label(sentence).classes("muted small")
