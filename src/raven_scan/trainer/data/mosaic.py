"""Four images as one, with the draws and results of MMDetection's `Mosaic`, which copies each of them several times."""

from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms.base import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from numpy.typing import NDArray

from raven_scan.trainer.data.packing import clip_boxes, find_inner_boxes, rescale_boxes

_CENTRES = (0.5, 1.5)


@TRANSFORMS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class RavenMosaic(BaseTransform):
    """Put an image and the three of `mix_results` around a point of a square, each fit into half of its side.

    Images may be smaller than their boxes' frames, `frame_shape`.

    Args:
        side: half the side of the square.
        pad_value: of each channel, where no image is.
        probability: of a mosaic; otherwise the image stays as it is, and the three are not looked at.
    """

    def __init__(self, side: int, pad_value: int, probability: float) -> None:
        self._side = side
        self._pad_value = pad_value
        self._probability = probability

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        if np.random.uniform(0, 1) > self._probability:  # noqa: NPY002 - as MMDetection's transforms draw
            return results
        whole = 2 * self._side
        canvas = np.full((whole, whole, 3), self._pad_value, np.uint8)
        centre_x = int(np.random.uniform(*_CENTRES) * self._side)  # noqa: NPY002
        centre_y = int(np.random.uniform(*_CENTRES) * self._side)  # noqa: NPY002
        patches = [results, *(results["mix_results"][number] for number in range(3))]
        boxes = [
            self._paste(canvas, patch, centre_x, centre_y, is_right=bool(number % 2), is_lower=number >= 2)
            for number, patch in enumerate(patches)
        ]
        joined = np.concatenate(boxes)
        clip_boxes(joined, whole, whole)
        kept = find_inner_boxes(joined, whole, whole)
        results["img"] = canvas
        results["img_shape"] = results["frame_shape"] = (whole, whole)
        results["gt_bboxes"] = HorizontalBoxes(torch.from_numpy(joined[kept]), clone=False)
        for name in ("gt_bboxes_labels", "gt_ignore_flags"):
            results[name] = np.concatenate([patch[name] for patch in patches])[kept]
        return results

    def _paste(
        self,
        canvas: NDArray[np.uint8],
        patch: dict[str, Any],
        centre_x: int,
        centre_y: int,
        *,
        is_right: bool,
        is_lower: bool,
    ) -> NDArray[np.float32]:
        """Draw an image beside the centre, as much as there is room for; returns its boxes."""
        frame_height, frame_width = patch["frame_shape"]
        ratio = min(self._side / frame_height, self._side / frame_width)
        size = int(frame_width * ratio), int(frame_height * ratio)
        pixels = cv2.resize(patch["img"], size, interpolation=cv2.INTER_LINEAR)
        width, height = size
        left = centre_x if is_right else centre_x - width
        top = centre_y if is_lower else centre_y - height
        # Its window on the canvas; it may reach beyond that on the sides away from the centre.
        x1, y1 = max(left, 0), max(top, 0)
        x2, y2 = min(left + width, canvas.shape[1]), min(top + height, canvas.shape[0])
        canvas[y1:y2, x1:x2] = pixels[y1 - top : y2 - top, x1 - left : x2 - left]
        boxes = rescale_boxes(patch["gt_bboxes"].tensor.numpy(), (ratio, ratio))
        return boxes + np.array((left, top) * 2, np.float32)
