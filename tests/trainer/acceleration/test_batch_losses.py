"""Losses and assignment of a whole batch against MMDetection's of an image at a time."""

import copy
import pickle
from typing import Any

import pytest
import torch

from raven_scan.trainer.acceleration import dynamic_k_assignment, rtmdet_loss, yolox_loss
from raven_scan.trainer.acceleration.dynamic_k_assignment import find_padded_boxes
from raven_scan.trainer.heads import RavenRTMDetHead

# isort: split
from mmdet.models.dense_heads import RTMDetSepBNHead, YOLOXHead
from mmdet.structures.bbox import distance2bbox
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

SIZES = [(12, 14), (6, 7), (3, 4)]
STRIDES = [8, 16, 32]


def make_rtmdet(classes: int, kind: type = RTMDetSepBNHead, **train: Any) -> Any:
    return kind(
        num_classes=classes,
        in_channels=4,
        feat_channels=4,
        stacked_convs=1,
        anchor_generator={"type": "MlvlPointGenerator", "offset": 0, "strides": STRIDES},
        bbox_coder={"type": "DistancePointBBoxCoder"},
        loss_cls={"type": "QualityFocalLoss", "use_sigmoid": True, "beta": 2.0, "loss_weight": 1.0},
        loss_bbox={"type": "GIoULoss", "loss_weight": 2.0},
        with_objectness=False,
        train_cfg=ConfigDict(
            assigner={"type": "DynamicSoftLabelAssigner", "topk": 13},
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
            **train,
        ),
    )


def make_yolox(classes: int) -> Any:
    return YOLOXHead(
        num_classes=classes,
        in_channels=4,
        feat_channels=4,
        stacked_convs=1,
        strides=STRIDES,
        train_cfg=ConfigDict(assigner={"type": "SimOTAAssigner", "center_radius": 2.5}),
    )


def accelerated(head: Any) -> Any:
    model = torch.nn.Sequential(copy.deepcopy(head))
    rtmdet_loss.accelerate_rtmdet_loss(model)
    yolox_loss.accelerate_yolox_loss(model)
    assert type(model[0]) is not type(head)
    return pickle.loads(pickle.dumps(model))[0]  # noqa: S301 - made here


def make_truth(counts: list[int], classes: int) -> tuple[list[InstanceData], list[dict[str, Any]]]:
    images: list[InstanceData] = []
    for count in counts:
        corner = torch.rand(count, 2) * torch.tensor([100.0, 80.0])
        size = 2 + torch.rand(count, 2).pow(2) * 60
        boxes = torch.cat((corner, corner + size), dim=1)
        # Some images show the same box twice.
        boxes[1:2] = boxes[:1]
        images.append(InstanceData(bboxes=boxes, labels=torch.randint(0, classes, (count,))))
    shapes = [(96, 112), (96, 96), (64, 112)]
    return images, [{"img_shape": shapes[i % 3], "pad_shape": shapes[i % 3]} for i in range(len(counts))]


def make_predictions(
    images: int, classes: int, *, objectness: bool, distances: bool
) -> list[list[torch.Tensor]]:
    scores = [torch.randn(images, classes, *size) for size in SIZES]
    boxes = [torch.randn(images, 4, *size) for size in SIZES]
    if distances:
        boxes = [level.exp() * stride for level, stride in zip(boxes, STRIDES, strict=True)]
    return [scores, boxes, *([[torch.randn(images, 1, *size) for size in SIZES]] if objectness else [])]


def compute(head: Any, predictions: list[list[torch.Tensor]], truth: Any) -> tuple[dict[str, Any], list[Any]]:
    leaves = [[level.clone().requires_grad_() for level in levels] for levels in predictions]
    ignored = [InstanceData(bboxes=torch.rand(2, 4)) for _ in truth[0]]
    losses = head.loss_by_feat(*leaves, *truth, ignored)
    added = {name: torch.stack(loss if isinstance(loss, list) else [loss]) for name, loss in losses.items()}
    # Each loss by another factor, so that none stands in for another.
    total: Any = sum(loss.sum() * (i + 1) for i, loss in enumerate(added.values()))
    total.backward()
    return added, [level.grad for levels in leaves for level in levels]


def assert_same_losses(
    head: Any, fast: Any, predictions: list[list[torch.Tensor]], truth: Any, **tolerance: Any
):
    expected, expected_gradients = compute(head, predictions, truth)
    actual, gradients = compute(fast, predictions, truth)
    tolerance = tolerance or {"rtol": 2e-5, "atol": 1e-6}
    assert list(actual) == list(expected)
    for name, loss in expected.items():
        torch.testing.assert_close(actual[name].reshape(loss.shape), loss, **tolerance)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        assert gradient is not None
        torch.testing.assert_close(gradient, wanted, **tolerance)


