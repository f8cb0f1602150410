"""Suppression of the best boxes first, against MMDetection's of all."""

from typing import Any

# Before MMCV's operators are imported.
import raven_scan.trainer.operators.install_on_import  # noqa: F401  # pyright: ignore[reportUnusedImport]  # for its effect

# isort: split
import pytest
import torch
from mmdet.models.dense_heads import RTMDetSepBNHead
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from raven_scan.trainer.acceleration.best_boxes_first import BestBoxesFirst


class FastHead(BestBoxesFirst, RTMDetSepBNHead):
    pass


def make_results(count: int, spread_px: float, seed: int) -> InstanceData:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * spread_px
    sides = torch.rand(count, 2, generator=generator) * 30 + 1
    return InstanceData(
        bboxes=torch.cat((corners, corners + sides), dim=1),
        scores=torch.rand(count, generator=generator),
        labels=torch.randint(0, 3, (count,), generator=generator),
    )


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize(
    ("count", "spread_px"),
    # Few; many apart; many of which all but a few overlap, so that the best are not enough.
    [(0, 50.0), (5, 50.0), (900, 400.0), (900, 12.0), (900, 2.0)],
)
def test_the_same_boxes_are_kept(count: int, spread_px: float, *, rescale: bool):
    settings = ConfigDict(nms={"type": "nms", "iou_threshold": 0.65}, min_bbox_size=0, max_per_img=20)
    make: Any = lambda kind: kind(num_classes=3, in_channels=8, feat_channels=8)  # noqa: E731
    meta = {"scale_factor": (0.5, 0.25)}
    expected, found = (
        make(kind)._bbox_post_process(
            make_results(count, spread_px, seed=4), settings, rescale=rescale, img_meta=meta
        )
        for kind in (RTMDetSepBNHead, FastHead)
    )
    assert len(found) == len(expected)
    for name in ("bboxes", "scores", "labels"):
        torch.testing.assert_close(found[name], expected[name])
