"""Which pixels a bin of RoIAlign adds up, and with which weights: a sparse matrix of bins by pixels."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

# Entries of the matrix that are laid out at a time: 40 bytes each while they are.
_CHUNK_ENTRIES = 1 << 23
# Samples along one axis, of all regions. Only regions that reach far beyond their image have more.
_MOST_SAMPLES = 1 << 24


class Matrix(NamedTuple):
    """A sparse matrix, row after row.

    Attributes:
        ends: int32 (rows + 1), where a row's entries begin, and where the last's end.
        columns: int32 (entries,).
        weights: float (entries,).
    """

    ends: Tensor
    columns: Tensor
    weights: Tensor

    @property
    def rows(self) -> int:
        return len(self.ends) - 1

    def take(self, start: int, end: int) -> "Matrix":
        """Rows from `start` to before `end`."""
        ends = self.ends[start : end + 1]
        entries = slice(int(ends[0]), int(ends[-1]))
        return Matrix(ends - ends[0], self.columns[entries], self.weights[entries])

    def transpose(self, columns: int) -> "Matrix":
        """The transposed of a matrix that has so many columns."""
        order = torch.sort(self.columns, stable=True).indices
        lengths = self.ends.diff()
        row = torch.repeat_interleave(
            torch.arange(len(lengths), dtype=torch.int32), lengths, output_size=len(order)
        )
        ends = torch.zeros(columns + 1, dtype=torch.int32)
        torch.cumsum(torch.bincount(self.columns, minlength=columns), 0, dtype=torch.int32, out=ends[1:])
        return Matrix(ends, row.index_select(0, order), self.weights.index_select(0, order))


class Planes:
    """For each region the plane of pixels that it is pooled from.

    Attributes:
        first: int32 (R,), the plane's first pixel among those of all planes.
        high: int32 (R,), rows.
        wide: int32 (R,), columns.
    """

    def __init__(self, first: Tensor, high: Tensor, wide: Tensor) -> None:
        self.first, self.high, self.wide = first, high, wide

    @classmethod
    def find(cls, shapes: list[torch.Size], images: Tensor, levels: Tensor) -> "Planes":
        """The planes of levels (N, C, H, W), one image after the other within each level after the other.

        Args:
            shapes: of the levels.
            images: of the regions, (R,).
            levels: of the regions, int64 (R,).
        """
        starts, start = list[int](), 0
        for count, _, high, wide in shapes:
            starts.append(start)
            start += count * high * wide
        of_level = torch.tensor(
            [[start, high, wide] for start, (_, _, high, wide) in zip(starts, shapes, strict=True)],
            dtype=torch.int32,
        )
        first, high, wide = of_level[levels].unbind(dim=1)
        return cls(first + images.to(torch.int32) * high * wide, high, wide)

    def __getitem__(self, regions: slice) -> "Planes":
        return Planes(self.first[regions], self.high[regions], self.wide[regions])


class Mixes:
    """Bins of R regions along one axis, each a mix of neighbouring pixels.

    Attributes:
        first: int32 (R, B), the first pixel.
        count: int32 (R, B), how many; 0 where no sample counts.
        weights: float (R, B, K), K as the largest count needs.
    """

    def __init__(self, first: Tensor, count: Tensor, weights: Tensor) -> None:
        self.first, self.count, self.weights = first, count, weights

    def __getitem__(self, regions: slice) -> "Mixes":
        return Mixes(self.first[regions], self.count[regions], self.weights[regions])


def mix_axes(corners: Tensor, scales: Tensor, layer: Any, planes: Planes) -> tuple[Mixes, Mixes] | None:
    """Mixes along y and along x, or None where they would take too much memory.

    Args:
        corners: float (R, 4): x1 y1 x2 y2 in pixels of the image.
        scales: float (R,), pixels of the plane per pixel of the image.
        layer: MMCV's `RoIAlign`, for all but its scale.
        planes: (R,).
    """
    corners = corners * scales[:, None] - (0.5 if layer.aligned else 0.0)
    sizes = corners[:, 2:] - corners[:, :2]
    if not layer.aligned:
        sizes = sizes.clamp(min=1)
    bins_high, bins_wide = layer.output_size
    vertical = _mix(corners[:, 1], sizes[:, 1] / bins_high, bins_high, layer.sampling_ratio, planes.high)
    horizontal = _mix(corners[:, 0], sizes[:, 0] / bins_wide, bins_wide, layer.sampling_ratio, planes.wide)
    return None if vertical is None or horizontal is None else (vertical, horizontal)


def _mix(start: Tensor, bin_size: Tensor, bins: int, sampling_ratio: int, extent: Tensor) -> Mixes | None:
    """Mixes of `bins` bins of `bin_size` (R,) from `start` (R,) on, along axes of `extent` (R,) pixels."""
    if sampling_ratio > 0:
        samples = torch.full_like(bin_size, sampling_ratio)
    else:
        samples = torch.nan_to_num(bin_size.ceil(), nan=0.0, posinf=0.0).clamp(min=0)
    most_samples = int(samples.max())
    if most_samples * bins * len(start) > _MOST_SAMPLES:
        return None
    sample = torch.arange(most_samples, dtype=start.dtype)
    divisor = samples.clamp(min=1)[:, None]
    within = (sample + 0.5) * bin_size[:, None] / divisor
    bin_start = start[:, None] + torch.arange(bins, dtype=start.dtype) * bin_size[:, None]
    position = bin_start[:, :, None] + within[:, None, :]
    extent = extent[:, None, None]
    counts = (position >= -1) & (position <= extent) & (sample < samples[:, None])[:, None, :]
    position = torch.where(counts, position, 0).clamp(min=0).minimum(extent - 1)
    low = position.to(torch.int32)
    high = (low + 1).minimum(extent - 1)
    share = counts / divisor[:, :, None]
    high_share = (position - low) * share

    first = torch.where(counts, low, extent).amin(dim=2) if most_samples else low.new_zeros(len(start), bins)
    last = torch.where(counts, high, -1).amax(dim=2) if most_samples else first - 1
    count = (last - first + 1).clamp(min=0)
    longest = max(int(count.max()), 1)
    weights = start.new_zeros(len(start), bins, longest)
    # Samples that do not count have no share: it does not matter where it goes.
    offset = first[:, :, None]
    weights.scatter_add_(2, (low - offset).clamp(0, longest - 1).long(), share - high_share)
    weights.scatter_add_(2, (high - offset).clamp(0, longest - 1).long(), high_share)
    return Mixes(first, count, weights)


def chunk_regions(vertical: Mixes, horizontal: Mixes) -> Iterator[slice]:
    """Regions in runs of about `_CHUNK_ENTRIES` entries of the matrix."""
    sizes = vertical.count.sum(dim=1) * horizontal.count.sum(dim=1)
    chunk = (sizes.cumsum(0) - sizes) // _CHUNK_ENTRIES
    start = 0
    for length in torch.unique_consecutive(chunk, return_counts=True)[1].tolist():
        yield slice(start, start + length)
        start += length


def lay_out(planes: Planes, vertical: Mixes, horizontal: Mixes) -> Matrix:
    """The matrix of R * bins_high * bins_wide bins by the pixels of all planes."""
    bins = (*vertical.first.shape, horizontal.first.size(1))
    sizes = (vertical.count[:, :, None] * horizontal.count[:, None, :]).flatten()
    ends = torch.zeros(len(sizes) + 1, dtype=torch.int32)
    torch.cumsum(sizes, 0, dtype=torch.int32, out=ends[1:])
    entries = int(ends[-1])
    number = torch.repeat_interleave(torch.arange(len(sizes), dtype=torch.int32), sizes, output_size=entries)
    place = torch.arange(entries, dtype=torch.int32) - ends.index_select(0, number)

    across = horizontal.count[:, None, :].expand(bins).flatten().index_select(0, number)
    row = place // across
    column = place - row * across
    wide = planes.wide[:, None]
    corner = (planes.first[:, None] + vertical.first * wide)[:, :, None] + horizontal.first[:, None, :]
    row_step = wide[:, :, None].expand(bins).flatten().index_select(0, number)
    y_place = _first_weights(vertical)[:, :, None].expand(bins).flatten().index_select(0, number) + row
    x_place = _first_weights(horizontal)[:, None, :].expand(bins).flatten().index_select(0, number) + column
    return Matrix(
        ends,
        corner.flatten().index_select(0, number) + row * row_step + column,
        vertical.weights.flatten().index_select(0, y_place)
        * horizontal.weights.flatten().index_select(0, x_place),
    )


def _first_weights(mixes: Mixes) -> Tensor:
    """Where each bin's weights begin, int32 (R, B)."""
    regions, bins, longest = mixes.weights.shape
    return torch.arange(0, regions * bins * longest, longest, dtype=torch.int32).view(regions, bins)
