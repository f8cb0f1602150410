from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmcv.ops import sigmoid_focal_loss, softmax_focal_loss

Loss = Callable[..., torch.Tensor]


def sigmoid_by_the_paper(
    logits: torch.Tensor, target: torch.Tensor, gamma: float, alpha: float, weight: torch.Tensor | None
) -> torch.Tensor:
    """FL(p_t) = -alpha_t (1 - p_t)^gamma log(p_t), loop by loop."""
    rows: list[torch.Tensor] = []
    for sample, label in enumerate(target.tolist()):
        for column in range(logits.shape[1]):
            p = torch.sigmoid(logits[sample, column])
            p_t, alpha_t = (p, alpha) if column == label else (1 - p, 1 - alpha)
            factor = weight[label] if weight is not None and label < len(weight) else 1.0
            rows.append(-alpha_t * (1 - p_t) ** gamma * torch.log(p_t) * factor)
    return torch.stack(rows).view_as(logits)


def softmax_by_the_paper(
    logits: torch.Tensor, target: torch.Tensor, gamma: float, alpha: float, weight: torch.Tensor | None
) -> torch.Tensor:
    rows: list[torch.Tensor] = []
    for sample, label in enumerate(target.tolist()):
        exponentials = logits[sample].exp()
        p = exponentials[label] / exponentials.sum()
        factor = 1.0 if weight is None else weight[label]
        rows.append(-alpha * (1 - p) ** gamma * torch.log(p) * factor)
    return torch.stack(rows)


LOSSES = [(sigmoid_focal_loss, sigmoid_by_the_paper), (softmax_focal_loss, softmax_by_the_paper)]


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (1.5, 0.6), (0.5, 0.5)])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(("loss", "reference"), LOSSES, ids=["sigmoid", "softmax"])
def test_loss_and_gradient(
    *,
    device: str,
    dtype: torch.dtype,
    tolerance: dict[str, Any],
    loss: Loss,
    reference: Loss,
    gamma: float,
    alpha: float,
    weighted: bool,
    reduction: str,
):
    logits = (torch.randn(9, 4) * 3).to(device, dtype).requires_grad_()
    target = torch.randint(0, 4, (9,), device=device)
    weight = torch.rand(4).to(device, dtype) if weighted else None
    exact = logits.detach().double().requires_grad_()

    actual = loss(logits, target, gamma, alpha, weight, reduction)
    expected = reference(exact, target, gamma, alpha, None if weight is None else weight.double())
    if reduction != "none":
        expected = expected.sum() / (9 if reduction == "mean" else 1)
    # Sums of many rounded terms: MMCV adds them up in 16 bits.
    scale = 4 if reduction == "sum" else 1
    bounds = {"rtol": tolerance["rtol"] * scale, "atol": tolerance["atol"] * scale}
    torch.testing.assert_close(actual.double(), expected, **bounds)

    if loss is softmax_focal_loss and reduction == "none":
        return  # MMCV multiplies (N, C) by (N,) here: it has no gradient, compiled or not
    upstream = torch.randn(()).to(device, dtype)
    actual.backward(upstream.expand_as(actual))
    expected.backward(upstream.double().expand_as(expected))
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad.double(), exact.grad, **tolerance)


def test_background_is_a_negative_of_every_class(device: str):
    logits = torch.randn(3, 2, device=device)
    target = torch.full((3,), 2, device=device)
    weight = torch.tensor([5.0, 7.0], device=device)
    expected = sigmoid_by_the_paper(logits.double(), target, 2.0, 0.25, None).float()
    torch.testing.assert_close(sigmoid_focal_loss(logits, target, 2.0, 0.25, None, "none"), expected)
    torch.testing.assert_close(sigmoid_focal_loss(logits, target, 2.0, 0.25, weight, "none"), expected)


@pytest.mark.parametrize("loss", [sigmoid_focal_loss, softmax_focal_loss], ids=["sigmoid", "softmax"])
def test_no_samples(device: str, loss: Loss):
    logits = torch.zeros(0, 3, device=device, requires_grad=True)
    if loss is softmax_focal_loss:
        total = loss(logits, torch.zeros(0, dtype=torch.long, device=device), 2.0, 0.25, None, "sum")
    else:
        total = loss(logits, torch.zeros(0, dtype=torch.long, device=device), 2.0, 0.25, None, "none").sum()
    total.backward()
    assert total.item() == 0
    assert logits.grad is not None
    assert logits.grad.shape == (0, 3)


@pytest.mark.parametrize("loss", [sigmoid_focal_loss, softmax_focal_loss], ids=["sigmoid", "softmax"])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_logits_beyond_doubt_stay_finite(device: str, dtype: torch.dtype, loss: Loss, gamma: float):
    logits = torch.tensor([[80.0, -80.0], [-80.0, 80.0]], device=device, dtype=dtype, requires_grad=True)
    value = loss(logits, torch.tensor([0, 0], device=device), gamma, 0.25, None, "none")
    value.sum().backward()
    assert value.isfinite().all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
