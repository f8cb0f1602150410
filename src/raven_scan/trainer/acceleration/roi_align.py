"""RoIAlign on the CPU as a product with a sparse matrix.

Averaged bilinear samples are a weighted sum of pixels, with weights that are a product of one along y and one along
x. With the features of each pixel as a row, pooling is one product with a sparse matrix, and its gradient one with
the transposed. MMCV's and torchvision's operators visit every sample of every channel for its four neighbours in
turn, and their gradient does so in one thread.

Source: He et al., "Mask R-CNN", 2017; torchvision's `ops/cpu/roi_align_kernel.cpp` for order and rounding of the
coordinates and what counts at the border.
"""

from collections.abc import Sequence
from typing import Any

# Before MMCV's operators are imported.
import raven_scan.trainer.operators.install_on_import  # noqa: F401  # pyright: ignore[reportUnusedImport]  # for its effect

# isort: split
import torch
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from raven_scan.trainer.acceleration.roi_align_matrix import Matrix, Planes, chunk_regions, lay_out, mix_axes
from raven_scan.trainer.operators.precision import computing_dtype

# 8 MiB in float32: of such a size memory is at hand that the cache still holds.
_PART_VALUES = 1 << 21


def accelerate_roi_align(model: nn.Module) -> None:
    """Let the model's averaging RoIAlign layers compute as sparse products while they are on the CPU."""
    for module in model.modules():
        if type(module) is SingleRoIExtractor and _are_alike(module.roi_layers):
            module.__class__ = SparseRoIExtractor
        elif type(module) is RoIAlign and module.pool_mode == "avg":
            module.__class__ = SparseRoIAlign


def _are_alike(layers: Any) -> bool:
    """Whether the levels of a pyramid differ in their scale alone."""
    ways = {
        (layer.output_size, layer.sampling_ratio, layer.aligned, layer.pool_mode)
        if isinstance(layer, RoIAlign)
        else None
        for layer in layers
    }
    return len(ways) == 1 and all(way is not None and way[-1] == "avg" for way in ways)


class SparseRoIAlign(RoIAlign):
    """MMCV's layer in average mode; the same values and gradients to the rounding of float32."""

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:  # noqa: A002 - MMCV's name
        """Pool regions.

        Args:
            input: features (N, C, H, W), in any memory format. float64 is computed as such, all others in float32
                and rounded at the end.
            rois: (R, 5): row of `input`, x1 y1 x2 y2 in pixels of the image.

        Returns:
            (R, C, bins high, bins wide).
        """
        pooled = _pool([input], rois, torch.zeros(len(rois), dtype=torch.int64), [self])
        return super().forward(input, rois) if pooled is None else pooled


class SparseRoIExtractor(SingleRoIExtractor):
    """MMDetection's extractor over layers that average; all levels of the pyramid in one product."""

    def forward(self, feats: Any, rois: Tensor, roi_scale_factor: float | None = None) -> Any:
        """As MMDetection's, also in that regions are rounded to what the features are in."""
        regions = rois.type_as(feats[0])
        levels = self.map_roi_levels(regions, len(feats))
        if roi_scale_factor is not None:
            regions = self.roi_rescale(regions, roi_scale_factor)
        layers: Any = self.roi_layers
        pooled = _pool(feats, regions, levels, layers)
        return super().forward(feats, rois, roi_scale_factor) if pooled is None else pooled


def _pool(
    features: Sequence[Tensor], rois: Tensor, levels: Tensor, layers: Sequence[RoIAlign]
) -> Tensor | None:
    """Pool each region from the features of its level, or None where that is left to MMCV's way.

    Args:
        features: of each level, (N, C, H, W).
        rois: (R, 5).
        levels: int64 (R,).
        layers: of each level; of equal layers but for their scale.
    """
    if features[0].device.type != "cpu" or len(rois) == 0 or torch.onnx.is_in_onnx_export():
        return None
    dtype = computing_dtype(features[0].dtype)
    scales = torch.tensor([layer.spatial_scale for layer in layers], dtype=dtype)[levels]
    planes = Planes.find([level.shape for level in features], rois[:, 0], levels)
    mixes = mix_axes(rois.detach()[:, 1:].to(dtype), scales, layers[0], planes)
    if mixes is None:
        return None
    pooled = [
        _SparsePooling.apply(
            lay_out(planes[part], mixes[0][part], mixes[1][part]), layers[0].output_size, *features
        )
        for part in chunk_regions(*mixes)
    ]
    return pooled[0] if len(pooled) == 1 else torch.cat(pooled)


class _SparsePooling(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Matrix, bins: tuple[int, int], *features: Tensor) -> Tensor:
        ctx.shapes, ctx.dtype = [level.shape for level in features], features[0].dtype
        ctx.save_for_backward(*matrix)
        channels = features[0].size(1)
        rows = torch.empty(
            sum(level.numel() for level in features) // channels, channels, dtype=matrix.weights.dtype
        )
        start = 0
        for level in features:
            end = start + level.numel() // channels
            rows[start:end].view(*level.permute(0, 2, 3, 1).shape).copy_(level.permute(0, 2, 3, 1))
            start = end
        pooled = torch.empty(matrix.rows // (bins[0] * bins[1]), channels, *bins, dtype=ctx.dtype)
        # A part at a time: what is fresh in the cache is turned to the features' order and dtype at once.
        bins_count = bins[0] * bins[1]
        regions = max(1, _PART_VALUES // (bins_count * channels))
        for start in range(0, len(pooled), regions):
            part = pooled[start : start + regions]
            sums = _multiply(matrix.take(start * bins_count, (start + len(part)) * bins_count), rows)
            part.copy_(sums.view(-1, *bins, channels).permute(0, 3, 1, 2))
        return pooled

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        matrix, channels = Matrix(*ctx.saved_tensors), gradient.size(1)
        pixels = [shape.numel() // channels for shape in ctx.shapes]
        upstream = torch.empty(matrix.rows, channels, dtype=matrix.weights.dtype)
        by_bin = gradient.permute(0, 2, 3, 1)
        upstream.view(by_bin.shape).copy_(by_bin)
        rows = _multiply(matrix.transpose(sum(pixels)), upstream).to(ctx.dtype)
        levels = (
            level.view(shape[0], shape[2], shape[3], channels).permute(0, 3, 1, 2)
            for level, shape in zip(rows.split(pixels), ctx.shapes, strict=True)
        )
        return None, None, *levels


def _multiply(matrix: Matrix, rows: Tensor) -> Tensor:
    """The product of a sparse matrix (M, N) with a dense one (N, C)."""
    return embedding_bag(
        matrix.columns,
        rows,
        matrix.ends,
        mode="sum",
        per_sample_weights=matrix.weights,
        include_last_offset=True,
    )
