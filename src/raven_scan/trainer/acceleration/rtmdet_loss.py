"""RTMDet's loss for a whole batch at once.

Source: Lyu et al., "RTMDet: An Empirical Study of Designing Real-Time Object Detectors", 2022.
"""

import math
from typing import Any

# Before MMCV's operators are imported.
import raven_scan.trainer.operators.install_on_import  # noqa: F401  # pyright: ignore[reportUnusedImport]  # for its effect

# isort: split
import torch
from mmdet.models.dense_heads import RTMDetSepBNHead
from mmdet.models.losses import QualityFocalLoss
from mmdet.models.task_modules.assigners import DynamicSoftLabelAssigner
from mmdet.structures.bbox import distance2bbox
from mmdet.utils import reduce_mean
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from raven_scan.trainer.acceleration.best_boxes_first import BestBoxesFirst
from raven_scan.trainer.acceleration.dynamic_k_assignment import (
    Assignment,
    Boxes,
    assign,
    find_learners,
    find_padded_boxes,
    list_candidates,
)
from raven_scan.trainer.heads import RavenRTMDetHead

# The assigner's.
_LEAST_OVERLAP = 1e-7
# MMDetection adds it to what it divides a sum by.
_AVERAGING = 1 + torch.finfo(torch.float32).eps


def accelerate_rtmdet_loss(model: nn.Module) -> None:
    """Let the model's RTMDet heads find targets and loss of all images at once."""
    batch_classes: dict[type, type] = {
        RTMDetSepBNHead: BatchRTMDetSepBNHead,
        RavenRTMDetHead: BatchRavenRTMDetHead,
    }
    for module in model.modules():
        batch_class = batch_classes.get(type(module))
        if batch_class is not None and _is_known(module):
            module.__class__ = batch_class


def _is_known(head: Any) -> bool:
    loss = head.loss_cls
    return (
        type(head.assigner) is DynamicSoftLabelAssigner
        and type(loss) is QualityFocalLoss
        and not loss.activated
        and head.loss_bbox.reduction == loss.reduction == "mean"
        and head.train_cfg["allowed_border"] < 0
        and head.num_base_priors == 1
    )


class _BatchLoss(BestBoxesFirst, RTMDetSepBNHead):
    def loss_by_feat(
        self,
        cls_scores: Any,
        bbox_preds: Any,
        batch_gt_instances: Any,
        batch_img_metas: Any,
        batch_gt_instances_ignore: Any = None,
    ) -> dict[str, Any]:
        """As MMDetection's; in float32 whatever the predictions are in."""
        images, levels = len(batch_img_metas), len(cls_scores)
        sizes = [scores.shape[-2:] for scores in cls_scores]
        lengths = [high * wide for high, wide in sizes]
        boxes = find_padded_boxes(batch_gt_instances, sum(lengths), self.cls_out_channels)
        if boxes is None:
            return super().loss_by_feat(
                cls_scores, bbox_preds, batch_gt_instances, batch_img_metas, batch_gt_instances_ignore
            )
        device = cls_scores[0].device
        priors = torch.cat(self.prior_generator.grid_priors(sizes, device=device, with_stride=True))
        inside = _find_inside(self.prior_generator.strides, sizes, batch_img_metas).to(
            device, non_blocking=True
        )
        scores, distances = (
            torch.cat(
                [level.permute(0, 2, 3, 1).reshape(images, -1, last) for level in all_levels], 1
            ).float()
            for all_levels, last in ((cls_scores, self.cls_out_channels), (bbox_preds, 4))
        )
        predicted: Any = distance2bbox(priors, distances)
        with torch.no_grad():
            assignment = assign_boxes(self.assigner, scores, predicted, priors, inside, boxes)

        level = torch.repeat_interleave(
            torch.arange(levels, device=device),
            torch.tensor(lengths, device=device),
            output_size=sum(lengths),
        )
        total = reduce_mean(assignment.overlaps.sum()).clamp(min=1) * _AVERAGING
        class_losses = self._lose_classes(scores, boxes, assignment, inside).sum(0).split(lengths)
        box_losses = self._lose_boxes(predicted, boxes, assignment, level, levels)
        return {
            "loss_cls": [losses.sum() / total for losses in class_losses],
            "loss_bbox": list((box_losses / total).unbind()),
        }

    def _lose_classes(self, scores: Tensor, boxes: Boxes, assignment: Assignment, inside: Tensor) -> Tensor:
        """Quality focal loss (N, P): towards the overlap for the class of the box, towards 0 for all others."""
        loss: Any = self.loss_cls
        learns = assignment.boxes >= 0
        labels = boxes.labels.gather(1, assignment.boxes.clamp(min=0))
        is_class = torch.arange(scores.size(2), device=scores.device) == labels[:, :, None]
        quality = torch.where(learns[:, :, None] & is_class, assignment.overlaps[:, :, None], 0)
        distance = (quality - scores.sigmoid()).abs()
        entropy = binary_cross_entropy_with_logits(scores, quality, reduction="none")
        train_cfg: Any = self.train_cfg
        pos_weight = train_cfg["pos_weight"]
        weight = torch.where(learns, pos_weight if pos_weight > 0 else 1.0, inside.to(scores.dtype))
        return (entropy * distance.pow(loss.beta)).sum(2) * weight * loss.loss_weight

    def _lose_boxes(
        self, predicted: Tensor, boxes: Boxes, assignment: Assignment, level: Tensor, levels: int
    ) -> Tensor:
        """Losses of boxes, summed by level (L,), each weighted by the overlap that it has."""
        learners = find_learners(assignment, boxes)
        sums = predicted.new_zeros(levels)
        if len(learners.corners) == 0:
            # As MMDetection: no branch is left without a gradient.
            return sums + predicted.sum() * 0
        rows = learners.take(predicted, learners.corners)
        losses: Any = self.loss_bbox(rows, learners.corners, reduction_override="none")
        level = level.expand_as(assignment.boxes).flatten()[learners.rows]
        return sums.index_add(0, level, learners.weigh(losses * learners.overlaps))


