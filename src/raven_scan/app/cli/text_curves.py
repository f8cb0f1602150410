"""Curves as a line of text each, all on one scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

_BLOCKS = "▁▂▃▄▅▆▇█"
_COLUMNS = 60

Points = tuple[Sequence[int], Sequence[float | None]]
"""Steps, and values at them."""


@dataclass(frozen=True, slots=True)
class DrawnCurves:
    """`lines`: one a curve; empty where there is nothing to draw."""

    lines: list[str]
    lowest: float
    highest: float
    last_step: int


def draw_curves(curves: Sequence[Points | None]) -> DrawnCurves:
    """Draws curves over the same steps and between the same values, so that they can be compared by eye.

    A column is the mean of the values in it; where there is none, it is that of the column before.
    """
    known = [[*_list_known(points)] if points else [] for points in curves]
    values = [value for points in known for _, value in points]
    last_step = max((step for points in known for step, _ in points), default=0)
    lowest, highest = min(values, default=0.0), max(values, default=0.0)
    return DrawnCurves(
        [_draw(points, lowest, highest, last_step) for points in known], lowest, highest, last_step
    )


def _list_known(points: Points) -> list[tuple[int, float]]:
    return [
        (step, value) for step, value in zip(*points, strict=True) if value is not None and isfinite(value)
    ]


def _draw(points: Sequence[tuple[int, float]], lowest: float, highest: float, last_step: int) -> str:
    columns: list[list[float]] = [[] for _ in range(_COLUMNS)]
    for step, value in points:
        columns[min(_COLUMNS - 1, step * _COLUMNS // max(last_step, 1))].append(value)
    line, before = "", " "
    last = max((place for place, column in enumerate(columns) if column), default=-1)
    for column in columns[: last + 1]:
        if column:
            mean = sum(column) / len(column)
            share = (mean - lowest) / (highest - lowest) if highest > lowest else 0.0
            before = _BLOCKS[round(share * (len(_BLOCKS) - 1))]
        line += before
    return line
