"""Focal losses and their gradients, element by element.

Source: Lin et al., "Focal loss for dense object detection", 2017; layout as MMCV's
`sigmoid_focal_loss_cuda_kernel.cuh` and `softmax_focal_loss_cuda_kernel.cuh`. The logarithms are exact where
MMCV's stop at the smallest normal float32, which shows only below a probability of 1e-38.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from raven_scan.trainer.operators.precision import computing_dtype


def sigmoid_focal_loss_forward(
    logits: Tensor,
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    *,
    gamma: float,
    alpha: float,
) -> None:
    """Write the loss of each class of each sample into `output`.

    Args:
        logits: (N, C).
        target: int64 (N,): class in [0, C); any other value is background.
        weight: (C,) factor of the samples of each class, or empty for none.
        output: out, (N, C).
        gamma: focusing exponent.
        alpha: share of the positives.
    """
    logits = logits.to(computing_dtype(logits.dtype))
    probability = logits.sigmoid()
    positive = (1 - probability).pow(gamma) * logsigmoid(logits) * -alpha
    negative = probability.pow(gamma) * logsigmoid(-logits) * (alpha - 1)
    loss = torch.where(_is_class(target, logits), positive, negative)
    output.copy_(_weighted_rows(loss, target, weight))


def sigmoid_focal_loss_backward(
    logits: Tensor,
    target: Tensor,
    weight: Tensor,
    grad_input: Tensor,
    *,
    gamma: float,
    alpha: float,
) -> None:
    """Write the derivative of each loss by its logit into `grad_input` (N, C); others as in the forward."""
    logits = logits.to(computing_dtype(logits.dtype))
    probability = logits.sigmoid()
    rest = 1 - probability
    positive = rest.pow(gamma) * (rest - gamma * probability * logsigmoid(logits)) * -alpha
    negative = probability.pow(gamma) * (gamma * rest * logsigmoid(-logits) - probability) * (alpha - 1)
    gradient = torch.where(_is_class(target, logits), positive, negative)
    grad_input.copy_(_weighted_rows(gradient, target, weight))


def softmax_focal_loss_forward(
    probabilities: Tensor,
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    *,
    gamma: float,
    alpha: float,
) -> None:
    """Write the loss of each sample into `output`.

    Args:
        probabilities: (N, C): the caller has taken the softmax.
        target: int64 (N,): class in [0, C); any other value has no loss.
        weight: (C,) factor of the samples of each class, or empty for none.
        output: out, (N,).
        gamma: focusing exponent.
        alpha: factor of the whole.
    """
    probability = _probability_of_target(probabilities, target)
    loss = (1 - probability).pow(gamma) * _log(probability) * -alpha
    output.copy_(_weighted_rows(_only_labelled(loss, target, probabilities), target, weight))


def softmax_focal_loss_backward(
    probabilities: Tensor,
    target: Tensor,
    weight: Tensor,
    buff: Tensor,
    grad_input: Tensor,
    *,
    gamma: float,
    alpha: float,
) -> None:
    """Write the derivative of each loss by the logits into `grad_input` (N, C); `buff` (N,) is scratch."""
    probability = _probability_of_target(probabilities, target)
    rest = 1 - probability
    # The derivative by the target's logit, but for its softmax factor, which comes below.
    # A sample without doubt has no loss; below an exponent of 1 its slope would be infinity times 0.
    slope = rest.clamp(min=torch.finfo(rest.dtype).tiny).pow(gamma - 1)
    outer = gamma * slope * probability * _log(probability) - rest.pow(gamma)
    outer = _weighted_rows(_only_labelled(outer * alpha, target, probabilities), target, weight)
    buff.copy_(outer)
    hit = _is_class(target, probabilities).to(outer.dtype)
    grad_input.copy_(outer[:, None] * (hit - probabilities.to(outer.dtype)))


def _is_class(target: Tensor, per_class: Tensor) -> Tensor:
    return target[:, None] == torch.arange(per_class.size(1), device=target.device)


def _weighted_rows(rows: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Multiply each sample by its class's weight; background, which has none, by 1."""
    if weight.numel() == 0:
        return rows
    factors = torch.cat((weight.to(rows.dtype), rows.new_ones(1)))
    labelled = (target >= 0) & (target < len(weight))
    factor = factors[torch.where(labelled, target, len(weight))]
    return rows * factor.view(-1, *[1] * (rows.dim() - 1))


def _probability_of_target(probabilities: Tensor, target: Tensor) -> Tensor:
    row = target.clamp(0, probabilities.size(1) - 1)[:, None]
    return probabilities.gather(1, row)[:, 0].to(computing_dtype(probabilities.dtype))


def _only_labelled(rows: Tensor, target: Tensor, per_class: Tensor) -> Tensor:
    return torch.where((target >= 0) & (target < per_class.size(1)), rows, 0)


def _log(probability: Tensor) -> Tensor:
    return probability.clamp(min=torch.finfo(probability.dtype).tiny).log()
