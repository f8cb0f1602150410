"""Which of two models is better on the same images."""

from raven_scan.figures.difference import Difference
from raven_scan.figures.matches import Matches


def compare(
    first: Matches, second: Matches, figure: str = "map50", *, seed: int = 0, resamples: int = 1000
) -> Difference:
    """By how much the first is better than the second, by a paired bootstrap over their images.

    Raises:
        DifferentPartsError: they are not of the same images, true boxes and classes.
        ValueError: there is no such figure.
    """
    raise NotImplementedError
