"""Rotation by a multiple of 90 degrees."""

import random
from typing import Any

import numpy as np
from mmcv.transforms.base import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes


@TRANSFORMS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class RandomQuarterTurn(BaseTransform):
    """Turn image and boxes by 0, 90, 180 or 270 degrees anticlockwise, each as likely.

    Overhead images have no up, so that all four are views as good as the one taken.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        for _ in range(random.randrange(4)):  # noqa: S311 - augmentation
            _turn_anticlockwise(results)
        return results


def _turn_anticlockwise(results: dict[str, Any]) -> None:
    width = results["img"].shape[1]
    results["img"] = np.ascontiguousarray(np.rot90(results["img"]))
    results["img_shape"] = results["img"].shape[:2]
    boxes = results["gt_bboxes"].tensor
    # Anticlockwise, the point (x, y) goes to (y, width - x).
    turned = boxes[:, [1, 0, 3, 2]]
    turned[:, 1] = width - boxes[:, 2]
    turned[:, 3] = width - boxes[:, 0]
    results["gt_bboxes"] = HorizontalBoxes(turned)
