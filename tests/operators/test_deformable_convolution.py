import itertools
import math
from typing import Any

import pytest
import torch
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d, deform_conv2d, modulated_deform_conv2d


def bilinear(plane: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Value of `plane` (H, W) at a point, zero outside; differentiable by the plane and by the point."""
    height, width = plane.shape
    top, left = math.floor(y.item()), math.floor(x.item())
    value = plane.new_zeros(())
    for row, column in itertools.product((top, top + 1), (left, left + 1)):
        if 0 <= row < height and 0 <= column < width:
            value = value + plane[row, column] * (1 - (y - row).abs()) * (1 - (x - column).abs())
    return value


def by_definition(
    features: torch.Tensor,
    offset: torch.Tensor,
    weight: torch.Tensor,
    mask: torch.Tensor | None,
    *,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    offset_groups: int,
) -> torch.Tensor:
    batch, channels = features.shape[:2]
    outputs, per_group, kernel_h, kernel_w = weight.shape
    result: list[torch.Tensor] = []
    for image, out, row, column in itertools.product(
        range(batch), range(outputs), *map(range, offset.shape[2:])
    ):
        group = out // (outputs // groups)
        total = features.new_zeros(())
        for inner, i, j in itertools.product(range(per_group), range(kernel_h), range(kernel_w)):
            channel = group * per_group + inner
            tap = (channel // (channels // offset_groups)) * kernel_h * kernel_w + i * kernel_w + j
            y = row * stride[0] - padding[0] + i * dilation[0] + offset[image, 2 * tap, row, column]
            x = column * stride[1] - padding[1] + j * dilation[1] + offset[image, 2 * tap + 1, row, column]
            sample = bilinear(features[image, channel], y, x)
            if mask is not None:
                sample = sample * mask[image, tap, row, column]
            total = total + sample * weight[out, inner, i, j]
        result.append(total)
    return torch.stack(result).view(batch, outputs, *offset.shape[2:])


GEOMETRIES = [
    {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1, "offset_groups": 1},
    {"stride": (2, 1), "padding": (0, 2), "dilation": (1, 2), "groups": 2, "offset_groups": 2},
]


def random_inputs(geometry: dict, device: str, dtype: torch.dtype) -> list[torch.Tensor]:
    """Features, offset, weight and mask for a kernel of 3 high and 2 wide."""
    height, width = 4, 4
    out_h = (height + 2 * geometry["padding"][0] - geometry["dilation"][0] * 2 - 1) // geometry["stride"][
        0
    ] + 1
    out_w = (width + 2 * geometry["padding"][1] - geometry["dilation"][1] - 1) // geometry["stride"][1] + 1
    taps = geometry["offset_groups"] * 6
    # Between whole pixels, where the derivative by the offset exists, and exact in 16 bits.
    offset = torch.randint(-4, 4, (2, taps * 2, out_h, out_w)) / 2 + 0.25
    tensors = [
        torch.randn(2, 4, height, width),
        offset,
        torch.randn(2, 4 // geometry["groups"], 3, 2),
        torch.rand(2, taps, out_h, out_w),
    ]
    return [tensor.to(device, dtype).requires_grad_() for tensor in tensors]


def exactly(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    return [tensor.detach().double().cpu().requires_grad_() for tensor in tensors]


def check_gradients(
    actual: list[torch.Tensor], expected: list[torch.Tensor], dtype: torch.dtype, tolerance: dict[str, Any]
) -> None:
    for ours, reference in zip(actual, expected, strict=True):
        assert ours.grad is not None
        assert reference.grad is not None
        assert ours.grad.dtype == dtype
        # Gradients of weights are sums over the image: the error grows with their size.
        atol = tolerance["atol"] * max(1.0, reference.grad.abs().max().item())
        torch.testing.assert_close(
            ours.grad.double().cpu(), reference.grad, rtol=tolerance["rtol"], atol=atol
        )


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=["plain", "grouped"])
def test_version_1(device: str, dtype: torch.dtype, tolerance: dict[str, Any], geometry: dict):
    features, offset, weight, _ = random_inputs(geometry, device, dtype)
    inputs = [features, offset, weight]
    exact = exactly(inputs)
    actual = deform_conv2d(features, offset, weight, *geometry.values())
    expected = by_definition(exact[0], exact[1], exact[2], None, **geometry)
    assert actual.dtype == dtype
    bound = {"rtol": tolerance["rtol"], "atol": tolerance["atol"] * 4}
    torch.testing.assert_close(actual.double().cpu(), expected, **bound)
    upstream = torch.randn_like(actual)
    actual.backward(upstream)
    expected.backward(upstream.double().cpu())
    check_gradients(inputs, exact, dtype, tolerance)


@pytest.mark.parametrize("with_bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=["plain", "grouped"])
def test_version_2(
    *,
    device: str,
    dtype: torch.dtype,
    tolerance: dict[str, Any],
    geometry: dict,
    with_bias: bool,
):
    features, offset, weight, mask = inputs = random_inputs(geometry, device, dtype)
    exact = exactly(inputs)
    bias = torch.randn(2).to(device, dtype).requires_grad_() if with_bias else None
    exact_bias = None if bias is None else bias.detach().double().cpu().requires_grad_()
    actual = modulated_deform_conv2d(features, offset, mask, weight, bias, *geometry.values())
    expected = by_definition(exact[0], exact[1], exact[2], exact[3], **geometry)
    if exact_bias is not None:
        expected = expected + exact_bias[:, None, None]
    bound = {"rtol": tolerance["rtol"], "atol": tolerance["atol"] * 4}
    torch.testing.assert_close(actual.double().cpu(), expected, **bound)
    upstream = torch.randn_like(actual)
    actual.backward(upstream)
    expected.backward(upstream.double().cpu())
    biases = [] if bias is None or exact_bias is None else [(bias, exact_bias)]
    check_gradients(
        inputs + [ours for ours, _ in biases],
        exact + [reference for _, reference in biases],
        dtype,
        tolerance,
    )


def test_version_1_where_only_the_weights_learn(device: str):
    features, offset, weight, _ = random_inputs(GEOMETRIES[0], device, torch.float32)
    deform_conv2d(features, offset, weight, 1, 1).square().sum().backward()
    assert weight.grad is not None
    all_learn, weight.grad = weight.grad, None
    deform_conv2d(features.detach(), offset.detach(), weight, 1, 1).square().sum().backward()
    torch.testing.assert_close(weight.grad, all_learn)


def test_version_1_differentiated_twice_over_the_same_graph(device: str):
    features, offset, weight, _ = random_inputs(GEOMETRIES[0], device, torch.float32)
    total = deform_conv2d(features, offset, weight, 1, 1).sum()
    total.backward(retain_graph=True)
    assert weight.grad is not None
    once = weight.grad.clone()
    total.backward()
    torch.testing.assert_close(weight.grad, 2 * once)


def test_without_displacement_it_is_a_convolution(device: str):
    features = torch.randn(2, 4, 9, 9, device=device)
    layer1 = DeformConv2d(4, 6, 3, padding=1).to(device)
    layer2 = ModulatedDeformConv2d(4, 6, 3, padding=1).to(device)
    offset, mask = torch.zeros(2, 18, 9, 9, device=device), torch.ones(2, 9, 9, 9, device=device)
    expected = torch.nn.functional.conv2d(features, layer1.weight, padding=1)
    torch.testing.assert_close(layer1(features, offset), expected, rtol=1e-4, atol=1e-5)
    expected = torch.nn.functional.conv2d(features, layer2.weight, layer2.bias, padding=1)
    torch.testing.assert_close(layer2(features, offset, mask), expected, rtol=1e-4, atol=1e-5)


def test_samples_far_outside_are_zero(device: str):
    features = torch.randn(1, 2, 5, 5, device=device)
    weight = torch.randn(3, 2, 3, 3, device=device)
    offset = torch.full((1, 18, 3, 3), 1e4, device=device)
    assert not deform_conv2d(features, offset, weight).any()
