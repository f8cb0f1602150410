"""A part of a split as an MMDetection data set."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
import torch
from mmdet.registry import DATASETS
from mmdet.structures.bbox import HorizontalBoxes
from torch.utils.data import Dataset

from raven_scan.trainer.data.coco_columns import read_coco_columns
from raven_scan.trainer.data.image_cache import ImageCache
from raven_scan.trainer.data.image_loading import LoadedSize, LoadRavenImage
from raven_scan.trainer.data.loading_marks import LoadingMarks
from raven_scan.trainer.data.sample_randomness import seeded_for_sample
from raven_scan.trainer.data.transforms import apply_transforms, build_transforms

_MOSAIC_PARTNERS = 3


@DATASETS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class RavenCocoDataset(Dataset[dict[str, Any]]):
    """Images and boxes of a part, through MMDetection's transforms.

    A key is an index, or (epoch, index) as `RavenEpochSampler` gives it. Everything random in a sample comes from
    (seed, epoch, index): neither the process that makes it nor the samples before it matter. Images without boxes
    are samples like any other.

    Attributes:
        metainfo: `classes` in the order of the labels; MMDetection's evaluators read it.
        pipeline: transforms of every sample, after loading.
        mosaic: transforms that come first while `epoch < mosaic_epochs`; they find three more images, drawn for this
            sample, under `mix_results`, and each is loaded when it is looked at.

    Args:
        needed_px, fitted_px: how large images are loaded, see `LoadedSize`.
        cache: `folder` and `largest_bytes` of the `ImageCache` that keeps loaded images; None for none.
    """

    def __init__(
        self,
        folder: str,
        metainfo: dict[str, Any],
        pipeline: list[dict[str, Any]],
        *,
        seed: int = 0,
        mosaic: list[dict[str, Any]] | None = None,
        mosaic_epochs: int = 0,
        test_mode: bool = False,
        needed_px: int | None = None,
        fitted_px: int | None = None,
        cache: dict[str, Any] | None = None,
    ) -> None:
        self.metainfo = {"classes": tuple(metainfo["classes"])}
        self.test_mode = test_mode
        self._folder = Path(folder)
        self._columns = read_coco_columns(self._folder, list(metainfo["classes"]))
        self._load = LoadRavenImage(
            self._columns.pixel_rules,
            size=LoadedSize(needed_px, fitted_px),
            cache=ImageCache(Path(cache["folder"]), cache["largest_bytes"]) if cache else None,
        )
        self.pipeline = build_transforms(pipeline)
        self.mosaic = build_transforms(mosaic or [])
        self.mosaic_epochs = mosaic_epochs
        self._seed = seed
        self._marks = LoadingMarks()

    def __len__(self) -> int:
        return len(self._columns.file_names)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        with seeded_for_sample(self._seed, epoch, index):
            results = self._load_sample(index)
            if self.mosaic and epoch < self.mosaic_epochs:
                partners = [
                    random.randrange(len(self))  # noqa: S311 - augmentation
                    for _ in range(_MOSAIC_PARTNERS)
                ]
                results["mix_results"] = _LoadedWhenNeeded(self._load_sample, partners)
                results = apply_transforms(self.mosaic, results)
                results.pop("mix_results", None)
            results = apply_transforms(self.pipeline, results)
        self._marks.clear()
        return results

    def get_data_info(self, index: int) -> dict[str, Any]:
        """What is known of an image before it is decoded, under MMDetection's names."""
        columns = self._columns
        boxes = slice(int(columns.offsets[index]), int(columns.offsets[index + 1]))
        height, width = (int(side) for side in columns.sizes[index])
        return {
            "img_id": int(columns.image_ids[index]),
            "img_path": str(self._folder / columns.file_names[index]),
            "height": height,
            "width": width,
            "exif_orientation": int(columns.exif_orientations[index]),
            "gt_bboxes": HorizontalBoxes(torch.from_numpy(columns.boxes[boxes].copy())),
            "gt_bboxes_labels": columns.labels[boxes].copy(),
            "gt_ignore_flags": columns.crowds[boxes].copy(),
            "sample_idx": index,
        }

    def count_boxes(self, image_side_px: float, smallest_px: float) -> int:
        """Boxes that are no crowds and have sides longer than this, where images are fit into a square."""
        columns = self._columns
        rows = np.repeat(np.arange(len(self)), np.diff(columns.offsets))
        scales = image_side_px / columns.sizes[rows].max(axis=1, initial=1)
        sides = (columns.boxes[:, 2:] - columns.boxes[:, :2]) * scales[:, None]
        return int(((sides > smallest_px).all(axis=1) & ~columns.crowds).sum())

    def list_being_loaded(self) -> list[str]:
        """File names of the images that processes are at, or were at when they ended."""
        return [self._columns.file_names[index] for index in self._marks.list_indices()]

    def _load_sample(self, index: int) -> dict[str, Any]:
        self._marks.set(index)
        return self._load.transform(self.get_data_info(index))


class _LoadedWhenNeeded(Sequence[dict[str, Any]]):
    """Samples by index; a mosaic is made of every other image only, and the rest would be decoded for nothing."""

    def __init__(self, load: Callable[[int], dict[str, Any]], indices: list[int]) -> None:
        self._load = load
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, position: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, position: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, position: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(position, slice):
            return [self._load(index) for index in self._indices[position]]
        return self._load(self._indices[position])

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # MMDetection's `Mosaic` copies all that it is given.
        return self
