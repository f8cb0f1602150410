"""Classes that a model knows, and those that a part was annotated with: told apart by their names."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClassLists:
    """Both lists as one.

    Attributes:
        classes: the model's, in the order of its label index, and behind them those that it does not know.
        unknown: of the part; the model cannot find them, so each of their boxes is missed.
        foreign: of the model; nobody looked for them in the part's images, so nobody can tell whether a detection of
            one is right.
    """

    classes: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


def merge_class_lists(of_model: Sequence[str], of_part: Collection[str]) -> ClassLists:
    """Both lists as one; the model's labels stay what they are."""
    unknown = tuple(name for name in dict.fromkeys(of_part) if name not in of_model)
    return ClassLists(
        classes=(*of_model, *unknown),
        unknown=unknown,
        foreign=tuple(name for name in of_model if name not in of_part),
    )
