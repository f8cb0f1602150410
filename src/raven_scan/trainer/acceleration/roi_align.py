"""RoIAlign on the CPU as a product with a sparse matrix.

Averaged bilinear samples are a weighted sum of pixels, with weights that are a product of one along y and one along
x. With the features of each pixel as a row, pooling is one product with a sparse matrix, and its gradient one with
the transposed. MMCV's and torchvision's operators visit every sample of every channel for its four neighbours in
turn, and their gradient does so in one thread.

Source: He et al., "Mask R-CNN", 2017; torchvision's `ops/cpu/roi_align_kernel.cpp` for order and rounding of the
coordinates and what counts at the border.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

# Before MMCV's operators are imported.
import raven_scan.trainer.operators.install_on_import  # noqa: F401  # pyright: ignore[reportUnusedImport]  # for its effect

# isort: split
import torch
from mmcv.ops import RoIAlign
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from raven_scan.trainer.operators.precision import computing_dtype

# Entries of the matrix that are laid out at a time: 40 bytes each while they are.
_CHUNK_ENTRIES = 1 << 23
# Samples along one axis, of all regions. Only regions that reach far beyond their image have more.
_MOST_SAMPLES = 1 << 24


def accelerate_roi_align(model: nn.Module) -> None:
    """Let the model's averaging RoIAlign layers compute as sparse products while they are on the CPU."""
    for module in model.modules():
        if type(module) is RoIAlign and module.pool_mode == "avg":
            module.__class__ = SparseRoIAlign


class SparseRoIAlign(RoIAlign):
    """MMCV's layer in average mode; the same values and gradients to the rounding of float32."""

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:  # noqa: A002 - MMCV's name
        """Pool regions.

        Args:
            input: features (N, C, H, W), in any memory format. float64 is computed as such, all others in float32
                and rounded at the end.
            rois: (R, 5): row of `input`, x1 y1 x2 y2 in pixels of the image.

        Returns:
            (R, C, bins high, bins wide), the channels last in memory.
        """
        if input.device.type != "cpu" or len(rois) == 0 or torch.onnx.is_in_onnx_export():
            return super().forward(input, rois)
        mixes = _mix_axes(rois.detach().to(computing_dtype(input.dtype)), self, input.shape)
        if mixes is None:
            return super().forward(input, rois)
        vertical, horizontal = mixes
        images = rois[:, 0].to(torch.int32)
        pooled = [
            _SparsePooling.apply(input, _lay_out(images[part], vertical[part], horizontal[part], input.shape))
            for part in _chunks(vertical, horizontal)
        ]
        result: Tensor = pooled[0] if len(pooled) == 1 else torch.cat(pooled)
        return result.view(len(rois), *self.output_size, -1).permute(0, 3, 1, 2)


class _Mixes:
    """Bins of R regions along one axis, each a mix of neighbouring pixels.

    Attributes:
        first: int32 (R, B), the first pixel.
        count: int32 (R, B), how many; 0 where no sample counts.
        weights: float (R, B, K), K as the largest count needs.
    """

    def __init__(self, first: Tensor, count: Tensor, weights: Tensor) -> None:
        self.first, self.count, self.weights = first, count, weights

    def __getitem__(self, regions: slice) -> "_Mixes":
        return _Mixes(self.first[regions], self.count[regions], self.weights[regions])


class _Entries(NamedTuple):
    """A sparse matrix of bins by pixels, row after row.

    Attributes:
        ends: int32 (bins + 1), where a row's entries begin, and where the last's end.
        pixels: int32 (entries,), column of each.
        weights: float (entries,).
    """

    ends: Tensor
    pixels: Tensor
    weights: Tensor


