"""From what a head predicts to boxes: MMDetection's coders, with sizes that a graph may leave open.

All boxes are float32 x1 y1 x2 y2 in pixels of the input.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

# MMDetection's default of `delta2bbox`: sides change by at most this factor.
_MOST_LOG_RATIO = abs(math.log(16 / 1000))


def make_points(height: int, width: int, stride: tuple[int, int], offset: float) -> Tensor:
    """Points of a feature map, row by row: float32 (height x width, 2), x y in pixels of the input.

    Source: `mmdet.models.task_modules.prior_generators.MlvlPointGenerator`.
    """
    x = (torch.arange(width).float() + offset) * stride[0]
    y = (torch.arange(height).float() + offset) * stride[1]
    return torch.stack([x[None, :].expand(height, width), y[:, None].expand(height, width)], dim=-1).reshape(
        -1, 2
    )


def make_anchors(height: int, width: int, stride: tuple[int, int], shapes: Tensor) -> Tensor:
    """Anchors of a feature map: A shapes (A, 4) around the origin, at each point: float32 (height x width x A, 4)."""
    points = make_points(height, width, stride, 0.0)
    return (torch.cat([points, points], dim=1)[:, None, :] + shapes[None]).reshape(-1, 4)


def clip_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """Cut boxes (…, 4) off at the input's border."""
    x = boxes[..., 0::2].clamp(min=0, max=width)
    y = boxes[..., 1::2].clamp(min=0, max=height)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], dim=-1)


def apply_distances(points: Tensor, distances: Tensor) -> Tensor:
    """Boxes (B, N, 4) that reach `distances` (B, N, 4), left top right bottom, from `points` (N, 2)."""
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], dim=-1)


def apply_deltas(boxes: Tensor, deltas: Tensor, coder: Any) -> Tensor:
    """Move and stretch boxes (…, 4) by deltas (…, 4) in the units of `coder`, a DeltaXYWHBBoxCoder.

    Source: `mmdet.models.task_modules.coders.delta_xywh_bbox_coder.delta2bbox`.
    """
    moves = deltas * _as_tensor(coder.stds) + _as_tensor(coder.means)
    centres = (boxes[..., :2] + boxes[..., 2:]) * 0.5
    sides = boxes[..., 2:] - boxes[..., :2]
    centres = centres + sides * moves[..., :2]
    sides = sides * moves[..., 2:].clamp(min=-_MOST_LOG_RATIO, max=_MOST_LOG_RATIO).exp()
    return torch.cat([centres - sides * 0.5, centres + sides * 0.5], dim=-1)


def has_area(boxes: Tensor, smallest_side_px: float) -> Tensor:
    """Which boxes (…, 4) are wider and higher than `smallest_side_px`: bool (…)."""
    return ((boxes[..., 2:] - boxes[..., :2]) > smallest_side_px).all(dim=-1)


def _as_tensor(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)
