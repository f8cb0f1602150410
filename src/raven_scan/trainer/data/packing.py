"""From pixels and boxes to a sample as MMDetection's models take it."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms.base import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData
from numpy.typing import NDArray


def pack_sample(
    results: dict[str, Any],
    pixels: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    kept: NDArray[np.bool_],
    *,
    side: int,
    pad_value: int,
    meta_keys: Sequence[str],
) -> dict[str, Any]:
    """What MMDetection's `Pad` and `PackDetInputs` make of it.

    Args:
        results: has `gt_bboxes_labels` int64 (B,), `gt_ignore_flags` bool (B,), and what `meta_keys` names.
        pixels: uint8 (H, W, 3), no side longer than `side`.
        boxes: float32 (B, 4): x1 y1 x2 y2 in their pixels.
        kept: bool (B,): boxes that belong to the sample.
        side: of the square that is filled up with `pad_value`.
        pad_value: of each channel.
        meta_keys: names of what the sample tells of itself.
    """
    results["img_shape"] = (side, side)
    labels, ignored = results["gt_bboxes_labels"], results["gt_ignore_flags"]
    sample = DetDataSample()
    sample.gt_instances = make_instances(boxes, labels, kept & ~ignored)
    sample.ignored_instances = make_instances(boxes, labels, kept & ignored)
    sample.set_metainfo({key: results[key] for key in meta_keys if key in results})
    return {"inputs": separate_channels(pixels, side, pad_value), "data_samples": sample}


def make_instances(
    boxes: NDArray[np.float32], labels: NDArray[np.int64], chosen: NDArray[np.bool_] | slice
) -> InstanceData:
    instances = InstanceData()
    instances.bboxes = HorizontalBoxes(torch.from_numpy(boxes[chosen]), clone=False)
    instances.labels = torch.from_numpy(labels[chosen])
    return instances


def separate_channels(pixels: NDArray[np.uint8], side: int, pad_value: int) -> torch.Tensor:
    """Pixels (H, W, 3) as uint8 (3, side, side), filled up to the right and below."""
    height, width = pixels.shape[:2]
    channels = np.empty((3, side, side), np.uint8)
    channels[:, height:] = pad_value
    channels[:, :height, width:] = pad_value
    cv2.split(pixels, [channel[:height, :width] for channel in channels])
    return torch.from_numpy(channels)


@TRANSFORMS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class PackFittedImage(BaseTransform):
    """Pack an image that was fit into a square when it was loaded, as after MMDetection's `Resize`.

    Args:
        side: of the square.
        pad_value: of each channel, where the image does not fill it.
        meta_keys: as of `PackDetInputs`.
        min_box_side_px: boxes whose sides are not longer are left out; None keeps them all.
    """

    def __init__(
        self, side: int, pad_value: int, meta_keys: Sequence[str], min_box_side_px: int | None = None
    ) -> None:
        self._side = side
        self._pad_value = pad_value
        self._meta_keys = tuple(meta_keys)
        self._min_box_side_px = min_box_side_px

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        pixels = results["img"]
        height, width = pixels.shape[:2]
        frame_height, frame_width = results["frame_shape"]
        results["scale_factor"] = (width / frame_width, height / frame_height)
        boxes = rescale_boxes(results["gt_bboxes"].tensor.numpy(), results["scale_factor"])
        clip_boxes(boxes, height, width)
        kept = np.ones(len(boxes), np.bool_)
        if self._min_box_side_px is not None:
            kept = find_longer_boxes(boxes, self._min_box_side_px)
        return pack_sample(
            results,
            pixels,
            boxes,
            kept,
            side=self._side,
            pad_value=self._pad_value,
            meta_keys=self._meta_keys,
        )


def rescale_boxes(boxes: NDArray[np.float32], scale_factor: tuple[float, float]) -> NDArray[np.float32]:
    """Boxes (B, 4) times (x, y, x, y), in float32 as MMDetection does it."""
    return boxes * np.array(scale_factor * 2, np.float32)


def clip_boxes(boxes: NDArray[np.float32], height: int, width: int) -> None:
    """Cut boxes (B, 4) to an image, in place."""
    np.clip(boxes[:, 0::2], 0, width, out=boxes[:, 0::2])
    np.clip(boxes[:, 1::2], 0, height, out=boxes[:, 1::2])


def find_inner_boxes(boxes: NDArray[np.float32], height: int, width: int) -> NDArray[np.bool_]:
    """Which boxes (B, 4) lie in an image at least in part."""
    return (boxes[:, 0] < width) & (boxes[:, 1] < height) & (boxes[:, 2] > 0) & (boxes[:, 3] > 0)


def find_longer_boxes(boxes: NDArray[np.float32], side_px: int) -> NDArray[np.bool_]:
    """Which boxes (B, 4) have sides that are longer than this."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return (sides[:, 0] > side_px) & (sides[:, 1] > side_px)
