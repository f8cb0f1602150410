from typing import Any

import numpy as np
import pytest
import torch
from mmcv.ops import bbox_overlaps


def overlap_of_two(a: list[float], b: list[float], mode: str, offset: int) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + offset)
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + offset)
    area_a = (a[2] - a[0] + offset) * (a[3] - a[1] + offset)
    area_b = (b[2] - b[0] + offset) * (b[3] - b[1] + offset)
    whole = area_a if mode == "iof" else area_a + area_b - width * height
    return width * height / whole


def random_boxes(number: int, device: str, dtype: torch.dtype) -> torch.Tensor:
    corners = torch.rand(number, 2) * 40
    return torch.cat((corners, corners + torch.rand(number, 2) * 30 + 1), dim=1).to(device, dtype)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("mode", ["iou", "iof"])
def test_every_pair(device: str, dtype: torch.dtype, tolerance: dict[str, Any], mode: str, offset: int):
    first, second = random_boxes(7, device, dtype), random_boxes(5, device, dtype)
    expected = [[overlap_of_two(a, b, mode, offset) for b in second.tolist()] for a in first.tolist()]
    actual = bbox_overlaps(first, second, mode=mode, offset=offset)
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual.float().cpu(), np.array(expected), **tolerance)


@pytest.mark.parametrize("mode", ["iou", "iof"])
def test_row_by_row(device: str, dtype: torch.dtype, tolerance: dict[str, Any], mode: str):
    first, second = random_boxes(6, device, dtype), random_boxes(6, device, dtype)
    expected = [overlap_of_two(a, b, mode, 0) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    actual = bbox_overlaps(first, second, mode=mode, aligned=True)
    np.testing.assert_allclose(actual.float().cpu(), np.array(expected), **tolerance)


def test_boxes_apart_and_boxes_without_area(device: str):
    boxes = torch.tensor([[0, 0, 10, 10], [10, 10, 20, 20], [5, 5, 5, 5]], dtype=torch.float32, device=device)
    actual = bbox_overlaps(boxes[:2], boxes)
    assert actual.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_no_boxes(device: str):
    boxes = torch.rand(3, 4, device=device)
    assert bbox_overlaps(boxes[:0], boxes).shape == (0, 3)
    assert bbox_overlaps(boxes, boxes[:0]).shape == (3, 0)
