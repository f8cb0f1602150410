import torch
from torch import Tensor

from raven_scan.trainer.operators.precision import computing_dtype

_MODE_IOU = 0


def bbox_overlaps(
    bboxes1: Tensor,
    bboxes2: Tensor,
    ious: Tensor,
    *,
    mode: int,
    aligned: bool,
    offset: int,
) -> None:
    """Overlap of boxes, written into `ious`.

    Args:
        bboxes1: (M, 4): x1 y1 x2 y2.
        bboxes2: (N, 4): x1 y1 x2 y2; N equals M when `aligned`.
        ious: out, (M, N), or (M,) when `aligned`.
        mode: 0 intersection over union, 1 intersection over the area of `bboxes1`.
        aligned: row by row instead of every pair.
        offset: added to widths and heights: 1 where coordinates are indices of inclusive pixels, otherwise 0.
    """
    dtype = computing_dtype(bboxes1.dtype)
    first, second = bboxes1.to(dtype), bboxes2.to(dtype)
    area1, area2 = _areas(first, offset), _areas(second, offset)
    if not aligned:
        first, area1 = first[:, None], area1[:, None]
    sizes = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])
    overlap = (sizes + offset).clamp(min=0).prod(dim=-1)
    ious.copy_(overlap / (area1 + area2 - overlap if mode == _MODE_IOU else area1))


def _areas(boxes: Tensor, offset: int) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0] + offset) * (boxes[:, 3] - boxes[:, 1] + offset)
