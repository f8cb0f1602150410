"""Why a figure cannot be had, in a sentence."""

from raven_scan.figures.average_precision import count_boxes
from raven_scan.figures.matches import Matches

_AREAS = {
    "map_small": (1, "a small box, of at most 32 x 32 pixels"),
    "map_medium": (2, "a box of medium size, between 32 x 32 and 96 x 96 pixels"),
    "map_large": (3, "a large box, of at least 96 x 96 pixels"),
}


def explain_absence(matches: Matches, figure: str, label: int | None = None) -> str:
    """Why this figure has no value, overall or of a class."""
    boxes = count_boxes(matches)
    name = None if label is None else matches.classes[label]
    whose = "" if name is None else f" of the class {name!r}"
    if name in matches.foreign_classes:
        return f"The dataset does not have the class {name!r}: nobody looked for it in these images."
    if int(boxes.sum() if label is None else boxes[label]) == 0:
        return f"No image of the part has a true box{whose}."
    if figure in _AREAS:
        return f"No image of the part has {_AREAS[figure][1]}{whose}."
    if name in matches.unknown_classes:
        return f"The model does not know the class {name!r}: it detects none."
    if figure == "precision":
        return f"Nothing{whose} was detected."
    return f"No detection found a true box{whose}, so no confidence is the best one."
