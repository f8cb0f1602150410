"""Checks of boxes, by columns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OVERRUN_PX = 2.0
OVERRUN_SHARE = 0.01
_NOISE_PX = 1e-6


@dataclass(frozen=True, slots=True)
class CheckedBoxes:
    """B boxes against their images.

    Attributes:
        boxes: float64 (B, 4): x y w h, inside their image.
        areas: float64 (B,): given, or width times height; never more than that where the box was clipped.
        clipped: bool (B,): overran by more than noise.
        not_finite, no_area, outside: bool (B,): refused, each box for one reason.
    """

    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    clipped: NDArray[np.bool_]
    not_finite: NDArray[np.bool_]
    no_area: NDArray[np.bool_]
    outside: NDArray[np.bool_]


def check_boxes(
    boxes: NDArray[np.float64], areas: NDArray[np.float64], sizes: NDArray[np.float64]
) -> CheckedBoxes:
    """Clip what overruns by rounding, and tell what cannot be kept.

    A box may overrun each side by the larger of 2 px and 1 % of the image's size along that side.

    Args:
        boxes: float64 (B, 4): x y w h in pixels of the image.
        areas: float64 (B,): NaN or not positive where it has to be derived.
        sizes: float64 (B, 2): width, height of each box's image.
    """
    finite = _every(np.isfinite(boxes))
    known = np.where(finite[:, None], boxes, 0.0)
    low, high = known[:, :2], known[:, :2] + known[:, 2:]
    empty = finite & _any(known[:, 2:] <= 0)
    overrun = np.maximum(-low, high - sizes).max(axis=1, initial=-np.inf)
    allowed = np.maximum(OVERRUN_PX, OVERRUN_SHARE * sizes)
    outside = finite & ~empty & _any((-low > allowed) | (high - sizes > allowed))
    inner_low, inner_high = np.clip(low, 0, sizes), np.clip(high, 0, sizes)
    overruns = _any((low < 0) | (high > sizes))
    # A box that fits keeps its very numbers: (x + w) - x is not w.
    inner = np.where(overruns[:, None], np.hstack([inner_low, inner_high - inner_low]), known) + 0.0
    lost = finite & ~empty & ~outside & _any(inner[:, 2:] <= 0)
    largest = inner[:, 2] * inner[:, 3]
    given = np.isfinite(areas) & (areas > 0)
    derived = np.where(given, np.where(overruns, np.minimum(areas, largest), areas), largest)
    return CheckedBoxes(
        boxes=inner,
        areas=derived,
        clipped=finite & (overrun > _NOISE_PX),
        not_finite=~finite,
        no_area=empty | lost,
        outside=outside,
    )


def _any(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(flags.any(axis=1), np.bool_)


def _every(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(flags.all(axis=1), np.bool_)
