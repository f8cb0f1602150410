"""Which boxes the points of a batch of images learn, all images at once.

MMDetection's assigners (SimOTA's, RTMDet's) take an image at a time, and of each image a box at a time. Here the
boxes of all images are padded to as many as one has, and where that saves work, so are the points that may be taken.

Source: Ge et al., "OTA", 2021, and "YOLOX", 2021 (SimOTA's dynamic k).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

# Pairs of a point and a box, times classes, that are looked at together; beyond, an image at a time needs less memory.
_MOST_PAIRS = 1 << 26
_NEVER = float("inf")


class Boxes(NamedTuple):
    """The boxes of N images, padded to the G of the one that has most.

    Attributes:
        corners: float (N, G, 4): x1 y1 x2 y2.
        labels: int64 (N, G).
        are_there: bool (N, G); False is padding.
    """

    corners: Tensor
    labels: Tensor
    are_there: Tensor


class Candidates(NamedTuple):
    """Points (N, M) of each image that may learn a box.

    Attributes:
        points: int64 (N, M), which they are.
        are_there: bool (N, M); False is padding.
    """

    points: Tensor
    are_there: Tensor

    def take(self, values: Tensor) -> Tensor:
        """Of values (N, P, ...) of all points those of the candidates, (N, M, ...)."""
        images = torch.arange(len(values), device=values.device)[:, None]
        return values[images, self.points]


class Assignment(NamedTuple):
    """What each of the P points of N images learns.

    Attributes:
        boxes: int64 (N, P), row of its box in the image, -1 for none.
        overlaps: float (N, P), of its prediction with that box, 0 for none.
    """

    boxes: Tensor
    overlaps: Tensor


class Learners(NamedTuple):
    """The points of a batch that learn a box: on the CPU those alone, elsewhere all points.

    To pick them elsewhere would have the CPU wait for the device.

    Attributes:
        rows: which of the N * P points, int64 (L,) or all.
        learn: bool (L,).
        corners: of the box, float (L, 4): x1 y1 x2 y2.
        labels: of the box, int64 (L,).
        overlaps: of the prediction with the box, float (L,).
    """

    rows: Tensor | slice
    learn: Tensor
    corners: Tensor
    labels: Tensor
    overlaps: Tensor

    def take(self, predictions: Tensor, target: Tensor) -> Tensor:
        """Of predictions (N, P, D) those of the learners, (L, D); where nothing is learned the target (L, D)."""
        taken = predictions.flatten(0, 1)[self.rows]
        return taken if _picks(taken) else torch.where(self.learn[:, None], taken, target)

    def weigh(self, losses: Tensor) -> Tensor:
        """Losses (L, ...) with 0 where nothing is learned."""
        return torch.where(self.learn.view(-1, *[1] * (losses.dim() - 1)), losses, 0)

    def sum(self, losses: Tensor) -> Tensor:
        return self.weigh(losses).sum()


def find_learners(assignment: Assignment, boxes: Boxes) -> Learners:
    """Which points learn, and what."""
    learn = assignment.boxes.flatten() >= 0
    rows = learn.nonzero()[:, 0] if _picks(learn) else slice(None)
    images, points = assignment.boxes.shape
    image = torch.arange(images, device=learn.device)[:, None].expand(images, points).flatten()[rows]
    box = assignment.boxes.flatten()[rows].clamp(min=0)
    return Learners(
        rows,
        learn[rows],
        boxes.corners[image, box],
        boxes.labels[image, box],
        assignment.overlaps.flatten()[rows],
    )


def find_padded_boxes(instances: list[Any], points: int, classes: int) -> Boxes | None:
    """The boxes of a batch; None where there is none, where they are more than boxes, or too many for the memory."""
    counts = [len(image.bboxes) for image in instances]
    most = max(counts, default=0)
    plain = all(isinstance(image.bboxes, Tensor) and "masks" not in image for image in instances)
    if not plain or not 0 < len(counts) * most * points * classes <= _MOST_PAIRS:
        return None
    corners = pad_sequence([image.bboxes for image in instances], batch_first=True)
    labels = pad_sequence([image.labels for image in instances], batch_first=True).long()
    there = torch.arange(most) < torch.tensor(counts)[:, None]
    return Boxes(corners, labels, there.to(corners.device, non_blocking=True))


def list_candidates(may_learn: Tensor) -> Candidates:
    """The points of a mask (N, P), in their order.

    On the CPU as many as the image with most has. Elsewhere all are taken along: to find out how many there are would
    have the CPU wait for the device.
    """
    images, points = may_learn.shape
    if not _picks(may_learn):
        return Candidates(torch.arange(points, device=may_learn.device).expand(images, points), may_learn)
    counts = may_learn.sum(dim=1)
    most = max(int(counts.max()), 1)
    image, point = may_learn.nonzero(as_tuple=True)
    place = torch.arange(len(image)) - (counts.cumsum(0) - counts)[image]
    listed = torch.zeros(images, most, dtype=torch.int64)
    listed[image, place] = point
    return Candidates(listed, torch.arange(most) < counts[:, None])


def assign(
    cost: Tensor,
    overlaps: Tensor,
    candidates: Candidates,
    boxes: Boxes,
    *,
    most_points: int,
    point_count: int,
) -> Assignment:
    """Give each box the points of least cost, and a point that several boxes got to the box that costs it least.

    A box gets as many points as its `most_points` best overlaps sum up to, at least one. Of points that cost a box
    the same, any may come first, as with MMDetection.

    Args:
        cost: float (N, M, G), of candidates and boxes.
        overlaps: float (N, M, G), of the candidates' predictions with the boxes.
        candidates: (N, M).
        boxes: (N, G).
        most_points: that a box may get.
        point_count: P.
    """
    pairs = candidates.are_there[:, :, None] & boxes.are_there[:, None, :]
    cost = torch.where(pairs, cost, _NEVER)
    overlaps = torch.where(pairs, overlaps, 0)
    most_points = min(most_points, cost.size(1))
    counts = overlaps.topk(most_points, dim=1).values.sum(dim=1).int().clamp(min=1)
    least, chosen = cost.topk(most_points, dim=1, largest=False)
    rank = torch.arange(most_points, device=cost.device)[:, None]
    takes = (rank < counts[:, None, :]) & (least < _NEVER)
    matched = torch.zeros_like(pairs).scatter_(1, chosen, takes)

    takers = matched.sum(dim=2)
    # The one that took it, or of several the one that costs least of all, whether it took the point or not.
    box = torch.where(takers > 1, cost.argmin(dim=2), matched.to(torch.uint8).argmax(dim=2))
    learns = takers > 0
    overlap = torch.where(learns, overlaps.gather(2, box[:, :, None])[:, :, 0], 0)

    # Padding goes to a place behind the last point.
    places = torch.where(candidates.are_there, candidates.points, point_count)
    shape = (len(cost), point_count + 1)
    all_boxes = torch.full(shape, -1, dtype=torch.int64, device=cost.device)
    all_boxes.scatter_(1, places, torch.where(learns, box, -1))
    all_overlaps = overlap.new_zeros(shape).scatter_(1, places, overlap)
    return Assignment(all_boxes[:, :point_count], all_overlaps[:, :point_count])


def _picks(values: Tensor) -> bool:
    """Whether to find out how many of something there are; on a device the CPU would have to wait for it."""
    return values.device.type == "cpu"
