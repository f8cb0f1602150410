import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import nms as torchvision_nms

from raven_scan.trainer.operators.precision import computing_dtype

_Floats = NDArray[np.float32]
_METHOD_NAIVE, _METHOD_LINEAR, _METHOD_GAUSSIAN = 0, 1, 2


def nms(boxes: Tensor, scores: Tensor, *, iou_threshold: float, offset: int) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        boxes: (N, 4): x1 y1 x2 y2.
        scores: (N,).
        iou_threshold: a box that overlaps a better one by more than this is dropped.
        offset: added to widths and heights, 0 or 1.

    Returns:
        int64 (K,): kept rows, best score first.
    """
    dtype = computing_dtype(boxes.dtype)
    boxes = boxes.detach().to(dtype)
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision_nms(boxes, scores.detach().to(dtype), iou_threshold)


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    *,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft non-maximum suppression: overlapping boxes lose score instead of being dropped.

    On the CPU, to where MMCV brings the tensors.

    Args:
        boxes: (N, 4): x1 y1 x2 y2.
        scores: (N,).
        dets: out, (N, 5): the first K rows become x1 y1 x2 y2 and the lowered score, in the order of picking.
        iou_threshold: overlap from which `naive` and `linear` act.
        sigma: width of the `gaussian` decay.
        min_score: a box whose score falls below is dropped; the best box of all never is.
        method: 0 naive, 1 linear, 2 gaussian.
        offset: added to widths and heights, 0 or 1.

    Returns:
        int64 (K,): kept rows, in the order of picking.

    Source: Bodla et al., "Soft-NMS: improving object detection with one line of code", 2017.
    """
    corners = boxes.detach().float().numpy()
    left = scores.detach().float().numpy().copy()
    rows = np.arange(len(left))
    kept_rows: list[int] = []
    kept_scores: list[float] = []
    while len(rows):
        best = int(left.argmax())
        row = int(rows[best])
        kept_rows.append(row)
        kept_scores.append(float(left[best]))
        rows, left = np.delete(rows, best), np.delete(left, best)
        overlap = _overlaps_with_one(corners[row], corners[rows], offset)
        if method == _METHOD_GAUSSIAN:
            left = left * np.exp(-(overlap**2) / sigma)
        elif method == _METHOD_LINEAR:
            left = np.where(overlap >= iou_threshold, left * (1 - overlap), left)
        else:
            left = np.where(overlap >= iou_threshold, np.float32(0), left)
        stays = ~(left < min_score)
        rows, left = rows[stays], left[stays]
    kept = torch.tensor(kept_rows, dtype=torch.int64)
    dets[: len(kept), :4] = boxes.detach()[kept].to(dets.dtype)
    dets[: len(kept), 4] = torch.tensor(kept_scores, dtype=dets.dtype)
    return kept


def nms_match(dets: Tensor, *, iou_threshold: float) -> list[list[int]]:
    """Greedy suppression that tells which box suppressed which.

    Args:
        dets: (N, 5): x1 y1 x2 y2 score, on the CPU.
        iou_threshold: a box that overlaps a better one by this or more joins its group.

    Returns:
        A group per kept box: its row first, then the rows that it suppressed, best score first.
    """
    values = dets.detach().float().numpy()
    rows = np.argsort(-values[:, 4], kind="stable")
    groups: list[list[int]] = []
    while len(rows):
        row, rows = rows[0], rows[1:]
        joins = _overlaps_with_one(values[row, :4], values[rows, :4], 0) >= iou_threshold
        groups.append([int(row), *rows[joins].tolist()])
        rows = rows[~joins]
    return groups


def _overlaps_with_one(box: _Floats, others: _Floats, offset: int) -> _Floats:
    width = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0]) + offset
    height = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1]) + offset
    overlap = np.maximum(width, 0) * np.maximum(height, 0)
    area = (box[2] - box[0] + offset) * (box[3] - box[1] + offset)
    areas = (others[:, 2] - others[:, 0] + offset) * (others[:, 3] - others[:, 1] + offset)
    union = area + areas - overlap
    # Two boxes without an area have no overlap, where a division would give NaN.
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union != 0)
