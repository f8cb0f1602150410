import itertools
import math
from typing import Any

import pytest
import torch
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttention, MultiScaleDeformableAttnFunction

SHAPES = [(4, 6), (2, 3)]


def by_definition(value: torch.Tensor, locations: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    batch, _, heads, channels = value.shape
    queries, levels, points = locations.shape[1], locations.shape[3], locations.shape[4]
    rows: list[torch.Tensor] = []
    for image, query, head in itertools.product(range(batch), range(queries), range(heads)):
        total = value.new_zeros(channels)
        for level, point in itertools.product(range(levels), range(points)):
            height, width = SHAPES[level]
            start = sum(h * w for h, w in SHAPES[:level])
            x = locations[image, query, head, level, point, 0] * width - 0.5
            y = locations[image, query, head, level, point, 1] * height - 0.5
            top, left = math.floor(y.item()), math.floor(x.item())
            for row, column in itertools.product((top, top + 1), (left, left + 1)):
                if 0 <= row < height and 0 <= column < width:
                    share = (1 - (y - row).abs()) * (1 - (x - column).abs())
                    sample = value[image, start + row * width + column, head]
                    total = total + weights[image, query, head, level, point] * share * sample
        rows.append(total)
    return torch.stack(rows).view(batch, queries, heads * channels)


def random_inputs(device: str, dtype: torch.dtype, queries: int = 3) -> list[torch.Tensor]:
    keys = sum(height * width for height, width in SHAPES)
    # Some locations lie outside [0, 1]; multiples of 1/64 are exact in 16 bits and fall between pixels.
    locations = (torch.randint(-10, 74, (2, queries, 2, 2, 3, 2)) + 0.5) / 64
    weights = torch.rand(2, queries, 2, 6).softmax(dim=-1).view(2, queries, 2, 2, 3)
    return [
        tensor.to(device, dtype).requires_grad_()
        for tensor in (torch.randn(2, keys, 2, 4), locations, weights)
    ]


def test_values_and_gradients(device: str, dtype: torch.dtype, tolerance: dict[str, Any]):
    value, locations, weights = inputs = random_inputs(device, dtype)
    exact = [tensor.detach().double().cpu().requires_grad_() for tensor in inputs]
    shapes = torch.tensor(SHAPES, device=device)
    starts = torch.tensor([0, 24], device=device)
    actual = MultiScaleDeformableAttnFunction.apply(value, shapes, starts, locations, weights, 64)
    expected = by_definition(*exact)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual.double().cpu(), expected, **tolerance)
    upstream = torch.randn_like(actual)
    actual.backward(upstream)
    expected.backward(upstream.double().cpu())
    for ours, reference in zip(inputs, exact, strict=True):
        assert ours.grad is not None
        assert reference.grad is not None
        atol = tolerance["atol"] * max(1.0, reference.grad.abs().max().item())
        torch.testing.assert_close(
            ours.grad.double().cpu(), reference.grad, rtol=tolerance["rtol"], atol=atol
        )


def test_no_queries(device: str):
    value, locations, weights = random_inputs(device, torch.float32, queries=0)
    shapes, starts = torch.tensor(SHAPES, device=device), torch.tensor([0, 24], device=device)
    attended = MultiScaleDeformableAttnFunction.apply(value, shapes, starts, locations, weights, 64)
    assert attended.shape == (2, 0, 8)
    attended.sum().backward()
    assert value.grad is not None
    assert not value.grad.any()


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "autocast"])
def test_the_layer_learns(device: str, *, autocast: bool):
    layer = MultiScaleDeformableAttention(embed_dims=16, num_heads=2, num_levels=2, batch_first=True).to(
        device
    )
    keys = torch.randn(2, 30, 16, device=device)
    with torch.autocast(device, dtype=torch.bfloat16, enabled=autocast):
        attended = layer(
            keys[:, :5],
            value=keys,
            reference_points=torch.rand(2, 5, 2, 2, device=device),
            spatial_shapes=torch.tensor(SHAPES, device=device),
            level_start_index=torch.tensor([0, 24], device=device),
        )
        attended.float().square().sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())
    gradient = layer.sampling_offsets.weight.grad
    assert gradient is not None
    assert gradient.any()
