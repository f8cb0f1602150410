"""YOLOX's loss for a whole batch at once.

Source: Ge et al., "YOLOX: Exceeding YOLO Series in 2021".
"""

from typing import Any

# Before MMCV's operators are imported.
import raven_scan.trainer.operators.install_on_import  # noqa: F401  # pyright: ignore[reportUnusedImport]  # for its effect

# isort: split
import torch
from mmdet.models.dense_heads import YOLOXHead
from mmdet.models.losses import CrossEntropyLoss
from mmdet.models.task_modules.assigners import SimOTAAssigner
from mmdet.utils import reduce_mean
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from raven_scan.trainer.acceleration.dynamic_k_assignment import (
    Assignment,
    Boxes,
    assign,
    find_learners,
    find_padded_boxes,
    list_candidates,
)

# The assigner's.
_LEAST_OVERLAP = 1e-7
_COST_OFF_CENTRE = 100000.0


def accelerate_yolox_loss(model: nn.Module) -> None:
    """Let the model's YOLOX heads find targets and loss of all images at once."""
    for module in model.modules():
        if type(module) is YOLOXHead and _is_known(module):
            module.__class__ = BatchYOLOXHead


def _is_known(head: Any) -> bool:
    losses = (head.loss_cls, head.loss_bbox, head.loss_obj, head.loss_l1)
    return (
        type(head.assigner) is SimOTAAssigner
        and type(head.loss_cls) is CrossEntropyLoss
        and head.loss_cls.use_sigmoid
        and all(loss.reduction == "sum" for loss in losses)
    )


class BatchYOLOXHead(YOLOXHead):
    """MMDetection's head with the loss of a whole batch."""

    def loss_by_feat(
        self,
        cls_scores: Any,
        bbox_preds: Any,
        objectnesses: Any,
        batch_gt_instances: Any,
        batch_img_metas: Any,
        batch_gt_instances_ignore: Any = None,
    ) -> dict[str, Any]:
        """As MMDetection's; in float32 whatever the predictions are in."""
        images = len(batch_img_metas)
        sizes = [scores.shape[-2:] for scores in cls_scores]
        point_count = sum(high * wide for high, wide in sizes)
        boxes = find_padded_boxes(batch_gt_instances, point_count, self.cls_out_channels)
        if boxes is None:
            return super().loss_by_feat(
                cls_scores,
                bbox_preds,
                objectnesses,
                batch_gt_instances,
                batch_img_metas,
                batch_gt_instances_ignore,
            )
        priors = torch.cat(
            self.prior_generator.grid_priors(sizes, device=cls_scores[0].device, with_stride=True)
        )
        scores, raw_boxes, objectness = (
            torch.cat([level.permute(0, 2, 3, 1).reshape(images, -1, last) for level in levels], 1).float()
            for levels, last in ((cls_scores, self.cls_out_channels), (bbox_preds, 4), (objectnesses, 1))
        )
        predicted: Any = self._bbox_decode(priors, raw_boxes)
        with torch.no_grad():
            confidence = (scores.sigmoid() * objectness.sigmoid()).sqrt()
            assignment = assign_boxes(self.assigner, confidence, predicted, priors, boxes)
        return self._lose(scores, raw_boxes, objectness, predicted, priors, boxes, assignment)

    def _lose(
        self,
        scores: Tensor,
        raw_boxes: Tensor,
        objectness: Tensor,
        predicted: Tensor,
        priors: Tensor,
        boxes: Boxes,
        assignment: Assignment,
    ) -> dict[str, Any]:
        learners = find_learners(assignment, boxes)
        total = reduce_mean((assignment.boxes >= 0).sum().float()).clamp(min=1.0)

        def add_up(loss: Any, predictions: Tensor, target: Tensor) -> Tensor:
            if len(target) == 0:
                # As MMDetection: no branch is left without a gradient.
                return predictions.sum() * 0
            losses = loss(learners.take(predictions, target), target, reduction_override="none")
            return learners.sum(losses) / total

        is_class = torch.arange(self.num_classes, device=scores.device) == learners.labels[:, None]
        is_object = (assignment.boxes >= 0).to(scores.dtype)
        losses = {
            "loss_cls": add_up(self.loss_cls, scores, is_class * learners.overlaps[:, None]),
            "loss_bbox": add_up(self.loss_bbox, predicted, learners.corners),
            "loss_obj": self.loss_obj(objectness.view(-1, 1), is_object.view(-1, 1)) / total,
        }
        if self.use_l1:
            points: Any = priors.expand(len(scores), -1, -1).flatten(0, 1)[learners.rows]
            targets: Any = self._get_l1_target(torch.zeros_like(points), learners.corners, points)
            losses["loss_l1"] = add_up(self.loss_l1, raw_boxes, targets)
        return losses


def assign_boxes(
    assigner: SimOTAAssigner, confidence: Tensor, predicted: Tensor, priors: Tensor, boxes: Boxes
) -> Assignment:
    """What `SimOTAAssigner` assigns, for all images.

    Args:
        assigner: with its parameters.
        confidence: of each class, float (N, P, C) in [0, 1].
        predicted: float (N, P, 4): x1 y1 x2 y2.
        priors: float (P, 4): x y of the corner of a point's pixel, strides of its level.
        boxes: (N, G).
    """
    strides = priors[:, None, 2:]
    points = priors[:, None, :2] + strides * 0.5
    upper, lower = boxes.corners[:, None, :, :2], boxes.corners[:, None, :, 2:]
    deltas = torch.cat((points - upper, lower - points), dim=-1)
    is_in_box = (deltas.amin(dim=-1) > 0) & boxes.are_there[:, None]
    centres, reach = (upper + lower) / 2.0, assigner.center_radius * strides
    deltas = torch.cat((points - (centres - reach), (centres + reach) - points), dim=-1)
    is_in_centre = (deltas.amin(dim=-1) > 0) & boxes.are_there[:, None]
    candidates = list_candidates((is_in_box | is_in_centre).any(dim=2))

    overlaps: Any = assigner.iou_calculator(candidates.take(predicted), boxes.corners)
    is_class = torch.arange(confidence.size(2), device=confidence.device) == boxes.labels[:, None, :, None]
    pairs = (*overlaps.shape, confidence.size(2))
    with torch.autocast(confidence.device.type, enabled=False):
        entropy = binary_cross_entropy(
            candidates.take(confidence)[:, :, None].expand(pairs),
            is_class.expand(pairs).to(confidence.dtype),
            reduction="none",
        )
    cost = (
        entropy.sum(-1) * assigner.cls_weight
        + -torch.log(overlaps + _LEAST_OVERLAP) * assigner.iou_weight
        + ~candidates.take(is_in_box & is_in_centre) * _COST_OFF_CENTRE
    )
    return assign(
        cost,
        overlaps,
        candidates,
        boxes,
        most_points=assigner.candidate_topk,
        point_count=confidence.size(1),
    )