COUNTS = [[1], [0, 5, 2], [30, 0, 1, 4], [0, 0, 0], [3, 3]]


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_rtmdet(counts: list[int], classes: int):
    torch.manual_seed(len(counts))
    for kind in (RTMDetSepBNHead, RavenRTMDetHead):
        head = make_rtmdet(classes, kind)
        predictions = make_predictions(len(counts), classes, objectness=False, distances=True)
        assert_same_losses(head, accelerated(head), predictions, make_truth(counts, classes))


@pytest.mark.parametrize("use_l1", [False, True])
@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_yolox(counts: list[int], classes: int, *, use_l1: bool):
    torch.manual_seed(len(counts))
    head = make_yolox(classes)
    head.use_l1 = use_l1
    predictions = make_predictions(len(counts), classes, objectness=True, distances=False)
    fast = accelerated(head)
    assert fast.use_l1 == use_l1
    assert_same_losses(head, fast, predictions, make_truth(counts, classes))


@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_all_points_taken_along(counts: list[int], monkeypatch: pytest.MonkeyPatch):
    """What runs where the CPU must not wait for a device."""
    monkeypatch.setattr(dynamic_k_assignment, "_picks", lambda _values: False)  # pyright: ignore[reportUnknownLambdaType]
    torch.manual_seed(2)
    rtmdet, yolox = make_rtmdet(3), make_yolox(3)
    yolox.use_l1 = True
    for head in (rtmdet, yolox):
        predictions = make_predictions(len(counts), 3, objectness=head is yolox, distances=head is rtmdet)
        assert_same_losses(head, accelerated(head), predictions, make_truth(counts, 3))


def test_the_same_boxes_are_assigned():
    torch.manual_seed(7)
    truth, metas = make_truth([12, 0, 3, 25], 4)
    rtmdet, yolox = make_rtmdet(4), make_yolox(4)
    boxes = find_padded_boxes(truth, 1000, 4)
    assert boxes is not None
    for head in (rtmdet, yolox):
        scores, distances = (
            torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
            for levels in make_predictions(4, 4, objectness=False, distances=True)
        )
        priors = torch.cat(head.prior_generator.grid_priors(SIZES, device="cpu", with_stride=True))
        predicted: Any = distance2bbox(priors, distances)
        centred = priors
        if head is rtmdet:
            inside = torch.ones(len(metas), len(priors), dtype=torch.bool)
            actual = rtmdet_loss.assign_boxes(head.assigner, scores, predicted, priors, inside, boxes)
        else:
            scores = scores.sigmoid()
            actual = yolox_loss.assign_boxes(head.assigner, scores, predicted, priors, boxes)
            centred = torch.cat((priors[:, :2] + priors[:, 2:] * 0.5, priors[:, 2:]), dim=1)
        assert (actual.boxes >= 0).any()
        for i, image in enumerate(truth):
            points = InstanceData(scores=scores[i], bboxes=predicted[i], priors=centred)
            expected = head.assigner.assign(points, image)
            assert actual.boxes[i].equal(expected.gt_inds - 1)
            learns = expected.gt_inds > 0
            assert actual.overlaps[i][learns].equal(expected.max_overlaps[learns])


def test_bfloat16_predictions():
    """The fast way computes them in float32; MMDetection rounds in between."""
    torch.manual_seed(4)
    head = make_rtmdet(3)
    predictions = make_predictions(2, 3, objectness=False, distances=True)
    rounded = [[level.bfloat16() for level in levels] for levels in predictions]
    exact = [[level.float() for level in levels] for levels in rounded]
    truth = make_truth([4, 2], 3)
    expected, expected_gradients = compute(head, exact, truth)
    actual, gradients = compute(accelerated(head), rounded, truth)
    for name, loss in expected.items():
        torch.testing.assert_close(actual[name], loss, rtol=2e-5, atol=1e-6)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, wanted.bfloat16(), rtol=1e-2, atol=1e-6)


def test_too_many_pairs_are_left_to_mmdetection(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(4)
    monkeypatch.setattr(dynamic_k_assignment, "_MOST_PAIRS", 10)
    head = make_rtmdet(3)
    predictions = make_predictions(2, 3, objectness=False, distances=True)
    assert_same_losses(head, accelerated(head), predictions, make_truth([4, 2], 3), rtol=0, atol=0)


def test_heads_that_are_not_known_stay():
    head = make_rtmdet(2)
    head.train_cfg["allowed_border"] = 0
    rtmdet_loss.accelerate_rtmdet_loss(head)
    assert type(head) is RTMDetSepBNHead
