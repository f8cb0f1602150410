"""The images that a converted model is checked on, as a network takes them."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from raven_scan.trainer.data.coco_columns import ANNOTATIONS_FILE, BadPartError, read_coco_columns
from raven_scan.trainer.data.image_loading import LoadRavenImage
from raven_scan.trainer.data.transforms import apply_transforms
from raven_scan.trainer.evaluation.coco_metric import read_annotations
from raven_scan.wire.spec import PartSpec

_GENERATED = 16
_SIDES_PX = (240, 640)
_SHAPES = 12


def count_images(part: PartSpec | None, most: int) -> int:
    return _GENERATED if part is None else min(most, part.image_count)


def iterate_batches(
    part: PartSpec | None, transforms: list[Any], most: int, batch_size: int
) -> Iterator[list[dict[str, Any]]]:
    """Samples as MMDetection's `PackDetInputs` makes them; the first batch is of one image.

    Args:
        part: whose images, spread evenly where there are more than `most`; None for generated ones.
        transforms: of the model's test images, after loading.
        most: images of the part.
        batch_size: of all but the first batch and the last.

    Raises:
        BadPartError, BadImageError: the part cannot be read.
    """
    loaded = _generate() if part is None else _read(part, most)
    samples = (apply_transforms(transforms, results) for results in loaded)
    size = 1
    while batch := list(islice(samples, size)):
        yield batch
        size = batch_size


def _read(part: PartSpec, most: int) -> Iterator[dict[str, Any]]:
    # Whatever its classes are: only the pixels are asked for.
    try:
        categories = read_annotations(part.folder / ANNOTATIONS_FILE)["categories"]
        names = [str(category["name"]) for category in categories]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadPartError(f"{part.folder / ANNOTATIONS_FILE} cannot be read: {error!r}.") from error
    columns = read_coco_columns(part.folder, names)
    load = LoadRavenImage(columns.pixel_rules)
    count = len(columns.file_names)
    for row in np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int)).tolist():
        height, width = (int(side) for side in columns.sizes[row])
        yield load.transform(
            {
                "img_id": int(columns.image_ids[row]),
                "img_path": str(part.folder / columns.file_names[row]),
                "height": height,
                "width": width,
                "exif_orientation": int(columns.exif_orientations[row]),
            }
        )


def _generate() -> Iterator[dict[str, Any]]:
    """Coloured rectangles on noise: the same ones every time."""
    random = np.random.default_rng(0)
    for number in range(_GENERATED):
        height, width = (int(side) for side in random.integers(*_SIDES_PX, 2))
        pixels = random.integers(80, 150, (height, width, 3)).astype(np.uint8)
        for _ in range(_SHAPES):
            x, y = int(random.integers(0, width - 8)), int(random.integers(0, height - 8))
            right, lower = x + int(random.integers(8, width)), y + int(random.integers(8, height))
            pixels[y:lower, x:right] = pixels[y:lower, x:right] // 2 + random.integers(
                0, 128, 3, dtype=np.uint8
            )
        yield {
            "img_id": number,
            "img_path": f"generated {number}",
            "img": pixels,
            "img_shape": (height, width),
            "ori_shape": (height, width),
        }
