import math

import numpy as np
import pytest
import torch
from mmcv.ops import batched_nms, nms, nms_match, soft_nms


def iou(a: list[float], b: list[float], offset: int = 0) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + offset)
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + offset)
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    union = sum(areas) - width * height
    return width * height / union if union else 0.0


def greedy(boxes: list[list[float]], scores: list[float], threshold: float, offset: int = 0) -> list[int]:
    kept: list[int] = []
    for row in sorted(range(len(boxes)), key=lambda row: -scores[row]):
        if all(iou(boxes[row], boxes[better], offset) <= threshold for better in kept):
            kept.append(row)
    return kept


def crowd(number: int, device: str, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes that overlap a lot, on whole pixels that 16 bits hold, with scores that differ in 16 bits."""
    corners = torch.randint(0, 60, (number, 2))
    boxes = torch.cat((corners, corners + torch.randint(8, 40, (number, 2))), dim=1)
    scores = (torch.randperm(number) + 1) / 256
    return boxes.to(device, dtype), scores.to(device, dtype)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0.317, 0.653])
def test_nms(device: str, dtype: torch.dtype, threshold: float, offset: int):
    boxes, scores = crowd(120, device, dtype)
    detections, kept = nms(boxes, scores, threshold, offset=offset)
    assert kept.tolist() == greedy(boxes.tolist(), scores.tolist(), threshold, offset)
    assert kept.dtype == torch.int64
    assert 0 < len(kept) < len(boxes)
    assert isinstance(detections, torch.Tensor)
    assert torch.equal(detections, torch.cat((boxes[kept], scores[kept, None]), dim=1))


def test_nms_of_numpy_boxes():
    boxes, scores = crowd(40, "cpu")
    detections, kept = nms(boxes.numpy(), scores.numpy(), 0.517)
    assert isinstance(detections, np.ndarray)
    assert kept.tolist() == greedy(boxes.tolist(), scores.tolist(), 0.517)


def test_nms_with_a_lowest_score_and_a_largest_number(device: str):
    boxes, scores = crowd(120, device)
    _, kept = nms(boxes, scores, 0.517, score_threshold=0.2, max_num=5)
    above = [row for row, score in enumerate(scores.tolist()) if score > 0.2]
    expected = greedy([boxes[row].tolist() for row in above], [scores[row].item() for row in above], 0.517)
    assert kept.tolist() == [above[row] for row in expected][:5]


def test_nms_of_no_box_and_of_one(device: str, dtype: torch.dtype):
    boxes, scores = crowd(1, device, dtype)
    detections, kept = nms(boxes[:0], scores[:0], 0.517)
    assert detections.shape == (0, 5)
    assert kept.shape == (0,)
    assert kept.dtype == torch.int64
    assert nms(boxes, scores, 0.517)[1].tolist() == [0]


def test_nms_keeps_boxes_without_area(device: str):
    boxes = torch.tensor([[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10]], dtype=torch.float32, device=device)
    scores = torch.tensor([0.9, 0.8, 0.7], device=device)
    assert nms(boxes, scores, 0.517)[1].tolist() == [0, 1, 2]


def test_nms_takes_no_part_in_gradients(device: str):
    boxes, scores = crowd(20, device)
    scores.requires_grad_()
    detections, kept = nms(boxes, scores, 0.517)
    detections[:, 4].sum().backward()
    assert scores.grad is not None
    assert scores.grad.nonzero()[:, 0].tolist() == sorted(kept.tolist())


@pytest.mark.parametrize("split_thr", [10000, 10], ids=["at once", "class by class"])
def test_batched_nms_keeps_classes_apart(device: str, split_thr: int):
    boxes, scores = crowd(120, device)
    classes = torch.randint(0, 4, (120,), device=device)
    classes[classes == 2] = 3  # a group without boxes
    detections, kept = batched_nms(
        boxes, scores, classes, {"type": "nms", "iou_threshold": 0.413, "split_thr": split_thr}
    )
    expected: list[int] = []
    for number in range(4):
        rows = (classes == number).nonzero()[:, 0].tolist()
        kept_here = greedy([boxes[row].tolist() for row in rows], [scores[row].item() for row in rows], 0.413)
        expected += [rows[row] for row in kept_here]
    expected.sort(key=lambda row: -scores[row].item())
    assert kept.tolist() == expected
    assert torch.equal(detections, torch.cat((boxes[kept], scores[kept, None]), dim=1))


def test_batched_nms_over_all_classes(device: str):
    boxes, scores = crowd(60, device)
    classes = torch.randint(0, 4, (60,), device=device)
    _, kept = batched_nms(
        boxes, scores, classes, {"type": "nms", "iou_threshold": 0.413}, class_agnostic=True
    )
    assert kept.tolist() == greedy(boxes.tolist(), scores.tolist(), 0.413)


def soften(
    boxes: list[list[float]],
    scores: list[float],
    method: str,
    *,
    threshold: float,
    sigma: float,
    min_score: float,
    offset: int,
) -> tuple[list[int], list[float]]:
    left = dict(enumerate(scores))
    picked: list[int] = []
    final: list[float] = []
    while left:
        best = max(left, key=lambda row: left[row])
        picked.append(best)
        final.append(left.pop(best))
        for row in list(left):
            overlap = iou(boxes[best], boxes[row], offset)
            if method == "gaussian":
                left[row] *= math.exp(-(overlap**2) / sigma)
            elif overlap >= threshold:
                left[row] *= 1 - overlap if method == "linear" else 0
            if left[row] < min_score:
                del left[row]
    return picked, final


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("method", ["naive", "linear", "gaussian"])
def test_soft_nms(device: str, method: str, offset: int):
    boxes, scores = crowd(80, device)
    detections, kept = soft_nms(
        boxes, scores, iou_threshold=0.317, sigma=0.5, min_score=0.05, method=method, offset=offset
    )
    expected, expected_scores = soften(
        boxes.tolist(),
        scores.tolist(),
        method,
        threshold=0.317,
        sigma=0.5,
        min_score=0.05,
        offset=offset,
    )
    assert kept.tolist() == expected
    assert 0 < len(kept) < len(boxes)
    assert isinstance(detections, torch.Tensor)
    assert detections.device.type == device
    np.testing.assert_allclose(detections[:, 4].cpu(), expected_scores, rtol=1e-5)
    assert torch.equal(detections[:, :4], boxes[kept])


def test_soft_nms_of_no_box_and_of_one(device: str):
    boxes, scores = crowd(1, device)
    detections, kept = soft_nms(boxes[:0], scores[:0])
    assert detections.shape == (0, 5)
    assert kept.shape == (0,)
    assert soft_nms(boxes, scores, min_score=0.9)[1].tolist() == [0]


def test_soft_nms_within_classes(device: str):
    boxes, scores = crowd(40, device)
    classes = torch.randint(0, 2, (40,), device=device)
    _, kept = batched_nms(boxes, scores, classes, {"type": "soft_nms", "min_score": 0.05, "method": "naive"})
    assert 0 < len(kept) < 40


def test_nms_match(device: str):
    boxes, scores = crowd(60, device)
    groups = nms_match(torch.cat((boxes, scores[:, None]), dim=1), 0.413)
    left = sorted(range(60), key=lambda row: -scores[row].item())
    expected: list[list[int]] = []
    while left:
        best = left[0]
        expected.append(
            [best] + [row for row in left[1:] if iou(boxes[best].tolist(), boxes[row].tolist()) >= 0.413]
        )
        left = [row for row in left if row not in expected[-1]]
    assert [group.tolist() for group in groups] == expected
    assert nms_match(torch.zeros(0, 5, device=device), 0.413) == []
