"""A run's metrics as single points, read by the door that users read them by."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform


class Point(NamedTuple):
    """`value`: None where the trainer told none."""

    name: str
    step: int
    epoch: int
    value: float | None


def list_points(platform: Platform, run: str, names: Sequence[str] = ()) -> list[Point]:
    """Every point, by name and step; all metrics where no names are given."""
    return [
        Point(history.name, int(step), int(epoch), None if math.isnan(value) else float(value))
        for history in platform.run_metrics.read_whole(LOCAL_ADMINISTRATOR, run, names)
        for step, epoch, value in zip(history.steps, history.epochs, history.values, strict=True)
    ]
