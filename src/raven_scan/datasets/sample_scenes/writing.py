"""Writes drawn scenes as a prepared dataset: `train|valid|test`, each with images and `annotations_coco.json`."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import cv2
import msgspec
import numpy as np

from raven_scan.datasets.sample_scenes.scene import Scene, draw_scene
from raven_scan.kernel.errors import Conflict, Invalid
from raven_scan.kernel.progress import Progress, ignore_progress

CLASS_NAME = "waste"
ANNOTATIONS_FILE = "annotations_coco.json"
IMAGE_COUNT_MIN = 8
_VALID_SHARE = 0.15
_TEST_SHARE = 0.15
_BACKGROUND_SHARE = 0.12
_JPEG_QUALITY = 90
# Beyond any scene's index, so that no scene shares it.
_BACKGROUND_STREAM = 2**31


@dataclass(frozen=True, slots=True)
class SampleDataset:
    """What was written.

    Attributes:
        image_counts: images by part (`train`, `valid`, `test`).
        box_count: boxes over all parts.
        background_count: images without waste over all parts.
    """

    folder: Path
    image_counts: Mapping[str, int]
    box_count: int
    background_count: int

    @property
    def image_count(self) -> int:
        return sum(self.image_counts.values())


def make_sample_dataset(
    folder: Path,
    *,
    seed: int = 0,
    image_count: int = 160,
    image_size: int = 512,
    progress: Progress = ignore_progress,
) -> SampleDataset:
    """Draws scenes and writes them as a dataset in COCO form with a split and one class, `waste`.

    The same seed gives the same pixels on every machine. The folder appears whole or not at all.

    Args:
        seed: of all that is drawn.
        folder: must not exist yet; its parent is made where it is missing.
        image_count: scenes over all parts, at least 8: about 70 % for training, 15 % for validation and testing each,
            about 12 % of each part without waste.
        image_size: side of the square images, pixels, 128 to 2048.
        progress: is told of each image.

    Raises:
        Conflict: `dataset.sample_folder_exists`.
        Invalid: `dataset.sample_out_of_bounds`.
    """
    if image_count < IMAGE_COUNT_MIN or not 128 <= image_size <= 2048:
        raise Invalid(
            "dataset.sample_out_of_bounds",
            f"A sample dataset has at least {IMAGE_COUNT_MIN} images of 128 to 2048 pixels a side.",
            hint="Ask for more images, or for another size.",
            parameters={"image_count": image_count, "image_size": image_size},
        )
    if os.path.lexists(folder):
        raise Conflict(
            "dataset.sample_folder_exists",
            f"The folder {folder} exists already.",
            hint="Name a folder that does not exist yet, or delete this one.",
            parameters={"folder": str(folder)},
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        dataset = _write_parts(temporary, folder, seed, image_count, image_size, progress)
        temporary.chmod(0o755)
        _sync(temporary)
        temporary.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return dataset


def _write_parts(
    temporary: Path, folder: Path, seed: int, image_count: int, image_size: int, progress: Progress
) -> SampleDataset:
    valid_count = max(1, round(image_count * _VALID_SHARE))
    test_count = max(1, round(image_count * _TEST_SHARE))
    image_counts = {
        "train": image_count - valid_count - test_count,
        "valid": valid_count,
        "test": test_count,
    }
    box_count = background_count = done = 0
    for part_index, (part, count) in enumerate(image_counts.items()):
        part_folder = temporary / part
        part_folder.mkdir()
        backgrounds = _choose_backgrounds((seed, part_index), count)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for index in range(count):
            pile_count = 0 if index in backgrounds else None
            scene = draw_scene((seed, part_index, index), image_size, pile_count=pile_count)
            name = f"{part}_{index + 1:04d}.jpg"
            _write_synced(part_folder / name, _encode_jpeg(scene))
            images.append({"id": index + 1, "file_name": name, "width": image_size, "height": image_size})
            annotations += _describe_boxes(scene, image_id=index + 1, first_id=len(annotations) + 1)
            done += 1
            progress("images", done, image_count)
        document = {
            "info": {"description": f"Drawn scenes, seed {seed}, part {part}"},
            "categories": [{"id": 1, "name": CLASS_NAME}],
            "images": images,
            "annotations": annotations,
        }
        _write_synced(part_folder / ANNOTATIONS_FILE, msgspec.json.encode(document))
        _sync(part_folder)
        box_count += len(annotations)
        background_count += len(backgrounds)
    return SampleDataset(folder, image_counts, box_count, background_count)


def _choose_backgrounds(seed: tuple[int, ...], count: int) -> frozenset[int]:
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((*seed, _BACKGROUND_STREAM))))
    chosen = rng.permutation(count)[: round(count * _BACKGROUND_SHARE)]
    return frozenset(int(index) for index in chosen)


def _describe_boxes(scene: Scene, *, image_id: int, first_id: int) -> list[dict[str, Any]]:
    return [
        {
            "id": first_id + row,
            "image_id": image_id,
            "category_id": 1,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
        }
        for row, box in enumerate(scene.boxes.tolist())
    ]


def _encode_jpeg(scene: Scene) -> bytes:
    done, content = cv2.imencode(
        ".jpg", np.ascontiguousarray(scene.image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    if not done:
        raise RuntimeError("OpenCV could not encode an image as JPEG.")
    return content.tobytes()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
