"""What a comparison of two models tells. Values only; nothing here needs numpy."""

from enum import StrEnum

import msgspec

METHOD = 2
"""How differences are reckoned. To be counted up with every change after which another one would come out."""


class Verdict(StrEnum):
    """In words what a difference with its interval means, for the first of the two."""

    BETTER = "better"
    WORSE = "worse"
    NO_SIGNIFICANT_DIFFERENCE = "no significant difference"
    TOO_FEW_IMAGES = "too few images to tell"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """By how much one model is better than another on the same images.

    Attributes:
        figure: by name of `report.FIGURE_NAMES`.
        value: the first's figure less the second's; None where one of them cannot be had.
        low, high: bounds of its interval, from resamples of images that both models share.
        verdict: for the first.
        first, second: the figures themselves.
        image_count: images that were resampled.
        resamples: how many there were.
        reason: why there is no value, or why the verdict is no more than that; None where nothing is to be said.
    """

    figure: str
    value: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    first: float | None
    second: float | None
    image_count: int
    resamples: int
    reason: str | None = None


class DifferentPartsError(Exception):
    """Two evaluations are of different images, boxes or classes. The text says in what they differ."""
