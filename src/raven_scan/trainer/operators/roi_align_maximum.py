"""RoIAlign that takes the largest bilinear sample of each bin, which torchvision does not have."""

from typing import NamedTuple

import torch
from torch import Tensor

# Samples held at once, over all regions of a chunk and all channels: 64 MiB in float32, a few times that
# while the corners are mixed.
_CHUNK_SAMPLES = 1 << 24


class Sampling(NamedTuple):
    """Where a region is sampled; fields as the arguments of `roi_align_forward`."""

    bins_high: int
    bins_wide: int
    spatial_scale: float
    sampling_ratio: int
    aligned: bool


class _Axis(NamedTuple):
    """Bins of R regions along one axis: where the first starts, their size, samples in each."""

    start: Tensor
    bin_size: Tensor
    samples: Tensor


class _Mix(NamedTuple):
    """A position along one axis as a mix of its two neighbours; both weights are 0 outside the image."""

    low: Tensor
    high: Tensor
    low_weight: Tensor
    high_weight: Tensor


def pool(features: Tensor, rois: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor, Tensor]:
    """Largest sample of each bin, and its row and column among the bin's samples.

    A bin without a sample (a region without an area) gives 0 and no winner, -1.

    Args:
        features: float (N, C, H, W).
        rois: float (R, 5), of the same dtype.
        sampling: where to sample.

    Returns:
        Maximum, row and column, each (R, C, bins_high, bins_wide).
    """
    shape = (len(rois), features.size(1), sampling.bins_high, sampling.bins_wide)
    maximum = features.new_zeros(shape)
    row = torch.full(shape, -1, dtype=torch.int64, device=features.device)
    column = row.clone()
    vertical, horizontal = _axes(rois, sampling)
    channels_last = features.permute(0, 2, 3, 1)
    sizes, size_of_roi = torch.unique(
        torch.stack((vertical.samples, horizontal.samples), dim=1), dim=0, return_inverse=True
    )
    for number, (high, wide) in enumerate(sizes.tolist()):
        if high == 0 or wide == 0:
            continue
        same_size = (size_of_roi == number).nonzero()[:, 0]
        samples_per_roi = features.size(1) * sampling.bins_high * high * sampling.bins_wide * wide
        for chunk in same_size.split(max(1, _CHUNK_SAMPLES // samples_per_roi)):
            samples = _sample(
                channels_last,
                rois[chunk, 0].long(),
                _mix(_positions(vertical, chunk, sampling.bins_high, high), features.size(2)),
                _mix(_positions(horizontal, chunk, sampling.bins_wide, wide), features.size(3)),
            )
            samples = samples.unflatten(2, (sampling.bins_wide, wide)).unflatten(
                1, (sampling.bins_high, high)
            )
            # (R, bins_high, high, bins_wide, wide, C) to (R, C, bins_high, bins_wide, high * wide)
            largest = samples.permute(0, 5, 1, 3, 2, 4).flatten(4).max(dim=-1)
            maximum[chunk] = largest.values
            row[chunk] = largest.indices // wide
            column[chunk] = largest.indices % wide
    return maximum, row, column


def gradient(
    grad_output: Tensor, rois: Tensor, winners: tuple[Tensor, Tensor], shape: torch.Size, sampling: Sampling
) -> Tensor:
    """Gradient of the features: each bin's goes to the four neighbours of the sample that won.

    Args:
        grad_output: float (R, C, bins_high, bins_wide).
        rois: float (R, 5).
        winners: row and column, as `pool` gave them.
        shape: of the features, (N, C, H, W).
        sampling: as in `pool`.
    """
    _, channels, height, width = shape
    vertical, horizontal = _axes(rois, sampling)
    row, column = winners
    y = _mix(_position_of_winner(vertical, row, 2), height)
    x = _mix(_position_of_winner(horizontal, column, 3), width)
    won = torch.where(row >= 0, grad_output, 0)
    image = rois[:, 0].long()[:, None, None, None]
    plane = image * channels + torch.arange(channels, device=rois.device)[:, None, None]
    result = grad_output.new_zeros(shape).view(-1)
    for y_index, y_weight in ((y.low, y.low_weight), (y.high, y.high_weight)):
        for x_index, x_weight in ((x.low, x.low_weight), (x.high, x.high_weight)):
            pixel = (plane * height + y_index) * width + x_index
            result.index_add_(0, pixel.flatten(), (won * y_weight * x_weight).flatten())
    return result.view(shape)


def _axes(rois: Tensor, sampling: Sampling) -> tuple[_Axis, _Axis]:
    corners = rois[:, 1:] * sampling.spatial_scale - (0.5 if sampling.aligned else 0.0)
    sizes = corners[:, 2:] - corners[:, :2]
    if not sampling.aligned:
        sizes = sizes.clamp(min=1)
    bin_sizes = sizes / sizes.new_tensor([sampling.bins_wide, sampling.bins_high])
    if sampling.sampling_ratio > 0:
        samples = torch.full_like(bin_sizes, sampling.sampling_ratio)
    else:
        samples = bin_sizes.ceil().clamp(min=0)
    samples = samples.long()
    return (
        _Axis(corners[:, 1], bin_sizes[:, 1], samples[:, 1]),
        _Axis(corners[:, 0], bin_sizes[:, 0], samples[:, 0]),
    )


def _positions(axis: _Axis, chunk: Tensor, bins: int, samples: int) -> Tensor:
    """Coordinates (R, bins * samples) of all samples of regions that have `samples` in each bin."""
    offsets = torch.arange(bins, device=chunk.device)[:, None] + (
        (torch.arange(samples, device=chunk.device) + 0.5) / samples
    )
    return axis.start[chunk, None] + offsets.flatten().to(axis.start.dtype) * axis.bin_size[chunk, None]


def _position_of_winner(axis: _Axis, winner: Tensor, dimension: int) -> Tensor:
    """Coordinates (R, C, bins_high, bins_wide) of the winners; `dimension` counts this axis's bins."""
    shape = [1, 1, 1, 1]
    shape[dimension] = winner.size(dimension)
    bins = torch.arange(winner.size(dimension), device=winner.device).view(shape)
    start, bin_size, samples = (value.view(-1, 1, 1, 1) for value in axis)
    offsets = bins + (winner.clamp(min=0) + 0.5) / samples.clamp(min=1)
    return start + offsets.to(start.dtype) * bin_size


def _mix(position: Tensor, size: int) -> _Mix:
    inside = (position >= -1) & (position <= size)
    position = position.clamp(0, size - 1)
    low = position.long()
    high = (low + 1).clamp(max=size - 1)
    fraction = position - low
    return _Mix(low, high, torch.where(inside, 1 - fraction, 0), torch.where(inside, fraction, 0))


def _sample(channels_last: Tensor, image: Tensor, y: _Mix, x: _Mix) -> Tensor:
    """Bilinear samples (R, Y, X, C) at every crossing of the rows `y` (R, Y) and columns `x` (R, X)."""
    image = image[:, None, None]
    mixed: Tensor | None = None
    for y_index, y_weight in ((y.low, y.low_weight), (y.high, y.high_weight)):
        for x_index, x_weight in ((x.low, x.low_weight), (x.high, x.high_weight)):
            corner = channels_last[image, y_index[:, :, None], x_index[:, None, :]]
            corner = corner * (y_weight[:, :, None] * x_weight[:, None, :])[..., None]
            mixed = corner if mixed is None else mixed + corner
    assert mixed is not None  # noqa: S101  # both loops have two rounds
    return mixed
