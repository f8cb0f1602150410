"""A report from matches."""

from collections.abc import Sequence

from raven_scan.figures.matches import Matches
from raven_scan.figures.report import EvaluationReport, Flops, Speed

RESAMPLES = 1000


def reckon_report(
    matches: Matches,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    time_limit_s: float = 60.0,
    speed: Speed | None = None,
    parameter_count: int | None = None,
    flops: Flops | None = None,
    unknown_classes: Sequence[str] = (),
) -> EvaluationReport:
    """Every figure of these matches, with intervals."""
    raise NotImplementedError
