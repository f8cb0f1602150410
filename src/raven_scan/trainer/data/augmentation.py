"""Augmentation of a training sample in one go, without a copy that is not needed.

Draws and results are those of MMDetection's `RandomFlip`, `RandomResize`, `RandomCrop`, `YOLOXHSVRandomAug`, `Pad`,
`FilterAnnotations` and `PackDetInputs` one after another, behind our `RandomQuarterTurn`: tests hold them equal.
"""

import random
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms.base import BaseTransform
from mmdet.registry import TRANSFORMS
from numpy.typing import NDArray

from raven_scan.trainer.data.image_loading import scale_to_fit
from raven_scan.trainer.data.packing import (
    clip_boxes,
    find_inner_boxes,
    find_longer_boxes,
    pack_sample,
    rescale_boxes,
)

_HUES = 180
# By quarters of a turn, anticlockwise.
_ROTATIONS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


@TRANSFORMS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class RavenAugmentation(BaseTransform):
    """Turn, flip, scale, crop, colour and pack.

    The image may be smaller than its boxes' frame, `frame_shape`: what is made of it is what would be made of the
    whole one.

    Args:
        side: of the square that is cut out.
        scales: smallest and largest, beside the one at which the image fits into the square.
        colour_deltas: largest changes of hue (of 180), saturation and value (of 255).
        pad_value: of each channel, where the image does not fill the square.
        min_box_side_px: boxes whose sides are not longer, after cropping, are left out.
        meta_keys: as of `PackDetInputs`.
        turns: whether quarter turns come first.
    """

    def __init__(
        self,
        side: int,
        scales: Sequence[float],
        colour_deltas: Sequence[int],
        pad_value: int,
        min_box_side_px: int,
        meta_keys: Sequence[str],
        turns: bool,  # noqa: FBT001 - of a configuration
    ) -> None:
        self._side = side
        self._smallest, self._largest = scales
        self._colour_deltas = list(colour_deltas)
        self._pad_value = pad_value
        self._min_box_side_px = min_box_side_px
        self._meta_keys = tuple(meta_keys)
        self._turns = turns

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        pixels: NDArray[np.uint8] = results["img"]
        boxes: NDArray[np.float32] = results["gt_bboxes"].tensor.numpy()
        height, width = results["frame_shape"]
        if self._turns:
            quarters = random.randrange(4)  # noqa: S311 - augmentation
            pixels = _turn_pixels(pixels, quarters)
            for _ in range(quarters):
                boxes = _turn_boxes(boxes, width)
                height, width = width, height
        is_flipped = np.random.random_sample() < 0.5  # noqa: NPY002 - as MMDetection's transforms draw
        if is_flipped:
            pixels = np.asarray(cv2.flip(pixels, 1), dtype=np.uint8)
            boxes = _flip_boxes(boxes, width)
        results["flip"] = is_flipped
        results["flip_direction"] = "horizontal" if is_flipped else None
        scaled_height, scaled_width = self._draw_size(height, width)
        pixels = np.asarray(
            cv2.resize(pixels, (scaled_width, scaled_height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8
        )
        results["scale_factor"] = (scaled_width / width, scaled_height / height)
        boxes = rescale_boxes(boxes, results["scale_factor"])
        clip_boxes(boxes, scaled_height, scaled_width)
        top, left, height, width = self._draw_window(scaled_height, scaled_width)
        boxes = boxes + np.array((-left, -top) * 2, np.float32)
        clip_boxes(boxes, height, width)
        kept = find_inner_boxes(boxes, height, width) & find_longer_boxes(boxes, self._min_box_side_px)
        pixels = _change_colours(pixels[top : top + height, left : left + width], self._draw_colours())
        return pack_sample(
            results,
            pixels,
            boxes,
            kept,
            side=self._side,
            pad_value=self._pad_value,
            meta_keys=self._meta_keys,
        )

    def _draw_size(self, height: int, width: int) -> tuple[int, int]:
        ratio = np.random.random_sample() * (self._largest - self._smallest) + self._smallest  # noqa: NPY002
        return scale_to_fit(height, width, int(self._side * ratio))

    def _draw_window(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, left, height and width."""
        window_height, window_width = min(self._side, height), min(self._side, width)
        top = int(np.random.randint(0, height - window_height + 1))  # noqa: NPY002
        left = int(np.random.randint(0, width - window_width + 1))  # noqa: NPY002
        return top, left, window_height, window_width

    def _draw_colours(self) -> NDArray[np.int16]:
        changes = np.random.uniform(-1, 1, 3) * self._colour_deltas  # noqa: NPY002
        return (changes * np.random.randint(0, 2, 3)).astype(np.int16)  # noqa: NPY002


def _turn_pixels(pixels: NDArray[np.uint8], quarters: int) -> NDArray[np.uint8]:
    if quarters == 0:
        return pixels
    return np.asarray(cv2.rotate(pixels, _ROTATIONS[quarters]), dtype=np.uint8)


def _turn_boxes(boxes: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    # Anticlockwise, the point (x, y) goes to (y, width - x).
    turned = boxes[:, [1, 0, 3, 2]]
    turned[:, 1] = width - boxes[:, 2]
    turned[:, 3] = width - boxes[:, 0]
    return turned


def _flip_boxes(boxes: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    flipped = boxes.copy()
    flipped[:, 0] = width - boxes[:, 2]
    flipped[:, 2] = width - boxes[:, 0]
    return flipped


def _change_colours(pixels: NDArray[np.uint8], changes: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Hue, saturation and value by so much more; through the HSV form also where nothing changes, which rounds."""
    values = np.arange(256, dtype=np.int16)[:, None] + changes
    np.clip(values[:, 1:], 0, 255, out=values[:, 1:])
    values[:, 0] %= _HUES
    hsv = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)
    if changes.any():
        hsv = cv2.LUT(hsv, values.astype(np.uint8)[None])
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), dtype=np.uint8)
