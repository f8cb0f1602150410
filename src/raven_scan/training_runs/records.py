"""The record of a run: what it was made of and what it made, as digests that outlive both."""

from dataclasses import asdict, dataclass
from typing import Any

from raven_scan.trained_models.types import Figures, NewTrainedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Kept with the run, whatever becomes of its dataset version, its base model and its model.

    Attributes:
        dataset_version_digest: of the content of its dataset version.
        base_weights_digest: sha256 of its base model's weights; None of a builtin model, which the trainer builds.
        weights_digest: sha256 of the weights that it made; None before it ends in Success.
        configuration_digest: sha256 of MMDetection's configuration as JSON.
        test: figures on the test part, in 0-1; None where one cannot be had.
    """

    dataset_version_digest: str | None = None
    base_weights_digest: str | None = None
    weights_digest: str | None = None
    configuration_digest: str | None = None
    test: dict[str, float | None] | None = None


def describe_result(model: NewTrainedModel) -> dict[str, Any]:
    """What a run's record says of its model, which may be deleted one day."""
    return {
        "weights_digest": model.weights_digest,
        "configuration_digest": model.configuration_digest,
        "test": describe_figures(model.test),
    }


def describe_figures(figures: Figures) -> dict[str, float | None]:
    """Those that are numbers, or would be."""
    return {
        name: value for name, value in asdict(figures).items() if value is None or isinstance(value, float)
    }
