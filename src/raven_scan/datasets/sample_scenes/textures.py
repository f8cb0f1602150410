"""Ground seen from above: noise of many scales, and the surfaces made of it.

Everything here is elementwise arithmetic on float32 and 8-bit blurs, which give the same bits on every machine and
with any number of threads; no transcendental function meets a pixel.
"""

from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Field = NDArray[np.float32]
Colour = tuple[int, int, int]

# Noise of at least this cell, in pixels, has nothing to show at full resolution.
_COARSE_CELL_MIN = 9.0


class Ground(StrEnum):
    GRASS = "grass"
    DRY_GRASS = "dry_grass"
    SOIL = "soil"
    PLOUGHED = "ploughed"
    GRAVEL = "gravel"
    ASPHALT = "asphalt"


# Darkest and lightest tone of each ground, RGB.
_TONES: dict[Ground, tuple[Colour, Colour]] = {
    Ground.GRASS: ((60, 76, 38), (122, 132, 72)),
    Ground.DRY_GRASS: ((112, 102, 62), (176, 162, 112)),
    Ground.SOIL: ((104, 82, 60), (166, 138, 106)),
    Ground.PLOUGHED: ((84, 64, 48), (142, 114, 88)),
    Ground.GRAVEL: ((122, 116, 106), (182, 176, 164)),
    Ground.ASPHALT: ((82, 82, 84), (122, 121, 119)),
}


def draw_value_noise(rng: np.random.Generator, size: int, cell: float) -> Field:
    """Smooth random field: one random value every `cell` pixels, smoothstep between them.

    Returns:
        float32 (size, size) in [0, 1].
    """
    if cell <= 1:
        return rng.random((size, size), dtype=np.float32)
    count = int(size / cell) + 3
    grid = rng.random((count, count), dtype=np.float32)
    across = _interpolate(grid.T, size, cell, rng.random() * cell)
    return _interpolate(across.T, size, cell, rng.random() * cell)


def _interpolate(values: Field, size: int, cell: float, offset: float) -> Field:
    """Smoothstep between the rows of values (K, N), which lie `cell` apart, at `size` places."""
    position = (np.arange(size, dtype=np.float32) + np.float32(offset)) / np.float32(cell)
    index = position.astype(np.int32)
    fraction = position - index.astype(np.float32)
    rows = np.ascontiguousarray(values)
    low = rows[index]
    high = rows[index + 1]
    high -= low
    high *= (fraction * fraction * (3 - 2 * fraction))[:, None]
    high += low
    return high


def draw_fractal_noise(
    rng: np.random.Generator, size: int, cells: tuple[float, ...], *, persistence: float = 0.6
) -> Field:
    """Sum of value noises, from the coarsest cell on, each weaker by `persistence`.

    Returns:
        float32 (size, size) in [0, 1], with its mean near 0.5.
    """
    weights = [persistence**octave for octave in range(len(cells))]
    return _sum_octaves(rng, size, list(zip(cells, weights, strict=True))) / np.float32(sum(weights))


def _sum_octaves(rng: np.random.Generator, size: int, octaves: list[tuple[float, float]]) -> Field:
    """Octaves are (cell, weight); coarse ones are drawn at half the resolution, together."""
    total = np.zeros((size, size), np.float32)
    coarse = [(cell / 2, weight) for cell, weight in octaves if cell >= _COARSE_CELL_MIN]
    if coarse:
        total += _double(_sum_octaves(rng, size // 2 + 1, coarse), size)
    for cell, weight in octaves:
        if cell < _COARSE_CELL_MIN:
            noise = draw_value_noise(rng, size, cell)
            noise *= np.float32(weight)
            total += noise
    return total


def _double(half: Field, size: int) -> Field:
    """Twice the resolution, linearly between; `half` has size // 2 + 1 rows and columns."""
    odd = size // 2
    rows = np.empty((size, len(half)), np.float32)
    rows[::2] = half[: size - odd]
    rows[1::2] = (half[:odd] + half[1 : odd + 1]) * np.float32(0.5)
    both = np.empty((size, size), np.float32)
    both[:, ::2] = rows[:, : size - odd]
    both[:, 1::2] = (rows[:, :odd] + rows[:, 1 : odd + 1]) * np.float32(0.5)
    return both


def soften_step(values: Field, low: float, high: float) -> Field:
    """Smoothstep: 0 below `low`, 1 above `high`, an S between."""
    ramp = np.subtract(values, np.float32(low), dtype=np.float32)
    ramp *= np.float32(1 / (high - low))
    np.clip(ramp, 0, 1, out=ramp)
    slope = ramp * np.float32(-2)
    slope += np.float32(3)
    ramp *= ramp
    ramp *= slope
    return ramp


def blur(mask: Pixels, sigma_px: float) -> Pixels:
    """Gaussian blur of an 8-bit mask, by OpenCV's bit-exact path."""
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma_px, hint=cv2.ALGO_HINT_ACCURATE), np.uint8)


