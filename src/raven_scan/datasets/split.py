"""A split for a source that has none: 70 % train, 15 % valid, 15 % test; and how many images a share is."""

import hashlib

from raven_scan.datasets.types import Part

_VALID_SHARE = _TEST_SHARE = 0.15


def count_fraction(image_count: int, fraction: float) -> int:
    """How many of so many images a fraction is: to the nearest, and one at least where there are any."""
    return min(image_count, max(1, round(image_count * fraction)))


def split_images(digests: list[str], has_boxes: list[bool], seed: int) -> list[Part]:
    """Assign every image to a part by its content and the seed, whatever its name and place.

    Images of the same content go to the same part. Images with and without boxes are split each for themselves.

    Args:
        digests: sha256 of each image.
        has_boxes: of each image.
        seed: another seed gives another split.
    """
    with_boxes = {digest for digest, has in zip(digests, has_boxes, strict=True) if has}
    assigned: dict[str, Part] = {}
    for group in (with_boxes, set(digests) - with_boxes):
        order = sorted(group, key=lambda digest: hashlib.sha256(f"{seed}:{digest}".encode()).digest())
        valid_count, test_count = _share(len(order), _VALID_SHARE), _share(len(order), _TEST_SHARE)
        for position, digest in enumerate(order):
            if position < valid_count:
                assigned[digest] = Part.VALID
            elif position < valid_count + test_count:
                assigned[digest] = Part.TEST
            else:
                assigned[digest] = Part.TRAIN
    return [assigned[digest] for digest in digests]


def _share(count: int, share: float) -> int:
    """At least one image of three or more."""
    return max(round(count * share), 1) if count >= 3 else 0
