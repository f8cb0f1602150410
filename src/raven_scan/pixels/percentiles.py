"""Percentiles of images of more than 8 bits a sample, over a dataset, in one pass and little memory.

Samples are counted in histograms, so the answer depends on neither order nor number of threads. Unsigned
16-bit samples are counted value by value, which is exact. Others are counted by the upper 20 bits of their
float32 form, mapped so that the order of integers is the order of values; a percentile is then right to 1 in
2048 of its value.
"""

import threading

import numpy as np
from numpy.typing import NDArray

from raven_scan.pixels.rules import Range

LOW_PERCENT = 2.0
HIGH_PERCENT = 98.0

_BLOCK_SAMPLES = 1 << 22
_SHIFT = 12
_FLOAT_BINS = 1 << (32 - _SHIFT)


class PercentileSampler:
    """Counts samples; safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exact: NDArray[np.int64] | None = None
        self._floats: NDArray[np.int64] | None = None

    def add(self, channels: NDArray[np.generic], *, no_data: float | None = None) -> None:
        """Count an image's samples.

        Args:
            channels: (H, W, 3), the bands that become red, green and blue.
            no_data: a value that marks pixels without data; neither it nor NaN nor infinity is counted.
        """
        exact = channels.dtype == np.uint16
        counts = np.zeros((3, 1 << 16 if exact else _FLOAT_BINS), dtype=np.int64)
        rows = max(1, _BLOCK_SAMPLES // max(1, channels.shape[1]))
        for start in range(0, channels.shape[0], rows):
            for channel in range(3):
                samples = channels[start : start + rows, :, channel].reshape(-1)
                if no_data is not None:
                    samples = samples[samples != no_data]
                bins = samples if exact else _bins_of(samples)
                counts[channel] += np.bincount(bins, minlength=counts.shape[1])
        with self._lock:
            if exact:
                self._exact = counts if self._exact is None else self._exact + counts
            else:
                self._floats = counts if self._floats is None else self._floats + counts

    def find_percentiles(self) -> tuple[Range, Range, Range] | None:
        """The 2nd and 98th percentile of each channel, or None where nothing was added."""
        if self._exact is None and self._floats is None:
            return None
        red, green, blue = (self._range(channel) for channel in range(3))
        return (red, green, blue)

    def _range(self, channel: int) -> Range:
        values: list[NDArray[np.float64]] = []
        counts: list[NDArray[np.int64]] = []
        if self._exact is not None:
            used = np.flatnonzero(self._exact[channel])
            values.append(used.astype(np.float64))
            counts.append(self._exact[channel][used])
        if self._floats is not None:
            used = np.flatnonzero(self._floats[channel])
            values.append(_values_of(used))
            counts.append(self._floats[channel][used])
        value = np.concatenate(values)
        count = np.concatenate(counts)
        if value.size == 0:
            return (0.0, 1.0)
        order = np.argsort(value, kind="stable")
        value, total = value[order], np.cumsum(count[order])
        low = float(value[np.searchsorted(total, total[-1] * LOW_PERCENT / 100)])
        high = float(value[np.searchsorted(total, total[-1] * HIGH_PERCENT / 100)])
        return (low, high if high > low else low + 1.0)


def scale_to_bytes(channels: NDArray[np.generic], ranges: tuple[Range, Range, Range]) -> NDArray[np.uint8]:
    """Scale (H, W, 3) samples so that each range's ends become 0 and 255.

    What is outside is cut to the ends; NaN becomes 0.
    """
    scaled = np.empty(channels.shape, dtype=np.uint8)
    rows = max(1, _BLOCK_SAMPLES // max(1, channels.shape[1]))
    for channel, (low, high) in enumerate(ranges):
        if channels.dtype == np.uint16:
            table = _to_bytes(np.arange(1 << 16, dtype=np.float64), low, high)
            scaled[..., channel] = table[channels[..., channel].astype(np.uint16, copy=False)]
            continue
        for start in range(0, channels.shape[0], rows):
            block = channels[start : start + rows, :, channel].astype(np.float64)
            scaled[start : start + rows, :, channel] = _to_bytes(block, low, high)
    return scaled


def _to_bytes(samples: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    share = np.nan_to_num((np.clip(samples, low, high) - low) / (high - low), nan=0.0)
    return np.rint(share * 255.0).astype(np.uint8)


def _bins_of(samples: NDArray[np.generic]) -> NDArray[np.int64]:
    with np.errstate(over="ignore"):
        floats = samples.astype(np.float32)
    floats = floats[np.isfinite(floats)] + np.float32(0)  # the sum makes -0 be 0
    bits = floats.view(np.uint32)
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return (ordered >> _SHIFT).astype(np.int64)


def _values_of(bins: NDArray[np.int64]) -> NDArray[np.float64]:
    ordered = (bins.astype(np.uint64) << _SHIFT).astype(np.uint32)
    bits = np.where(ordered >> 31, ordered & np.uint32((1 << 31) - 1), ~ordered)
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)
