"""A fraction of the training images: how many, which, and what is laid out."""

import hashlib
import json
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from raven_scan.access.types import WORKER
from raven_scan.datasets.content import BOXES_SCHEMA, IMAGES_SCHEMA, VersionContent
from raven_scan.datasets.fraction import choose_fraction, take_fraction
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.split import count_fraction
from raven_scan.kernel.errors import Invalid
from raven_scan.pixels.rules import PixelRules

Import = Callable[..., Any]

CLASS_COUNT = 5
fractions = st.floats(0.001, 1)
seeds = st.integers(0, 2**31 - 1)
labels_of_image = st.sets(st.integers(0, CLASS_COUNT - 1), max_size=3)
of_many_classes = st.lists(labels_of_image, min_size=1, max_size=60)
of_one_class = st.lists(
    st.integers(-1, CLASS_COUNT - 1).map(lambda label: {label} - {-1}), min_size=1, max_size=150
)


def make_content(labels: list[set[int]], crowds: tuple[int, ...] = ()) -> VersionContent:
    """Training images with a box of each of their labels; `crowds` have a crowd of class 0 besides. And 3 others."""
    parts = ["train"] * len(labels) + ["valid", "valid", "test"]
    images = pl.DataFrame(
        [
            (part, f"{row:04}.jpg", hashlib.sha256(bytes([row % 256])).hexdigest(), 8, 8, 1, "JPEG", 3, 8, 99)
            for row, part in enumerate(parts)
        ],
        schema=IMAGES_SCHEMA,
        orient="row",
    )
    rows = [
        (row, label, False) for row, of_image in enumerate([*labels, {0}, {1}, {0}]) for label in of_image
    ]
    rows += [(row, 0, True) for row in crowds]
    boxes = pl.DataFrame(
        [(row, label, 1.0, 1.0, 2.0, 2.0, 4.0, crowd) for row, label, crowd in rows],
        schema=BOXES_SCHEMA,
        orient="row",
    )
    return VersionContent.arrange([f"c{i}" for i in range(CLASS_COUNT)], PixelRules(), images, boxes)


def choose(labels: list[set[int]], fraction: float, seed: int = 0) -> set[int]:
    return set(choose_fraction(make_content(labels), fraction, seed).tolist())


def count_classes(labels: list[set[int]], rows: set[int]) -> list[int]:
    return [sum(label in labels[row] for row in rows) for label in range(CLASS_COUNT)]


@given(st.integers(0, 10**7), fractions)
def test_a_fraction_is_of_the_nearest_size(image_count: int, fraction: float) -> None:
    count = count_fraction(image_count, fraction)
    assert min(1, image_count) <= count <= image_count
    assert abs(count - fraction * image_count) <= 0.5 or count == 1


@given(of_many_classes, fractions, fractions, seeds)
def test_a_smaller_fraction_is_within_a_larger_one(
    labels: list[set[int]], one: float, other: float, seed: int
) -> None:
    smaller, larger = (choose(labels, fraction, seed) for fraction in sorted((one, other)))
    assert smaller <= larger <= set(range(len(labels)))
    assert len(larger) == count_fraction(len(labels), max(one, other))
    assert larger == choose(labels, max(one, other), seed)


@given(of_many_classes, fractions, seeds)
def test_every_class_is_there_where_the_size_admits(
    labels: list[set[int]], fraction: float, seed: int
) -> None:
    chosen = choose(labels, fraction, seed)
    classes = set[int]().union(*labels)
    shown = set[int]().union(*(labels[row] for row in chosen))
    assert len(shown) >= min(len(chosen), len(classes))


@given(of_one_class, fractions, seeds)
def test_shares_are_kept_to_the_image(labels: list[set[int]], fraction: float, seed: int) -> None:
    """Where no image is of two classes, and every class is due an image, nothing is further off than one image."""
    chosen = choose(labels, fraction, seed)
    share = len(chosen) / len(labels)
    strata = [*count_classes(labels, set(range(len(labels)))), sum(not each for each in labels)]
    assume(all(count * share >= 1 for count in strata if count))
    found = [*count_classes(labels, chosen), sum(not labels[row] for row in chosen)]
    for count, of_chosen in zip(strata, found, strict=True):
        assert abs(of_chosen - count * share) < 1


