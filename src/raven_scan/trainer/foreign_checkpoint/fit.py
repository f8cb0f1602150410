"""How weights fit a model, told before anything is loaded."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raven_scan.trainer.weights.class_tensors import count_classes

Shape = tuple[int, ...]

# Counters that BatchNorm keeps beside its statistics; converted checkpoints leave them out, and a model does without.
_OPTIONAL_SUFFIX = ".num_batches_tracked"


@dataclass(frozen=True, slots=True)
class MismatchedTensor:
    name: str
    shape: Shape
    expected: Shape


@dataclass(frozen=True, slots=True)
class WeightsFit:
    """How weights fit a model; lists are in the order of the model, or of the weights.

    Attributes:
        matched: names with equal shapes on both sides.
        missing: names that the model has and the weights lack, but for BatchNorm's counters.
        unexpected: names that the weights have and the model lacks.
        mismatched: names on both sides with other shapes.
        matched_share: part of the model's numbers that the weights provide, in 0-1.
        class_count: classes that the weights' head tells apart, or None where that cannot be told.
    """

    matched: list[str]
    missing: list[str]
    unexpected: list[str]
    mismatched: list[MismatchedTensor]
    matched_share: float
    class_count: int | None

    @property
    def is_complete(self) -> bool:
        """Whether every tensor of the model is provided, and nothing is left over."""
        return not (self.missing or self.unexpected or self.mismatched)

    @property
    def only_classes_differ(self) -> bool:
        """Whether all fits but the tensors whose shape follows from the number of classes.

        The head is then re-initialised for other classes, and all else is kept.
        """
        return (
            bool(self.mismatched)
            and not self.missing
            and not self.unexpected
            and all(_depends_on_classes(tensor.name, tensor.shape) for tensor in self.mismatched)
        )


def fit_to_model(model: Mapping[str, Shape], weights: Mapping[str, Shape]) -> WeightsFit:
    """Compare weights with a model's state dict.

    Args:
        model: shape of each tensor of the model, in MMDetection's names.
        weights: shape of each tensor of the weights.
    """
    matched = [name for name, shape in model.items() if weights.get(name) == shape]
    return WeightsFit(
        matched=matched,
        missing=[name for name in model if name not in weights and not name.endswith(_OPTIONAL_SUFFIX)],
        unexpected=[name for name in weights if name not in model],
        mismatched=[
            MismatchedTensor(name, weights[name], shape)
            for name, shape in model.items()
            if name in weights and weights[name] != shape
        ],
        matched_share=_count_numbers(model[name] for name in matched)
        / max(1, _count_numbers(model.values())),
        class_count=count_classes(dict(weights)),
    )


def _depends_on_classes(name: str, shape: Shape) -> bool:
    return count_classes({name: shape}) is not None


def _count_numbers(shapes: Iterable[Shape]) -> int:
    return sum(math.prod(shape) for shape in shapes)
