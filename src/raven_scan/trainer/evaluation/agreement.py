"""Two programs reckon a part's figures, and must agree."""

import math
from typing import Any

from raven_scan.trainer.evaluation.coco_figures import measure_coco_figures
from raven_scan.trainer.failures import TrainerError

DETECTIONS_MAX = 100_000
"""A part with more is not reckoned twice: it would take longer than all else that is reckoned."""
_TOLERANCE = 1e-6


def check_agreement(
    figures: dict[str, float | None],
    truth: dict[str, Any],
    results: list[dict[str, Any]],
    category_ids: list[int],
) -> None:
    """Compare average precisions with those of faster-coco-eval.

    Args:
        figures: as they are to be told.
        truth: the part's COCO document.
        results: COCO results.
        category_ids: those that were measured.

    Raises:
        TrainerError: `crashed.figures_disagree`.
    """
    if len(results) > DETECTIONS_MAX:
        return
    expected, _ = measure_coco_figures(truth, results, category_ids)
    for name, value in expected.items():
        own = figures[name]
        if (own is None) != (value is None) or not math.isclose(own or 0, value or 0, abs_tol=_TOLERANCE):
            raise TrainerError(
                "crashed.figures_disagree",
                f"The figure {name} is {own}, and {value} by faster-coco-eval.",
                hint="This is a mistake in the program: report it with the log.",
            )
