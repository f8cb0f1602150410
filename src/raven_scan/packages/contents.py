"""The files of a package that hold data."""

from typing import Any

import msgspec

from raven_scan.figures.report import EvaluationReport
from raven_scan.trained_models.types import Figures, PackageStep


class PackedEvaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The newest evaluation on the platform that packed it.

    Attributes:
        dataset_version: its name there; `part` of it.
        report: an `EvaluationReport`.
    """

    dataset_version: str
    part: str
    report: dict[str, Any]


class PackedFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a model scores: `valid` and `test` as they were measured when it was trained."""

    valid: Figures | None
    test: Figures | None
    evaluation: PackedEvaluation | None


class PackedLineage(msgspec.Struct, frozen=True, kw_only=True):
    """`models`: the model itself, then what it came from, nearest first."""

    models: list[PackageStep]


def summarise_report(report: EvaluationReport) -> Figures:
    """An evaluation's figures without their intervals."""
    return Figures.collect(
        {name: figure.value for name, figure in report.figures.items()},
        by_class={
            name: {figure: each.value for figure, each in figures.items()}
            for name, figures in report.by_class.items()
        },
        image_count=report.counts.images,
        box_count=report.counts.boxes,
    )
