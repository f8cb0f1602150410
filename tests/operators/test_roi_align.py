import math
from typing import Any

import pytest
import torch
from mmcv.ops import RoIAlign, roi_align


def bilinear(plane: torch.Tensor, y: float, x: float) -> torch.Tensor:
    """Value (C,) of `plane` (C, H, W) at a point: 0 beyond one pixel outside, else clamped to the border."""
    _, height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return plane.new_zeros(plane.shape[0])
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    upper = plane[:, top, left] * (1 - dx) + plane[:, top, right] * dx
    lower = plane[:, bottom, left] * (1 - dx) + plane[:, bottom, right] * dx
    return upper * (1 - dy) + lower * dy


def by_definition(
    features: torch.Tensor,
    rois: torch.Tensor,
    bins: tuple[int, int],
    scale: float,
    *,
    ratio: int,
    mode: str,
    aligned: bool,
) -> torch.Tensor:
    regions: list[torch.Tensor] = []
    for image, *corners in rois.tolist():
        x1, y1, x2, y2 = (corner * scale - (0.5 if aligned else 0) for corner in corners)
        height, width = y2 - y1, x2 - x1
        if not aligned:
            height, width = max(height, 1), max(width, 1)
        bin_height, bin_width = height / bins[0], width / bins[1]
        down = ratio if ratio > 0 else max(0, math.ceil(bin_height))
        across = ratio if ratio > 0 else max(0, math.ceil(bin_width))
        pooled: list[torch.Tensor] = []
        for row in range(bins[0]):
            for column in range(bins[1]):
                samples = [
                    bilinear(
                        features[int(image)],
                        y1 + bin_height * (row + (i + 0.5) / down),
                        x1 + bin_width * (column + (j + 0.5) / across),
                    )
                    for i in range(down)
                    for j in range(across)
                ]
                if not samples:
                    pooled.append(features.new_zeros(features.shape[1]))
                elif mode == "max":
                    pooled.append(torch.stack(samples).max(dim=0).values)
                else:
                    pooled.append(torch.stack(samples).mean(dim=0))
        regions.append(torch.stack(pooled, dim=1).view(-1, *bins))
    return torch.stack(regions)


# Image, x1 y1 x2 y2; the images are 32 pixels wide and 24 high, the features half of that.
ROIS = torch.tensor(
    [
        [0, 3.0, 2.5, 20.5, 17.0],
        [1, 0.0, 0.0, 32.0, 24.0],
        [1, 10.0, 5.0, 11.0, 23.0],  # thin
        [0, -6.0, -4.0, 8.0, 9.0],  # over the upper left edge
        [0, 25.0, 18.0, 45.0, 40.0],  # over the lower right edge
        [1, 60.0, 60.0, 80.0, 70.0],  # outside
    ]
)


@pytest.mark.parametrize("aligned", [True, False], ids=["aligned", "legacy"])
@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_values_and_gradient(
    *,
    device: str,
    dtype: torch.dtype,
    tolerance: dict[str, Any],
    mode: str,
    ratio: int,
    aligned: bool,
):
    features = torch.randn(2, 3, 12, 16).to(device, dtype).requires_grad_()
    rois = ROIS.to(device, dtype)
    exact = features.detach().double().requires_grad_()
    layer = RoIAlign((3, 2), spatial_scale=0.5, sampling_ratio=ratio, pool_mode=mode, aligned=aligned)

    actual = layer(features, rois)
    expected = by_definition(exact, rois.double(), (3, 2), 0.5, ratio=ratio, mode=mode, aligned=aligned)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual.double(), expected, **tolerance)

    upstream = torch.randn_like(actual)
    actual.backward(upstream)
    expected.backward(upstream.double())
    assert features.grad is not None
    assert features.grad.dtype == dtype
    torch.testing.assert_close(features.grad.double(), exact.grad, **tolerance)


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_no_regions(device: str, dtype: torch.dtype, mode: str):
    features = torch.randn(1, 2, 8, 8).to(device, dtype).requires_grad_()
    pooled = roi_align(features, torch.zeros(0, 5, device=device, dtype=dtype), 7, 1.0, 0, mode, True)  # noqa: FBT003
    assert pooled.shape == (0, 2, 7, 7)
    pooled.sum().backward()
    assert features.grad is not None
    assert not features.grad.any()


@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_regions_without_area(device: str, mode: str, ratio: int):
    features = torch.randn(1, 2, 8, 8).to(device).requires_grad_()
    exact = features.detach().double().requires_grad_()
    rois = torch.tensor(
        [[0, 3, 3, 3, 3], [0, 2, 2, 6, 2], [0, 1, 1, 5, 6]], dtype=torch.float32, device=device
    )
    pooled = roi_align(features, rois, 2, 1.0, ratio, mode, True)  # noqa: FBT003
    expected = by_definition(exact, rois.double(), (2, 2), 1.0, ratio=ratio, mode=mode, aligned=True)
    torch.testing.assert_close(pooled.double(), expected, rtol=1e-4, atol=1e-5)
    if mode == "avg" or ratio == 0:
        # With equal samples the largest is any of them, and so is the gradient.
        pooled.sum().backward()
        expected.sum().backward()
        assert features.grad is not None
        torch.testing.assert_close(features.grad.double(), exact.grad, rtol=1e-4, atol=1e-5)


def test_bins_of_many_samples_in_16_bits(device: str):
    """A bin of more samples than 8 bits count, where a coordinate would not survive bfloat16."""
    features = torch.zeros(1, 1, 4, 400, device=device, dtype=torch.bfloat16)
    features[0, 0, 2, 333] = 1
    features.requires_grad_()
    rois = torch.tensor([[0, 120, 0, 380, 4]], device=device, dtype=torch.bfloat16)
    pooled = roi_align(features, rois, (1, 2), 1.0, 0, "max", False)  # noqa: FBT003
    pooled[..., 1].sum().backward()
    assert features.grad is not None
    assert features.grad[0, 0, 2, 333] > 0


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_under_autocast(device: str, mode: str):
    features = torch.randn(1, 2, 8, 8, device=device, requires_grad=True)
    rois = torch.tensor([[0, 1, 1, 6, 6]], dtype=torch.float32, device=device)
    with torch.autocast(device, dtype=torch.bfloat16):
        pooled = roi_align(features, rois, 3, 1.0, 2, mode, True)  # noqa: FBT003
    expected = by_definition(
        features.detach().double(), rois.double(), (3, 3), 1.0, ratio=2, mode=mode, aligned=True
    )
    torch.testing.assert_close(pooled.double(), expected, rtol=1e-4, atol=1e-5)
    pooled.sum().backward()
    assert features.grad is not None
