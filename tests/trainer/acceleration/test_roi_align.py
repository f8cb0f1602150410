"""RoIAlign as a sparse product against MMCV's layer, values and gradients."""

import copy
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raven_scan.trainer.acceleration import roi_align_matrix
from raven_scan.trainer.acceleration.roi_align import SparseRoIAlign, SparseRoIExtractor, accelerate_roi_align

# isort: split
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor


def pair(bins: Any, scale: float = 1.0, ratio: int = 0, *, aligned: bool = True) -> tuple[RoIAlign, RoIAlign]:
    plain = RoIAlign(bins, scale, ratio, aligned=aligned)
    model = torch.nn.Sequential(copy.deepcopy(plain))
    accelerate_roi_align(model)
    accelerated = model[0]
    assert isinstance(accelerated, SparseRoIAlign)
    return plain, accelerated


def boxes(regions: int, images: int, extent: float) -> torch.Tensor:
    corners = torch.rand(regions, 2, 2).sort(dim=1).values.flatten(1) * extent
    return torch.cat((torch.randint(0, images, (regions, 1)).float(), corners), dim=1)


def assert_same(
    layers: tuple[RoIAlign, RoIAlign], features: torch.Tensor, rois: torch.Tensor, **tolerance: Any
):
    results: list[tuple[torch.Tensor, torch.Tensor]] = []
    upstream: torch.Tensor | None = None
    for layer in layers:
        leaf = features.detach().clone(memory_format=torch.preserve_format).requires_grad_()
        pooled = layer(leaf, rois)
        assert pooled.dtype == features.dtype
        upstream = torch.randn(pooled.shape).to(pooled.dtype) if upstream is None else upstream
        pooled.backward(upstream)
        assert leaf.grad is not None
        assert leaf.grad.dtype == features.dtype
        results.append((pooled.detach(), leaf.grad))
    tolerance = tolerance or {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(results[1][0], results[0][0], **tolerance)
    torch.testing.assert_close(results[1][1], results[0][1], **tolerance)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    seed=st.integers(0, 2**31),
    size=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 33), st.integers(1, 33)),
    regions=st.integers(1, 40),
    bins=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    ratio=st.integers(0, 3),
    aligned=st.booleans(),
    channels_last=st.booleans(),
)
def test_regions_anywhere(
    *, seed: int, size: Any, regions: int, bins: Any, ratio: int, aligned: bool, channels_last: bool
):
    torch.manual_seed(seed)
    features = torch.randn(size)
    if channels_last:
        features = features.to(memory_format=torch.channels_last)
    rois = boxes(regions, size[0], 3.2 * max(size[2:]))
    # Some over the edge, some outside, some on whole pixels.
    rois[:, 1:] -= 0.6 * max(size[2:])
    rois = torch.where(torch.rand(regions, 1) < 0.3, rois.round(), rois)
    assert_same(pair(bins, 0.5, ratio, aligned=aligned), features, rois)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_other_dtypes(dtype: torch.dtype):
    torch.manual_seed(3)
    features = torch.randn(2, 8, 20, 24).to(dtype)
    rois = boxes(3, 2, 40).to(dtype)
    tolerance = 1e-12 if dtype == torch.float64 else torch.finfo(dtype).eps
    assert_same(pair(7, 0.5), features, rois, rtol=tolerance, atol=tolerance)


def test_the_edge_of_what_counts():
    """One pixel outside counts as the border does, a sample beyond nothing."""
    features = torch.randn(1, 2, 6, 6)
    rois = torch.tensor([[0, x, x, x + 2, x + 2] for x in (-3.0, -2.5, -2, -1.5, -1, 5, 5.5, 6, 6.5, 7)])
    for ratio in (1, 2):
        assert_same(pair(2, ratio=ratio), features, rois)
        assert_same(pair(2, ratio=ratio, aligned=False), features, rois)


def test_parts_of_the_regions_at_a_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(roi_align_matrix, "_CHUNK_ENTRIES", 700)
    torch.manual_seed(1)
    assert_same(pair(7, 0.5), torch.randn(2, 4, 20, 20), boxes(30, 2, 40))


def test_what_falls_back(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(1)
    features, rois = torch.randn(1, 4, 20, 20), torch.tensor([[0, 1.0, 1.0, 15.0, 15.0]])
    assert_same(pair(7), features, rois[:0])
    monkeypatch.setattr(roi_align_matrix, "_MOST_SAMPLES", 3)
    assert_same(pair(7), features, rois, rtol=0, atol=0)


def test_regions_that_are_no_numbers():
    rois = torch.tensor([[0, float("nan"), 1.0, 15.0, 15.0], [0, 1.0, 1.0, float("inf"), 15.0]])
    pooled = pair(3)[1](torch.ones(1, 4, 20, 20), rois)
    assert pooled.shape == (2, 4, 3, 3)


def test_no_gradient_of_frozen_features():
    layer = pair(3)[1]
    pooled = layer(torch.randn(1, 4, 20, 20), torch.tensor([[0, 1.0, 1.0, 15.0, 15.0]]))
    assert not pooled.requires_grad


def test_layers_stay_what_they_are():
    maximum = RoIAlign((7, 7), 1.0, 0, "max")
    model = torch.nn.Sequential(maximum, RoIAlign((7, 7), 1.0, 0, "avg"))
    accelerate_roi_align(model)
    assert type(model[0]) is RoIAlign
    again = pickle.loads(pickle.dumps(copy.deepcopy(model)))  # noqa: S301 - made here
    assert isinstance(again[1], SparseRoIAlign)
    assert repr(again[1])
    accelerate_roi_align(again)


def extractors(mode: str = "avg") -> tuple[SingleRoIExtractor, SingleRoIExtractor]:
    layer = {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 0, "pool_mode": mode}
    plain = SingleRoIExtractor(layer, 6, [4, 8, 16], finest_scale=16)
    model = torch.nn.Sequential(copy.deepcopy(plain))
    accelerate_roi_align(model)
    fast: Any = pickle.loads(pickle.dumps(model))[0]  # noqa: S301 - made here
    return plain, fast


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("factor", [None, 1.3])
@pytest.mark.parametrize("largest", [10, 200])
def test_all_levels_of_a_pyramid(dtype: torch.dtype, factor: float | None, largest: float):
    torch.manual_seed(6)
    rois = boxes(60, 2, largest)
    features = [torch.randn(2, 6, 120 // stride, 160 // stride).to(dtype) for stride in (4, 8, 16)]
    features[1] = features[1].to(memory_format=torch.channels_last)
    results: list[list[torch.Tensor]] = []
    for extractor in extractors():
        leaves = [level.clone().requires_grad_() for level in features]
        pooled = extractor(tuple(leaves), rois, factor)
        torch.manual_seed(7)
        pooled.backward(torch.randn(pooled.shape).to(dtype))
        gradients = [leaf.grad for leaf in leaves]
        assert pooled.is_contiguous()
        assert pooled.dtype == dtype
        results.append([pooled, *(gradient for gradient in gradients if gradient is not None)])
        assert len(results[-1]) == 4
    assert isinstance(extractors()[1], SparseRoIExtractor)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    for actual, expected in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def test_extractors_that_stay():
    plain, fast = extractors("max")
    assert type(fast) is SingleRoIExtractor
    features = tuple(torch.randn(2, 6, 120 // stride, 160 // stride) for stride in (4, 8, 16))
    assert extractors()[1](features, torch.zeros(0, 5)).shape == plain(features, torch.zeros(0, 5)).shape
