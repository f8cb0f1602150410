"""What a reproduction comes to."""

from enum import StrEnum

TOLERANCE = 0.02
"""Figures in 0-1 that differ by no more are taken for the same, where weights are not. Sums of floating-point numbers
come out differently on another device, or in another order; training lets such differences grow."""


class ReproductionVerdict(StrEnum):
    """Identical: the same weights, bit by bit. Within: other weights, but every figure within the tolerance."""

    IDENTICAL = "identical"
    WITHIN_TOLERANCE = "within_tolerance"
    DIFFERENT = "different"
    NOT_COMPARABLE = "not_comparable"
    PENDING = "pending"
