"""Which boxes stay: the operations at the end of every detector, in a form that becomes standard ONNX."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import nms

OUT = -1.0
"""Score of a box that is not in the running."""

# Real scores are 0 or more; the middle keeps clear of both.
_LEAST_SCORE = OUT / 2
_MOST_PER_CLASS = 2**31 - 1


class _SuppressOverlaps(torch.autograd.Function):
    """Its `symbolic` is what the exporter puts into the graph; `forward` says the same in PyTorch."""

    @staticmethod
    def forward(ctx: Any, boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
        del ctx
        kept = [torch.empty((0, 3), dtype=torch.int64)]
        for batch in range(scores.shape[0]):
            for label in range(scores.shape[1]):
                rows = torch.nonzero(scores[batch, label] > _LEAST_SCORE)[:, 0]
                rows = rows[nms(boxes[batch, rows], scores[batch, label, rows], iou_threshold)]
                places = torch.full_like(rows, batch), torch.full_like(rows, label), rows
                kept.append(torch.stack(places, dim=1))
        return torch.cat(kept)

    @staticmethod
    def symbolic(graph: Any, boxes: Any, scores: Any, iou_threshold: float) -> Any:
        def constant(value: float) -> Any:
            return graph.op("Constant", value_t=torch.tensor([value]))

        return graph.op(
            "NonMaxSuppression",
            boxes,
            scores,
            constant(_MOST_PER_CLASS),
            constant(iou_threshold),
            constant(_LEAST_SCORE),
        )


def suppress_overlaps(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Greedy non-maximum suppression, batch by batch and class by class: ONNX's NonMaxSuppression.

    Args:
        boxes: float32 (B, N, 4): x1 y1 x2 y2.
        scores: float32 (B, C, N); `OUT` takes a box out of the running in a class.
        iou_threshold: a box that overlaps a better one of its class by more than this is dropped.

    Returns:
        int64 (S, 3): batch, class and box of what is kept.
    """
    kept: Tensor = _SuppressOverlaps.apply(boxes, scores, iou_threshold)
    return kept


def leave_best(scores: Tensor, limit: int) -> Tensor:
    """Take all but the best `limit` scores of each image out of the running.

    Args:
        scores: float32 (B, C, N).
        limit: how many of an image's C x N stay; where there are no more, all do.

    Returns:
        float32 (B, C, N): `scores`, or `OUT`.
    """
    # With as many that lose against all, so that there always is a last one of the best.
    flat = functional.pad(scores.flatten(1), (0, limit), value=2 * OUT)
    least = torch.topk(flat, limit, dim=1).values[:, -1:, None]
    return torch.where(scores >= least, scores, OUT)


def order_best(images: Tensor, scores: Tensor, batch_size: int, limit: int | None) -> Tensor:
    """The best detections of each image: image by image, best score first.

    Args:
        images: int64 (D,): row of the batch that a detection is in.
        scores: float32 (D,), 0 to 1.
        batch_size: rows of the batch.
        limit: how many of an image stay; None for all.

    Returns:
        int64 (K,): their positions.
    """
    # In double precision the sum holds both, exactly.
    order = torch.argsort(images.double() * 2 - scores.double())
    if limit is None:
        return order
    images = images[order]
    starts = (images[None, :] < torch.arange(batch_size)[:, None]).sum(dim=1)
    ranks = torch.arange(images.shape[0]) - starts[images]
    return order[torch.nonzero(ranks < limit)[:, 0]]
