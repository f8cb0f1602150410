"""Proposals of a two-stage detector: suppression within each level of the pyramid alone.

MMDetection shifts the boxes of each level to a place of their own and suppresses all together. On the CPU that
compares each box with all of other levels, which it cannot overlap: two thirds of the pairs and more, in one thread.
"""

from typing import Any

# Before MMCV's operators are imported.
import raven_scan.trainer.operators.install_on_import  # noqa: F401  # pyright: ignore[reportUnusedImport]  # for its effect

# isort: split
import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.structures.bbox import get_box_tensor, get_box_wh
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torchvision.ops import nms

from raven_scan.trainer.operators.precision import computing_dtype

# From here on MMCV suppresses level by level as well.
_MMCV_SPLIT_FROM = 10_000


def accelerate_proposals(model: nn.Module) -> None:
    """Let the model's region proposal networks suppress within each level while they are on the CPU."""
    for module in model.modules():
        if type(module) is RPNHead:
            module.__class__ = LevelwiseRPNHead


class LevelwiseRPNHead(RPNHead):
    """MMDetection's head; the same proposals in the same order."""

    def _bbox_post_process(
        self,
        results: InstanceData,
        cfg: Any,
        rescale: bool = False,  # noqa: FBT001, FBT002 - MMDetection's signature
        with_nms: bool = True,  # noqa: FBT001, FBT002
        img_meta: Any = None,
    ) -> InstanceData:
        keep = None if rescale or not with_nms else _find_kept(results, cfg)
        if keep is None:
            return super()._bbox_post_process(results, cfg, rescale, with_nms, img_meta)
        kept: Any = results[keep]
        # As MMCV gives them back: beside the boxes, in one tensor.
        kept.scores = kept.scores.to(
            torch.promote_types(kept.scores.dtype, get_box_tensor(kept.bboxes).dtype)
        )
        kept.labels = kept.scores.new_zeros(len(keep), dtype=torch.long)
        del kept.level_ids
        return kept


def _find_kept(results: Any, cfg: Any) -> Tensor | None:
    """Rows of the proposals, best score first; None where MMDetection's way has to tell."""
    boxes = get_box_tensor(results.bboxes)
    if boxes.device.type != "cpu" or set(cfg.nms) != {"type", "iou_threshold"} or cfg.nms["type"] != "nms":
        return None
    rows = None
    if cfg.get("min_bbox_size", -1) >= 0:
        wide, high = get_box_wh(results.bboxes)
        rows = ((wide > cfg.min_bbox_size) & (high > cfg.min_bbox_size)).nonzero()[:, 0]
        boxes = boxes[rows]
    # A box left of or above its image would reach into another level's place.
    if not 0 < len(boxes) < _MMCV_SPLIT_FROM or not float(boxes.min()) >= 0:
        return None
    scores, levels = results.scores, results.level_ids
    if rows is not None:
        scores, levels = scores[rows], levels[rows]
    keep = suppress_by_level(boxes, scores, levels, cfg.nms["iou_threshold"])[: cfg.max_per_img]
    return keep if rows is None else rows[keep]


def suppress_by_level(boxes: Tensor, scores: Tensor, levels: Tensor, iou_threshold: float) -> Tensor:
    """What `mmcv.ops.batched_nms` keeps of boxes on the CPU that have no negative coordinate.

    Args:
        boxes: float (N, 4): x1 y1 x2 y2.
        scores: float (N,).
        levels: int64 (N,), ascending.
        iou_threshold: a box that overlaps a better one of its level by more than this is dropped.

    Returns:
        int64 (K,): kept rows, best score first, of equal ones the first.
    """
    # The overlaps are rounded as MMCV's are, at the places to which it shifts.
    shifted = (boxes + (levels.to(boxes) * (boxes.max() + 1))[:, None]).to(computing_dtype(boxes.dtype))
    comparable = scores.to(computing_dtype(boxes.dtype))
    kept = torch.zeros(len(boxes), dtype=torch.bool)
    start = 0
    for length in torch.unique_consecutive(levels, return_counts=True)[1].tolist():
        level = slice(start, start + length)
        kept[start + nms(shifted[level], comparable[level], iou_threshold)] = True
        start += length
    order = comparable.sort(descending=True, stable=True).indices
    return order[kept[order]]
