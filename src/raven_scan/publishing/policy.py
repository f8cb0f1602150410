"""The quality requirements: their keys, defaults and bounds.

A policy is a flat mapping of keys to values; `min_recall.CLASS` asks for the recall of one class. None (False for what
is required or not) asks for nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from raven_scan.publishing.errors import make_bad_policy
from raven_scan.publishing.types import RequirementValue

CLASS_RECALL = "min_recall."
"""What comes before the name of a class."""

_LONGEST_CLASS = 200
_MOST_CLASSES = 1000
_MOST_COUNTED = 1_000_000


@dataclass(frozen=True, slots=True)
class Requirement:
    """A key of the policy.

    Attributes:
        kind: float (a share from 0 to 1), int (a count from 1) or bool.
        meaning: for people.
    """

    kind: type[float] | type[int] | type[bool]
    default: RequirementValue
    meaning: str

    @property
    def bounds(self) -> str:
        if self.kind is bool:
            return "true or false"
        return f"{'0 to 1' if self.kind is float else f'1 to {_MOST_COUNTED}'}, or off"


REQUIREMENTS: dict[str, Requirement] = {
    "require_success": Requirement(bool, True, "the run that trained it ended in Success"),  # noqa: FBT003
    "require_evaluation": Requirement(bool, True, "it was evaluated here"),  # noqa: FBT003
    "min_test_images": Requirement(int, 50, "images in the test part that it is judged on"),
    "min_test_boxes": Requirement(int, 50, "boxes in that part"),
    "require_unseen_test": Requirement(
        bool,
        True,  # noqa: FBT003
        "neither it nor its base models learned from images of that part",
    ),
    "min_map50": Requirement(float, 0.3, "mAP50 there"),
    "min_recall": Requirement(float, None, "recall there, at the confidence of the best F1"),
    "max_regression": Requirement(
        float, 0.05, "mAP50 that it may lose to the version in use, at 95 % confidence"
    ),
    "require_other_reviewer": Requirement(bool, False, "its author does not publish it"),  # noqa: FBT003
}
_CLASS_REQUIREMENT = Requirement(float, None, "recall of that class")

DEFAULTS: dict[str, RequirementValue] = {
    key: requirement.default for key, requirement in REQUIREMENTS.items()
}


def complete_policy(stored: Mapping[str, Any]) -> dict[str, RequirementValue]:
    """Every key, in its order, then the classes; what another release stored and this one does not know is left out."""
    known = {key: stored.get(key, default) for key, default in DEFAULTS.items()}
    classes = {key: stored[key] for key in sorted(stored) if key.startswith(CLASS_RECALL)}
    return {**known, **classes}


def change_policy(
    current: Mapping[str, RequirementValue], changes: Mapping[str, Any], unset: Collection[str]
) -> dict[str, RequirementValue]:
    """What the policy becomes.

    Args:
        current: complete, as it is.
        changes: new values by key. `min_recall` also takes the recalls of classes by their names, in place of all that
            are asked for.
        unset: keys that get their default again; a class is no longer asked for.

    Raises:
        Invalid: a key that is not known, or a value out of its bounds. All that is wrong is told at once.
    """
    problems: list[str] = []
    changed = dict(current)
    for key in unset:
        if key in REQUIREMENTS:
            changed[key] = DEFAULTS[key]
        elif _find_requirement(key) is not None:
            changed.pop(key, None)
        else:
            problems.append(f"there is no {_quote(key)}")
    for key, value in _spread_classes(changed, changes).items():
        requirement = _find_requirement(key)
        if requirement is None:
            problems.append(f"there is no {_quote(key)}")
            continue
        problem = _find_problem(requirement, value)
        if problem:
            problems.append(f"{_quote(key)} {problem}")
        elif requirement is _CLASS_REQUIREMENT and (value is None or value is False):
            changed.pop(key, None)
        else:
            # What asks for nothing is told in one way, so that setting it again is no change.
            changed[key] = None if requirement.kind is not bool and value is False else value
    if sum(key.startswith(CLASS_RECALL) for key in changed) > _MOST_CLASSES:
        problems.append(f"it asks for more than {_MOST_CLASSES} classes")
    if problems:
        raise make_bad_policy(problems, describe_keys())
    return complete_policy(changed)


def describe_keys() -> list[str]:
    """Every key with its bounds."""
    described = [f"{key} ({requirement.bounds})" for key, requirement in REQUIREMENTS.items()]
    return [*described, f"{CLASS_RECALL}CLASS ({_CLASS_REQUIREMENT.bounds})"]


def describe_meaning(key: str) -> str:
    """What a key asks for, for people."""
    requirement = _find_requirement(key)
    return "" if requirement is None else requirement.meaning


def _spread_classes(changed: dict[str, RequirementValue], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`{"min_recall": {"glass": 0.6}}` as the keys that it stands for; the other classes go out of `changed`."""
    by_class = changes.get("min_recall")
    if not isinstance(by_class, Mapping):
        return dict(changes)
    for key in [key for key in changed if key.startswith(CLASS_RECALL)]:
        del changed[key]
    classes: dict[Any, Any] = dict(by_class)  # pyright: ignore[reportUnknownArgumentType]
    spread = {f"{CLASS_RECALL}{name}": value for name, value in classes.items()}
    return {**spread, **{key: value for key, value in changes.items() if key != "min_recall"}}


def _find_requirement(key: str) -> Requirement | None:
    if key.startswith(CLASS_RECALL):
        name = key.removeprefix(CLASS_RECALL)
        return _CLASS_REQUIREMENT if name.isprintable() and 0 < len(name) <= _LONGEST_CLASS else None
    return REQUIREMENTS.get(key)


def _find_problem(requirement: Requirement, value: Any) -> str | None:
    kind = requirement.kind
    if kind is bool:
        return None if isinstance(value, bool) else f"is {requirement.bounds}, not {_quote(value)}"
    if value is None or value is False:
        return None
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if fits and kind is int:
        fits = isinstance(value, int) and 1 <= value <= _MOST_COUNTED
    elif fits:
        fits = 0 <= value <= 1
    return None if fits else f"is {requirement.bounds}, not {_quote(value)}"


def _quote(value: object) -> str:
    return ascii(value)[:100]
