"""Trees, conifers and bushes from above."""

import numpy as np

from raven_scan.datasets.sample_scenes.sprites import Easel, Sprite, Sun, shade_colour, vary_colour
from raven_scan.datasets.sample_scenes.textures import Colour, Field

_LEAVES: tuple[Colour, ...] = ((66, 90, 42), (78, 98, 46), (92, 106, 52), (58, 80, 46), (104, 108, 58))
_NEEDLES: tuple[Colour, ...] = ((44, 66, 44), (52, 74, 48), (58, 76, 58))
_AUTUMN: tuple[Colour, ...] = ((134, 116, 66), (128, 98, 62), (118, 114, 64))
_BLOSSOM: tuple[Colour, ...] = ((232, 222, 228), (214, 150, 176), (226, 206, 96))


def draw_crown(rng: np.random.Generator, radius: float, sun: Sun, leaf_grain: Field) -> Sprite:
    """A broad-leaved crown: lobes of leaves, the higher and the nearer to the sun the lighter."""
    easel = Easel(int(radius * 1.3) + 3)
    palette = _AUTUMN if rng.random() < 0.05 else _LEAVES
    base = vary_colour(rng, palette[rng.integers(len(palette))], 10)
    count = int(np.clip(radius * 1.9, 14, 70))
    angles = rng.uniform(0, 2 * np.pi, count)
    reach = np.sqrt(rng.random(count)) * radius * 0.86
    order = np.argsort(-reach)
    stretch = rng.uniform(0.88, 1.12)
    for x, y, distance in zip(
        (np.cos(angles) * reach * stretch)[order],
        (np.sin(angles) * reach / stretch)[order],
        reach[order],
        strict=True,
    ):
        lobe = radius * rng.uniform(0.17, 0.31)
        height = 1 - 0.45 * (distance / radius) ** 2
        towards_sun = -(x * sun.x + y * sun.y) / radius
        light = height * (1 + 0.28 * sun.strength * towards_sun) * rng.uniform(0.88, 1.12)
        dx, dy = sun.x * lobe * 0.3, sun.y * lobe * 0.3
        easel.paint_disc(x + dx, y + dy, lobe, shade_colour(base, light * 0.66))
        easel.paint_disc(x, y, lobe * 0.88, shade_colour(base, light * 0.95))
        for _ in range(3):
            spread = rng.uniform(-0.5, 0.5, 2) * lobe
            easel.paint_disc(
                x - dx + spread[0], y - dy + spread[1], lobe * 0.3, shade_colour(base, light * 1.22)
            )
    return easel.finish(_cut(rng, leaf_grain, easel.half))


def draw_conifer(rng: np.random.Generator, radius: float, sun: Sun, leaf_grain: Field) -> Sprite:
    """A conifer: whorls of branches, each smaller and lighter than the one below."""
    easel = Easel(int(radius * 1.25) + 3)
    base = vary_colour(rng, _NEEDLES[rng.integers(len(_NEEDLES))], 8)
    branches = int(rng.integers(9, 14))
    for whorl in range(5):
        size = radius * (1 - 0.19 * whorl)
        angles = rng.uniform(0, 2 * np.pi) + np.arange(2 * branches) * (np.pi / branches)
        radii = np.where(np.arange(2 * branches) % 2 == 0, size, size * 0.62)
        radii = radii * rng.uniform(0.86, 1.14, 2 * branches)
        outline = np.stack((np.cos(angles) * radii, np.sin(angles) * radii), 1)
        lift = np.array((-sun.x, -sun.y)) * whorl * radius * 0.04
        easel.paint_polygon(
            outline + lift + np.array((sun.x, sun.y)) * radius * 0.05, shade_colour(base, 0.7)
        )
        easel.paint_polygon(outline * 0.93 + lift, shade_colour(base, 0.85 + 0.13 * whorl))
    return easel.finish(_cut(rng, leaf_grain, easel.half))


def draw_bush(rng: np.random.Generator, radius: float, sun: Sun, leaf_grain: Field) -> Sprite:
    """A bush: a few lobes, seldom in blossom."""
    easel = Easel(int(radius * 1.5) + 3)
    base = vary_colour(rng, _LEAVES[rng.integers(len(_LEAVES))], 12)
    blossom = _BLOSSOM[rng.integers(len(_BLOSSOM))] if rng.random() < 0.16 else None
    count = int(np.clip(radius * 1.2, 6, 24))
    positions = rng.uniform(-0.62, 0.62, (count, 2)) * radius
    for x, y in positions:
        lobe = radius * rng.uniform(0.3, 0.48)
        light = rng.uniform(0.85, 1.15)
        easel.paint_disc(
            x + sun.x * lobe * 0.35, y + sun.y * lobe * 0.35, lobe, shade_colour(base, light * 0.64)
        )
        easel.paint_disc(x, y, lobe * 0.85, shade_colour(base, light * 0.96))
        easel.paint_disc(
            x - sun.x * lobe * 0.35, y - sun.y * lobe * 0.35, lobe * 0.4, shade_colour(base, light * 1.2)
        )
    if blossom is not None:
        for x, y in rng.uniform(-0.75, 0.75, (count * 4, 2)) * radius:
            if x * x + y * y < (0.8 * radius) ** 2:
                easel.paint_disc(x, y, rng.uniform(0.5, 0.95), vary_colour(rng, blossom, 10))
    return easel.finish(_cut(rng, leaf_grain, easel.half))


def _cut(rng: np.random.Generator, grain: Field, half: int) -> Field:
    """A random square of a large field of grain."""
    side = 2 * half
    top, left = rng.integers(0, len(grain) - side + 1, 2).tolist()
    return grain[top : top + side, left : left + side]
