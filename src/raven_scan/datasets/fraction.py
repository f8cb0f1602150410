"""A part of a version's training images, for a cheap first try: seeded, stratified by class, and nested.

All images are put in one order, and a fraction is the beginning of it; so a smaller one is within a larger one. The
order begins with images that together show every class. From then on the next image is of the stratum whose deadline
comes first, where a stratum is the images of a class, or those without boxes: of `n` images it is due `n` times its
share. Where no image is in two strata, each stays within one image of its share, from where every stratum is due one
(Baruah and others, Proportionate progress, Algorithmica 15, 1996). Of images with several classes, the one is taken
that brings its strata closest to their shares.
"""

import hashlib
from collections.abc import Iterator
from itertools import islice

import numpy as np
import polars as pl
from numpy.typing import NDArray

from raven_scan.datasets.content import VersionContent
from raven_scan.datasets.split import count_fraction
from raven_scan.datasets.types import Part
from raven_scan.kernel.errors import Invalid

_COMPARED = 32
_BACKGROUND, _CROWDS_ALONE = -1, -2


def choose_fraction(content: VersionContent, fraction: float, seed: int) -> NDArray[np.int64]:
    """Choose training images.

    Args:
        content: of the version.
        fraction: of its training images, in (0, 1].
        seed: another seed gives another choice.

    Returns:
        int64 (K,): rows of `content.images`, ascending, all of the training part; K by `count_fraction`. Every class
        that has boxes there is in them, where K is not less than the number of these classes.

    Raises:
        Invalid: the fraction is out of its bounds.
    """
    if not 0 < fraction <= 1:
        raise Invalid(
            "dataset.bad_fraction",
            f"The fraction {fraction} is not above 0 and at most 1.",
            hint="Give a fraction as 0.1, or 1 for all training images.",
            parameters={"fraction": fraction},
        )
    rows = np.flatnonzero((content.images["part"] == Part.TRAIN.value).to_numpy())
    count = count_fraction(len(rows), fraction)
    if count == len(rows):
        return rows
    digests = content.images["digest"].gather(rows).to_list()
    order = sorted(
        range(len(rows)), key=lambda index: hashlib.sha256(f"{seed}:{digests[index]}".encode()).digest()
    )
    strata = _list_strata(content, rows)
    chosen = _order_images([strata[index] for index in order], count)
    return np.sort(rows[[order[position] for position in chosen]])


def take_fraction(content: VersionContent, fraction: float, seed: int) -> VersionContent:
    """The content with a fraction of its training images; the other parts are whole."""
    parts = content.images["part"].to_numpy()
    is_kept = parts != Part.TRAIN.value
    is_kept[choose_fraction(content, fraction, seed)] = True
    if is_kept.all():
        return content
    new_row = np.cumsum(is_kept) - 1
    of_kept = content.boxes.filter(pl.Series(is_kept[content.boxes["image"].to_numpy()], dtype=pl.Boolean))
    return VersionContent(
        classes=content.classes,
        pixel_rules=content.pixel_rules,
        images=content.images.filter(pl.Series(is_kept)),
        boxes=of_kept.with_columns(pl.Series("image", new_row[of_kept["image"].to_numpy()], dtype=pl.Int64)),
    )


def _list_strata(content: VersionContent, rows: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Of each row: its classes; or, where it has none, that it is background, or has crowds alone."""
    found: list[set[int]] = [set[int]() for _ in range(content.images.height)]
    has_crowd = np.zeros(content.images.height, np.bool_)
    # By columns: a row at a time costs three times as much, and there are millions.
    images: list[int] = content.boxes["image"].to_list()
    labels: list[int] = content.boxes["label"].to_list()
    crowds: list[bool] = content.boxes["crowd"].to_list()
    for image, label, crowd in zip(images, labels, crowds, strict=True):
        if crowd:
            has_crowd[image] = True
        else:
            found[image].add(label)
    kept: list[int] = rows.tolist()
    return [
        tuple(sorted(found[row])) or ((_CROWDS_ALONE,) if has_crowd[row] else (_BACKGROUND,)) for row in kept
    ]


def _order_images(strata: list[tuple[int, ...]], count: int) -> list[int]:
    """The first `count` positions of the order; `strata` of each image, in the order that the seed gives."""
    names = sorted({name for of_image in strata for name in of_image})
    place = {name: index for index, name in enumerate(names)}
    images = [[place[name] for name in of_image] for of_image in strata]
    members: list[list[int]] = [[] for _ in names]
    for position, of_image in enumerate(images):
        for stratum in of_image:
            members[stratum].append(position)
    classes = [place[name] for name in names if name not in (_BACKGROUND, _CROWDS_ALONE)]
    chosen = dict.fromkeys(_cover_classes(classes, images, members))
    sizes = np.array([len(each) for each in members], np.int64)
    taken = np.zeros(len(names), np.int64)
    for position in chosen:
        taken[images[position]] += 1
    shelves = [_Shelf(each, chosen) for each in members]
    while len(chosen) < count:
        # What each stratum lacks after this image, times the number of all images: whole numbers have no rounding.
        lacks = sizes * (len(chosen) + 1) - taken * len(images)
        deadlines = -(-(taken + 1) * len(images) // sizes)
        open_strata = taken < sizes
        is_due = open_strata & (lacks > 0)
        if is_due.any():
            stratum = int(np.where(is_due, deadlines, np.iinfo(np.int64).max).argmin())
        else:
            # Images of many classes have run ahead of all shares.
            stratum = int(np.where(open_strata, lacks, np.iinfo(np.int64).min).argmax())
        gains: list[int] = (2 * lacks - len(images)).tolist()
        best = _find_most_gaining(shelves[stratum].list_first(), images, gains)
        chosen[best] = None
        taken[images[best]] += 1
    return list(chosen)[:count]


def _find_most_gaining(positions: list[int], images: list[list[int]], gains: list[int]) -> int:
    """By how much nearer each of its strata comes to its share, in squares."""
    return max(positions, key=lambda position: sum(gains[stratum] for stratum in images[position]))


def _cover_classes(classes: list[int], images: list[list[int]], members: list[list[int]]) -> Iterator[int]:
    """Images that show all of the classes, no more than there are classes; the rarest class first."""
    missing = set(classes)
    for stratum in sorted(classes, key=lambda each: len(members[each])):
        if stratum in missing:
            shown = [len(missing.intersection(images[position])) for position in members[stratum]]
            best = members[stratum][shown.index(max(shown))]
            missing.difference_update(images[best])
            yield best


class _Shelf:
    """The images of a stratum that are not chosen; the first few are compared, however many there are."""

    def __init__(self, positions: list[int], chosen: dict[int, None]) -> None:
        self._rest = iter(positions)
        self._first: list[int] = []
        self._chosen = chosen

    def list_first(self) -> list[int]:
        self._first = [position for position in self._first if position not in self._chosen]
        fresh = (position for position in self._rest if position not in self._chosen)
        self._first += islice(fresh, _COMPARED - len(self._first))
        return self._first