def mix(below: Field, above: Field, weight: Field) -> Field:
    """`above` over `below`, both (3, H, W); weight is float32 (H, W) in [0, 1]."""
    mixed = above - below
    mixed *= weight
    mixed += below
    return mixed


def draw_ground(rng: np.random.Generator, size: int, ground: Ground) -> Field:
    """A square of one ground.

    Returns:
        float32 (3, size, size), RGB in 0-255.
    """
    dark, light = (np.asarray(tone, np.float32).reshape(3, 1, 1) for tone in _TONES[ground])
    shade = rng.uniform(0.92, 1.08)
    patches = draw_fractal_noise(rng, size, (size / 3, size / 8, size / 24), persistence=0.7)
    grain = draw_value_noise(rng, size, 1) - np.float32(0.5)
    clumps = draw_value_noise(rng, size, 2.3) - np.float32(0.5)
    tone = (patches - np.float32(0.5)) * np.float32(1.5) + np.float32(0.5)
    if ground in (Ground.GRASS, Ground.DRY_GRASS):
        tufts = soften_step(draw_fractal_noise(rng, size, (9, 4.5)), 0.5, 0.72)
        tone += clumps * np.float32(0.55) + grain * np.float32(0.35) - tufts * np.float32(0.32)
    elif ground is Ground.SOIL:
        stones = soften_step(draw_value_noise(rng, size, 3.1), 0.86, 0.95)
        tone += clumps * np.float32(0.3) + grain * np.float32(0.28) + stones * np.float32(0.5)
    elif ground is Ground.PLOUGHED:
        tone += _draw_furrows(rng, size) * np.float32(0.55) + clumps * np.float32(0.45)
        tone += grain * np.float32(0.3)
    elif ground is Ground.GRAVEL:
        pebbles = draw_value_noise(rng, size, 3.4) - np.float32(0.5)
        tone += pebbles * np.float32(0.75) + clumps * np.float32(0.6) + grain * np.float32(0.3)
    else:
        stains = soften_step(draw_fractal_noise(rng, size, (46, 18)), 0.58, 0.78)
        tone += grain * np.float32(0.42) + clumps * np.float32(0.2) - stains * np.float32(0.4)
    surface = tone * (light - dark)
    surface += dark
    surface *= np.float32(shade)
    # Nothing is of one colour all over: a slow drift between cold and warm.
    drift = draw_value_noise(rng, size, size / 4) - np.float32(0.5)
    surface += drift * np.asarray((18, 6, -10), np.float32).reshape(3, 1, 1)
    return np.asarray(np.clip(surface, 0, 255, out=surface), np.float32)


def _draw_furrows(rng: np.random.Generator, size: int) -> Field:
    """Parallel furrows, each a triangle wave in [-0.5, 0.5], a little crooked."""
    angle = rng.uniform(0, np.pi)
    pitch_px = rng.uniform(7, 12)
    axis = np.arange(size, dtype=np.float32)
    across = axis[None, :] * np.float32(np.cos(angle)) + axis[:, None] * np.float32(np.sin(angle))
    across += draw_value_noise(rng, size, 60) * np.float32(pitch_px)
    wave = np.mod(across / np.float32(pitch_px), np.float32(1))
    return np.asarray(np.abs(wave - np.float32(0.5)) * 2 - np.float32(0.5), np.float32)
