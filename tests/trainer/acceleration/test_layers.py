"""Layers that train faster on a CPU, against the plain ones: values, gradients, running statistics."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.cnn.bricks.swish import Swish
from torch import Tensor, nn

from raven_scan.trainer.acceleration import accelerate
from raven_scan.trainer.acceleration.activations import ContiguousSiLU
from raven_scan.trainer.acceleration.batch_norm import WideBatchNorm2d, find_group
from raven_scan.trainer.acceleration.depthwise_convolution import Float32GradientConv2d

Sizes = tuple[int, int, int]
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 2e-2}


def accelerated(layer: nn.Module) -> nn.Module:
    model = nn.Sequential(copy.deepcopy(layer))
    accelerate(model)
    return model[0]


def run(layer: nn.Module, features: Tensor, *, sliced: bool = False) -> dict[str, Tensor]:
    """Output, gradients and state of a layer after one step; `sliced`: the gradient is one of a concatenation."""
    layer.zero_grad()
    leaf = features.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    output = layer(leaf)
    seen = torch.cat((output, output.detach()), dim=1) if sliced else output
    upstream = torch.linspace(-1, 1, seen.numel()).sin().reshape(seen.shape).to(seen)
    (seen * upstream).sum().backward()
    assert leaf.grad is not None
    assert output.dtype == features.dtype
    found = {"output": output.detach(), "features": leaf.grad}
    found.update({name: each.grad for name, each in layer.named_parameters() if each.grad is not None})
    found.update({name: each.clone() for name, each in layer.named_buffers()})
    return found


def assert_same(plain: nn.Module, features: Tensor, *, sliced: bool = False) -> None:
    fast = accelerated(plain)
    expected, found = run(plain, features, sliced=sliced), run(fast, features, sliced=sliced)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # Sums over all pixels are as large as there are many.
        scale = float(value.abs().max().clamp(min=1)) if value.numel() else 1.0
        tolerance = TOLERANCES[features.dtype]
        torch.testing.assert_close(
            found[name] / scale,
            value / scale,
            rtol=tolerance,
            atol=tolerance,
            msg=lambda text, name=name: f"{name}: {text}",
        )


def make_features(sizes: Sizes, channels: int, dtype: torch.dtype) -> Tensor:
    count, height, width = sizes
    torch.manual_seed(3)
    features = torch.randn(count, channels, height, width) * 3 + 5
    return features.to(dtype).contiguous(memory_format=torch.channels_last)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 17), st.integers(1, 17)).filter(
        lambda s: s[0] * s[1] * s[2] > 1
    ),
    channels=st.integers(1, 50),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    sliced=st.booleans(),
)
def test_batch_norm_of_any_width_equals_the_plain_one(
    sizes: Sizes, channels: int, dtype: torch.dtype, *, sliced: bool
):
    plain = nn.BatchNorm2d(channels)
    nn.init.uniform_(plain.weight, 0.5, 1.5)
    nn.init.uniform_(plain.bias, -1, 1)
    assert_same(plain, make_features(sizes, channels, dtype), sliced=sliced)


@pytest.mark.parametrize(
    ("channels", "pixels", "group"), [(12, 800, 8), (24, 64, 4), (40, 8, 4), (16, 100, 2), (7, 3, None)]
)
def test_pixels_are_taken_together_until_their_channels_fill_vectors(
    channels: int, pixels: int, group: int | None
):
    assert find_group(channels, pixels) == group


def test_batch_norm_is_the_plain_one_where_it_does_not_train():
    layer = accelerated(nn.BatchNorm2d(12))
    assert isinstance(layer, WideBatchNorm2d)
    layer.eval()
    before = copy.deepcopy(layer.state_dict())
    features = make_features((2, 8, 8), 12, torch.float32)
    plain = nn.BatchNorm2d(12).eval()
    torch.testing.assert_close(layer(features), plain(features), rtol=0, atol=0)
    torch.testing.assert_close(layer.state_dict(), before)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(5, 20), st.integers(5, 20)),
    channels=st.integers(2, 40),
    kernel=st.sampled_from([3, 5]),
    stride=st.integers(1, 2),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    has_bias=st.booleans(),
)
def test_depthwise_convolution_equals_the_plain_one(
    sizes: Sizes, channels: int, kernel: int, stride: int, dtype: torch.dtype, *, has_bias: bool
):
    plain = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=has_bias).to(
        dtype
    )
    assert_same(plain, make_features(sizes, channels, dtype), sliced=True)


def test_depthwise_convolution_follows_autocast_and_takes_frozen_weights():
    plain = nn.Conv2d(8, 8, 5, padding=2, groups=8)
    fast = accelerated(plain)
    assert isinstance(fast, Float32GradientConv2d)
    features = make_features((2, 9, 9), 8, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(fast(features), plain(features), rtol=2e-2, atol=2e-2)
    fast.requires_grad_(requires_grad=False)
    leaf = features.clone().requires_grad_()
    fast(leaf).sum().backward()
    assert leaf.grad is not None


@pytest.mark.parametrize(
    "make", [Swish, nn.SiLU, lambda: nn.SiLU(inplace=True)], ids=["Swish", "SiLU", "in place"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_activations_equal_the_plain_ones(make: Callable[[], nn.Module], dtype: torch.dtype):
    fast = accelerated(make())
    assert isinstance(fast, ContiguousSiLU)
    features = make_features((2, 5, 7), 6, dtype)
    plain = nn.SiLU()
    expected, found = run(plain, features, sliced=True), run(fast, features, sliced=True)
    for name in ("output", "features"):
        torch.testing.assert_close(found[name], expected[name])


def test_weights_keep_their_names_and_models_can_be_copied_and_pickled():
    model = nn.Sequential(nn.Conv2d(12, 12, 5, groups=12), nn.BatchNorm2d(12), nn.SiLU(inplace=True))
    before = model.state_dict()
    accelerate(model)
    assert model.state_dict().keys() == before.keys()
    features = make_features((2, 9, 9), 12, torch.float32)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301 - made here
        torch.testing.assert_close(other(features), model(features), rtol=1e-4, atol=1e-4)