@given(of_one_class, fractions, seeds)
def test_rare_classes_take_no_more_than_they_need(labels: list[set[int]], fraction: float, seed: int) -> None:
    """No class has more than its share, rounded up."""
    chosen = choose(labels, fraction, seed)
    share = len(chosen) / len(labels)
    whole = count_classes(labels, set(range(len(labels))))
    for count, of_chosen in zip(whole, count_classes(labels, chosen), strict=True):
        assert of_chosen <= max(1, ceil(count * share))


@given(of_many_classes, fractions, seeds)
def test_what_is_taken_is_whole(labels: list[set[int]], fraction: float, seed: int) -> None:
    """Every image that is kept has its boxes, the other parts are as they were, and the order is canonical."""
    content = make_content(labels, crowds=(0,))
    taken = take_fraction(content, fraction, seed)
    rows = choose_fraction(content, fraction, seed).tolist() + [len(labels) + other for other in range(3)]
    assert taken.images.equals(content.images[rows])
    columns = [name for name in BOXES_SCHEMA if name != "image"]
    for new, old in enumerate(rows):
        of_new = taken.boxes.filter(pl.col("image") == new).select(columns)
        assert of_new.equals(content.boxes.filter(pl.col("image") == old).select(columns))
    again = VersionContent.arrange(taken.classes, taken.pixel_rules, taken.images, taken.boxes)
    assert again.make_digest() == taken.make_digest()


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.25, 0.5])
def test_shares_of_images_of_many_classes(fraction: float) -> None:
    """As annotated scenes are: a few common classes together, rare ones beside them, some images empty."""
    random = np.random.default_rng(3)
    likelihoods = (0.5, 0.4, 0.2, 0.1, 0.04)
    labels = [
        {label for label, likelihood in enumerate(likelihoods) if random.random() < likelihood}
        for _ in range(2000)
    ]
    chosen = choose(labels, fraction)
    whole = [*count_classes(labels, set(range(2000))), sum(not each for each in labels)]
    found = [*count_classes(labels, chosen), sum(not labels[row] for row in chosen)]
    for count, of_chosen in zip(whole, found, strict=True):
        assert abs(of_chosen - count * fraction) <= 2


def test_another_seed_chooses_others() -> None:
    labels: list[set[int]] = [{row % 2} for row in range(100)]
    assert len({frozenset(choose(labels, 0.2, seed)) for seed in range(20)}) == 20


def test_images_with_crowds_alone_keep_their_share() -> None:
    labels: list[set[int]] = [{0}] * 40 + [set()] * 60
    content = make_content(labels, crowds=tuple(range(80, 100)))
    chosen = choose_fraction(content, 0.1, 0).tolist()
    assert [sum(low <= row < high for row in chosen) for low, high in ((0, 40), (40, 80), (80, 100))] == [
        4,
        4,
        2,
    ]


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5, float("nan")])
def test_fractions_that_are_none(fraction: float) -> None:
    with pytest.raises(Invalid) as refusal:
        choose_fraction(make_content([{0}]), fraction, 0)
    assert refusal.value.code == "dataset.bad_fraction"


def test_a_fraction_is_laid_out_and_told_apart(
    source: Any, import_source: Import, service: DatasetService, tmp_path: Path
) -> None:
    version = import_source(source)
    folder = tmp_path / "data"

    def read(part: str) -> Any:
        return json.loads((folder / part / "annotations_coco.json").read_text())

    layout = service.lay_out(WORKER, version.id, folder, fraction=0.5, seed=3)
    assert [layout.train.image_count, layout.valid.image_count, layout.test.image_count] == [2, 2, 2]
    train = read("train")
    assert (train["raven"]["fraction"], train["raven"]["seed"]) == (0.5, 3)
    assert [image["id"] for image in train["images"]] == [1, 2]
    assert [annotation["image_id"] for annotation in train["annotations"]] == [1, 2]
    assert {annotation["category_id"] for annotation in train["annotations"]} == {1, 2}
    assert all((folder / "train" / image["file_name"]).is_file() for image in train["images"])
    assert len(list((folder / "train").glob("*.jpg"))) == 2
    assert [len(read(part)["images"]) for part in ("valid", "test")] == [2, 2]
    # A layout of another fraction in its place is another layout.
    assert service.lay_out(WORKER, version.id, folder, fraction=0.25, seed=3).train.image_count == 1
    assert len(read("train")["images"]) == 1
    assert service.lay_out(WORKER, version.id, folder).train.image_count == 4
    assert len(read("train")["images"]) == 4
    assert "fraction" not in read("train")["raven"]
