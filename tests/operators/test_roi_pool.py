import math
from typing import Any

import pytest
import torch
from mmcv.ops import RoIPool, roi_pool


def by_definition(
    features: torch.Tensor, rois: torch.Tensor, bins: tuple[int, int], scale: float
) -> torch.Tensor:
    _, channels, height, width = features.shape
    pooled = features.new_zeros(len(rois), channels, *bins)
    for number, (image, x1, y1, x2, y2) in enumerate(rois.tolist()):
        left, top = x1 * scale, y1 * scale
        region_width, region_height = (x2 + 1) * scale - left, (y2 + 1) * scale - top
        if region_width <= 0 or region_height <= 0:
            continue
        for row in range(bins[0]):
            for column in range(bins[1]):
                y_low = max(0, math.floor(top + row * region_height / bins[0]))
                y_high = min(height, math.ceil(top + (row + 1) * region_height / bins[0]))
                x_low = max(0, math.floor(left + column * region_width / bins[1]))
                x_high = min(width, math.ceil(left + (column + 1) * region_width / bins[1]))
                if y_low < y_high and x_low < x_high:
                    window = features[int(image), :, y_low:y_high, x_low:x_high]
                    pooled[number, :, row, column] = window.amax(dim=(1, 2))
    return pooled


ROIS = torch.tensor(
    [
        [0, 3.0, 2.5, 20.5, 17.0],
        [1, 0.0, 0.0, 31.0, 23.0],
        [1, 10.0, 5.0, 10.0, 23.0],  # one pixel wide
        [0, -6.0, -4.0, 8.0, 9.0],  # over the upper left edge
        [0, 25.0, 18.0, 45.0, 40.0],  # over the lower right edge
        [1, 60.0, 60.0, 80.0, 70.0],  # outside
        [1, 9.0, 9.0, 4.0, 20.0],  # inside out
    ]
)


def test_values_and_gradient(device: str, dtype: torch.dtype, tolerance: dict[str, Any]):
    # All values differ, also in 16 bits, so that there is one winner in each bin.
    features = (torch.randperm(2 * 2 * 8 * 8).view(2, 2, 8, 8) - 128).to(device, dtype).requires_grad_()
    rois = ROIS.to(device, dtype)
    exact = features.detach().double().requires_grad_()
    actual = RoIPool((3, 2), spatial_scale=0.25)(features, rois)
    expected = by_definition(exact, rois.double(), (3, 2), 0.25)
    torch.testing.assert_close(actual.double(), expected, rtol=0, atol=0)

    upstream = torch.randn_like(actual)
    actual.backward(upstream)
    expected.backward(upstream.double())
    assert features.grad is not None
    torch.testing.assert_close(features.grad.double(), exact.grad, **tolerance)


@pytest.mark.parametrize("number", [0, 1])
def test_few_regions(device: str, number: int):
    features = torch.randn(1, 2, 8, 8, device=device, requires_grad=True)
    rois = torch.tensor([[0, 0, 0, 7, 7]], dtype=torch.float32, device=device)[:number]
    pooled = roi_pool(features, rois, 7, 1.0)
    assert pooled.shape == (number, 2, 7, 7)
    pooled.sum().backward()
    assert features.grad is not None
    assert bool(features.grad.any()) == bool(number)