class _SparsePooling(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, entries: _Entries) -> Tensor:
        ctx.shape, ctx.dtype = features.shape, features.dtype
        ctx.save_for_backward(*entries)
        pooled = _sum_rows(_rows(features, entries.weights.dtype), entries)
        return pooled.to(features.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        count, channels, height, width = ctx.shape
        entries = _transpose(_Entries(*ctx.saved_tensors), count * height * width)
        rows = _sum_rows(gradient.to(entries.weights.dtype).contiguous(), entries)
        return rows.to(ctx.dtype).view(count, height, width, channels).permute(0, 3, 1, 2), None


def _rows(features: Tensor, dtype: torch.dtype) -> Tensor:
    """Features (N, C, H, W) as one row a pixel, (N * H * W, C)."""
    return features.permute(0, 2, 3, 1).to(dtype).reshape(-1, features.size(1)).contiguous()


def _sum_rows(rows: Tensor, entries: _Entries) -> Tensor:
    """The product of a sparse matrix (M, N) with a dense one (N, C)."""
    return embedding_bag(
        entries.pixels,
        rows,
        entries.ends,
        mode="sum",
        per_sample_weights=entries.weights,
        include_last_offset=True,
    )


def _transpose(entries: _Entries, columns: int) -> _Entries:
    pixels, order = torch.sort(entries.pixels, stable=True)
    sizes = entries.ends.diff()
    rows = torch.repeat_interleave(
        torch.arange(len(sizes), dtype=torch.int32), sizes, output_size=len(pixels)
    )
    ends = torch.searchsorted(pixels, torch.arange(columns + 1, dtype=torch.int32), out_int32=True)
    return _Entries(ends, rows[order], entries.weights[order])


def _mix_axes(rois: Tensor, layer: RoIAlign, shape: torch.Size) -> tuple[_Mixes, _Mixes] | None:
    """Mixes along y and along x, or None where they would take too much memory."""
    corners = rois[:, 1:] * layer.spatial_scale - (0.5 if layer.aligned else 0.0)
    sizes = corners[:, 2:] - corners[:, :2]
    if not layer.aligned:
        sizes = sizes.clamp(min=1)
    bins_high, bins_wide = layer.output_size
    vertical = _mix(corners[:, 1], sizes[:, 1] / bins_high, bins_high, layer.sampling_ratio, shape[2])
    horizontal = _mix(corners[:, 0], sizes[:, 0] / bins_wide, bins_wide, layer.sampling_ratio, shape[3])
    return None if vertical is None or horizontal is None else (vertical, horizontal)


def _mix(start: Tensor, bin_size: Tensor, bins: int, sampling_ratio: int, extent: int) -> _Mixes | None:
    """Mixes of `bins` bins of `bin_size` (R,) from `start` (R,) on, along an axis of `extent` pixels."""
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
    counts = (position >= -1) & (position <= extent) & (sample < samples[:, None])[:, None, :]
    position = torch.where(counts, position, 0).clamp(0, extent - 1)
    low = position.to(torch.int32)
    high = (low + 1).clamp(max=extent - 1)
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
    return _Mixes(first, count, weights)


def _chunks(vertical: _Mixes, horizontal: _Mixes) -> Iterator[slice]:
    """Regions in runs of about `_CHUNK_ENTRIES` entries of the matrix."""
    sizes = vertical.count.sum(dim=1) * horizontal.count.sum(dim=1)
    chunk = (sizes.cumsum(0) - sizes) // _CHUNK_ENTRIES
    start = 0
    for length in torch.unique_consecutive(chunk, return_counts=True)[1].tolist():
        yield slice(start, start + length)
        start += length


def _lay_out(images: Tensor, vertical: _Mixes, horizontal: _Mixes, shape: torch.Size) -> _Entries:
    """The matrix of R * bins_high * bins_wide bins by N * H * W pixels."""
    _, _, height, width = shape
    bins_high, bins_wide = vertical.first.size(1), horizontal.first.size(1)
    bins = (len(images), bins_high, bins_wide)
    sizes = (vertical.count[:, :, None] * horizontal.count[:, None, :]).flatten()
    ends = torch.zeros(len(sizes) + 1, dtype=torch.int32)
    torch.cumsum(sizes, 0, dtype=torch.int32, out=ends[1:])
    entries = int(ends[-1])
    number = torch.repeat_interleave(torch.arange(len(sizes), dtype=torch.int32), sizes, output_size=entries)
    place = torch.arange(entries, dtype=torch.int32) - ends[number]

    wide = horizontal.count[:, None, :].expand(bins).flatten()[number]
    row = place // wide
    column = place - row * wide
    corner = (images[:, None] * height + vertical.first)[:, :, None] * width + horizontal.first[:, None, :]
    y_place = _first_weights(vertical)[:, :, None].expand(bins).flatten()[number] + row
    x_place = _first_weights(horizontal)[:, None, :].expand(bins).flatten()[number] + column
    return _Entries(
        ends,
        corner.flatten()[number] + row * width + column,
        vertical.weights.flatten()[y_place] * horizontal.weights.flatten()[x_place],
    )


def _first_weights(mixes: _Mixes) -> Tensor:
    """Where each bin's weights begin, int32 (R, B)."""
    regions, bins, longest = mixes.weights.shape
    return torch.arange(0, regions * bins * longest, longest, dtype=torch.int32).view(regions, bins)