class BatchRTMDetSepBNHead(_BatchLoss):
    """MMDetection's head with the loss of a whole batch."""


class BatchRavenRTMDetHead(_BatchLoss, RavenRTMDetHead):
    """Ours with the loss of a whole batch."""


def assign_boxes(
    assigner: DynamicSoftLabelAssigner,
    scores: Tensor,
    predicted: Tensor,
    priors: Tensor,
    inside: Tensor,
    boxes: Boxes,
) -> Assignment:
    """What `DynamicSoftLabelAssigner` assigns, for all images.

    Args:
        assigner: with its parameters.
        scores: logits, float (N, P, C).
        predicted: float (N, P, 4): x1 y1 x2 y2.
        priors: float (P, 4): x y of the point, strides of its level.
        inside: bool (N, P): which points lie in the image.
        boxes: (N, G).
    """
    centres = priors[:, :2]
    corners = boxes.corners[:, None]
    deltas = torch.cat((centres[:, None] - corners[..., :2], corners[..., 2:] - centres[:, None]), dim=-1)
    is_in_box = (deltas.amin(dim=-1) > 0) & boxes.are_there[:, None]
    candidates = list_candidates(is_in_box.any(dim=2) & inside)
    priors = priors[candidates.points]

    distance = (priors[:, :, None, :2] - (corners[..., :2] + corners[..., 2:]) / 2.0).pow(2).sum(-1).sqrt()
    soft_centre = torch.pow(10, distance / priors[:, :, None, 2] - assigner.soft_center_radius)
    overlaps: Any = assigner.iou_calculator(candidates.take(predicted), boxes.corners)
    overlap_cost = -torch.log(overlaps + _LEAST_OVERLAP) * assigner.iou_weight

    logits = candidates.take(scores)[:, :, None]
    is_class = torch.arange(scores.size(2), device=scores.device) == boxes.labels[:, None, :, None]
    soft_label = is_class * overlaps[..., None]
    entropy = binary_cross_entropy_with_logits(logits.expand_as(soft_label), soft_label, reduction="none")
    class_cost = (entropy * (soft_label - logits.sigmoid()).abs().pow(2.0)).sum(-1)
    return assign(
        class_cost + overlap_cost + soft_centre,
        overlaps,
        candidates,
        boxes,
        most_points=assigner.topk,
        point_count=scores.size(1),
    )


def _find_inside(strides: Any, sizes: Any, metas: Any) -> Tensor:
    """Which points (N, P) lie in their image rather than in what it was padded with; made on the CPU."""
    levels: list[Tensor] = []
    for (stride_x, stride_y), (high, wide) in zip(strides, sizes, strict=True):
        rows = torch.tensor([math.ceil(meta["pad_shape"][0] / stride_y) for meta in metas])
        columns = torch.tensor([math.ceil(meta["pad_shape"][1] / stride_x) for meta in metas])
        inside = (torch.arange(high) < rows[:, None])[:, :, None] & (torch.arange(wide) < columns[:, None])[
            :, None
        ]
        levels.append(inside.flatten(1))
    return torch.cat(levels, dim=1)
