"""The tensors whose shape or meaning depends on the class list."""

import re
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor


class _Rows(Enum):
    """How the rows (first axis) of a tensor belong to classes; C classes."""

    CLASS = "C rows"
    ANCHOR_CLASS = "a multiple of C rows, class by class within an anchor"
    CLASS_AND_BACKGROUND = "C + 1 rows, the background last"
    CLASS_BOX = "4 C rows, four a class"


@dataclass(frozen=True, slots=True)
class _Pattern:
    keys: re.Pattern[str]
    rows: _Rows


# MMDetection's names in the architectures of the catalogue.
_PATTERNS = (
    _Pattern(re.compile(r"bbox_head\.multi_level_conv_cls\.\d+\.(weight|bias)"), _Rows.CLASS),
    _Pattern(re.compile(r"bbox_head\.rtm_cls\.\d+\.(weight|bias)"), _Rows.CLASS),
    _Pattern(re.compile(r"bbox_head\.retina_cls\.(weight|bias)"), _Rows.ANCHOR_CLASS),
    _Pattern(re.compile(r"roi_head\.bbox_head\.fc_cls\.(weight|bias)"), _Rows.CLASS_AND_BACKGROUND),
    _Pattern(re.compile(r"roi_head\.bbox_head\.fc_reg\.(weight|bias)"), _Rows.CLASS_BOX),
    _Pattern(re.compile(r"bbox_head\.cls_branches\.\d+\.(weight|bias)"), _Rows.CLASS),
    _Pattern(re.compile(r"dn_query_generator\.label_embedding\.weight"), _Rows.CLASS),
)
# RetinaNet of the catalogue: three scales by three ratios.
_RETINANET_ANCHORS = 9


def count_classes(shapes: dict[str, tuple[int, ...]]) -> int | None:
    """The number of classes of a head, from the shapes of its tensors; None where that cannot be told."""
    for key, shape in shapes.items():
        rows = _find_rows(key)
        if rows is None or not shape:
            continue
        if rows is _Rows.CLASS_AND_BACKGROUND:
            return shape[0] - 1
        if rows is _Rows.CLASS_BOX:
            return shape[0] // 4
        if rows is _Rows.ANCHOR_CLASS:
            return shape[0] // _RETINANET_ANCHORS
        return shape[0]
    return None


def fit_class_tensors(
    state: dict[str, Tensor], base_classes: list[str] | None, classes: list[str]
) -> list[str]:
    """Make a base model's tensors fit another class list, in place.

    The same classes in another order: rows are moved. Other classes: the tensors that depend on them are taken out,
    so that the model keeps its fresh ones.

    Args:
        state: a state dict in MMDetection's names.
        base_classes: the class list that it was trained on, or None where that is not known; then its tensors stay
            only if their number of classes is right.
        classes: the class list that they are to fit.

    Returns:
        Keys that were taken out.
    """
    if base_classes == classes:
        return []
    keys = [key for key in state if _find_rows(key) is not None]
    if base_classes is None:
        shapes = {key: tuple(state[key].shape) for key in keys}
        if count_classes(shapes) == len(classes):
            return []
    elif sorted(base_classes) == sorted(classes):
        order = torch.tensor([base_classes.index(name) for name in classes])
        for key in keys:
            state[key] = _reorder(state[key], _find_rows(key), order)
        return []
    for key in keys:
        del state[key]
    return keys


def _find_rows(key: str) -> _Rows | None:
    return next((pattern.rows for pattern in _PATTERNS if pattern.keys.fullmatch(key)), None)


def _reorder(tensor: Tensor, rows: _Rows | None, order: Tensor) -> Tensor:
    class_count = len(order)
    if rows is _Rows.CLASS_AND_BACKGROUND:
        return tensor[torch.cat([order, torch.tensor([class_count])])]
    if rows is _Rows.CLASS_BOX:
        return tensor.unflatten(0, (class_count, 4))[order].flatten(0, 1)
    if rows is _Rows.ANCHOR_CLASS:
        return tensor.unflatten(0, (-1, class_count))[:, order].flatten(0, 1)
    return tensor[order]
