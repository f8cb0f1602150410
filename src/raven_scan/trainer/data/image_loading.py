"""From an image file to the pixels that a network sees."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms.base import BaseTransform
from mmdet.registry import TRANSFORMS


class BadImageError(Exception):
    """An image cannot be decoded, or is not of the size that its record says."""


@TRANSFORMS.register_module()
class LoadRavenImage(BaseTransform):
    """Decode `img_path` to uint8 (H, W, 3) BGR, in the frame that the boxes are in.

    Raises:
        BadImageError: the file cannot be decoded or has another size than its record.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        path = Path(results["img_path"])
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels is None:
            raise BadImageError(f"{path} cannot be decoded.")
        height, width = pixels.shape[:2]
        if (height, width) != (results["height"], results["width"]):
            raise BadImageError(
                f"{path} is {width} x {height}, but its record says {results['width']} x {results['height']}."
            )
        results["img"] = pixels
        results["img_shape"] = results["ori_shape"] = (height, width)
        return results
