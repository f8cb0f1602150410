"""Suppression within each level against MMDetection's of all levels together."""

import copy
import pickle
from typing import Any

import pytest
import torch

from raven_scan.trainer.acceleration.two_stage_proposals import (
    LevelwiseRPNHead,
    accelerate_proposals,
    suppress_by_level,
)

# isort: split
from mmcv.ops import batched_nms
from mmdet.models.dense_heads import RPNHead
from mmengine.config import ConfigDict


def make_boxes(count: int, seed: int, extent: float = 300) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    corner = torch.rand(count, 2) * extent
    boxes = torch.cat((corner, corner + 5 + torch.rand(count, 2) * 80), dim=1)
    # Coarse scores: many are equal.
    return boxes, (torch.rand(count) * 50).round() / 50, torch.randint(0, 5, (count,)).sort().values


@pytest.mark.parametrize("count", [1, 2, 40, 900])
@pytest.mark.parametrize("threshold", [0.1, 0.7])
def test_keeps_what_mmcv_keeps_in_its_order(count: int, threshold: float):
    for seed in range(5):
        boxes, scores, levels = make_boxes(count, seed)
        expected = batched_nms(boxes, scores, levels, {"type": "nms", "iou_threshold": threshold})[1]
        assert suppress_by_level(boxes, scores, levels, threshold).equal(expected)


def make_heads(**proposals: Any) -> tuple[RPNHead, RPNHead]:
    test_cfg = ConfigDict(
        {
            "nms_pre": 60,
            "max_per_img": 50,
            "nms": {"type": "nms", "iou_threshold": 0.7},
            "min_bbox_size": 0,
            **proposals,
        }
    )
    plain = RPNHead(
        in_channels=4,
        feat_channels=4,
        anchor_generator={
            "type": "AnchorGenerator",
            "scales": [8],
            "ratios": [0.5, 1.0, 2.0],
            "strides": [4, 8, 16],
        },
        bbox_coder={"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": [1.0] * 4},
        test_cfg=test_cfg,
    )
    model = torch.nn.Sequential(copy.deepcopy(plain))
    accelerate_proposals(model)
    fast: Any = pickle.loads(pickle.dumps(copy.deepcopy(model)))[0]  # noqa: S301 - made here
    assert isinstance(fast, LevelwiseRPNHead)
    return plain, fast


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "proposals", [{}, {"min_bbox_size": 20}, {"min_bbox_size": -1}, {"min_bbox_size": 900}]
)
def test_proposals_are_the_same(dtype: torch.dtype, proposals: dict[str, Any]):
    torch.manual_seed(5)
    sizes = [(16, 16), (8, 8), (4, 4)]
    scores = [torch.randn(2, 3, *size).to(dtype) for size in sizes]
    deltas = [(torch.randn(2, 12, *size) * 0.3).to(dtype) for size in sizes]
    metas: list[dict[str, Any]] = [{"img_shape": (64, 64)}, {"img_shape": (50, 61)}]
    plain, fast = (
        head.predict_by_feat(scores, deltas, batch_img_metas=metas) for head in make_heads(**proposals)
    )
    pairs: Any = zip(plain, fast, strict=True)
    for expected, actual in pairs:
        assert set(actual.keys()) == set(expected.keys())
        for key, value in expected.items():
            assert actual[key].dtype == value.dtype
            assert actual[key].equal(value)
