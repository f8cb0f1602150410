"""Piles of waste: many small fragments of many colours, heaped in irregular clusters."""

from dataclasses import dataclass

import numpy as np

from raven_scan.datasets.sample_scenes.sprites import (
    Easel,
    Points,
    Sprite,
    Sun,
    make_blob,
    make_rectangle,
    shade_colour,
    turn,
    vary_colour,
)
from raven_scan.datasets.sample_scenes.textures import Colour, draw_value_noise

_BAGS: tuple[Colour, ...] = (
    (38, 39, 43),
    (44, 46, 52),
    (222, 222, 218),
    (58, 92, 150),
    (196, 184, 96),
    (70, 110, 84),
)
_PLASTIC: tuple[Colour, ...] = (
    (226, 230, 232),
    (204, 210, 216),
    (64, 116, 182),
    (196, 58, 52),
    (222, 178, 60),
    (82, 150, 120),
    (212, 206, 190),
    (160, 172, 182),
)
_CARDBOARD: tuple[Colour, ...] = ((176, 142, 100), (158, 124, 86), (194, 166, 126))
_WOOD: tuple[Colour, ...] = ((162, 130, 92), (126, 100, 74), (188, 160, 120), (118, 112, 104))
_TEXTILE: tuple[Colour, ...] = ((118, 52, 62), (72, 82, 112), (148, 138, 128), (96, 70, 96))
_RUBBLE: tuple[Colour, ...] = ((188, 182, 172), (150, 118, 96), (206, 202, 196), (120, 112, 104))
_DUST: Colour = (142, 128, 110)
# Fragments lie in storeys, each of which throws its shadow on those below.
STOREYS = 3
_BULKY_RADIUS_MIN = 26


@dataclass(frozen=True, slots=True)
class Pile:
    """A pile as drawn.

    Attributes:
        storeys: from the ground up, of one size.
        radius: pixels, about half of its longer side.
    """

    storeys: tuple[Sprite, ...]
    radius: float


def draw_pile(rng: np.random.Generator, radius: float, sun: Sun) -> Pile:
    """A pile that fits in a circle of 1.25 `radius` about its middle."""
    half = int(radius * 1.35) + 6
    easels = [Easel(half) for _ in range(STOREYS)]
    count = int(np.clip(0.17 * radius**1.75, 18, 280))
    spots = _scatter(rng, count, radius)
    # A tip has its own mix: builders' rubble differs from household bags.
    mix = rng.dirichlet((2.2, 2.6, 1.0, 1.6, 0.9, 0.3, 1.8))
    kinds = rng.choice(len(mix), count, p=mix)
    distance = np.hypot(spots[:, 0], spots[:, 1]) / radius
    storeys = np.clip(((1 - distance) * STOREYS + rng.uniform(-0.9, 0.9, count)).astype(int), 0, STOREYS - 1)
    size = float(np.clip(0.72 + radius * 0.011, 0.85, 1.4))
    for spot, kind, storey in zip(spots, kinds, storeys, strict=True):
        _FRAGMENTS[kind](rng, easels[storey], spot, size * rng.uniform(0.6, 1.4), sun)
    if radius > _BULKY_RADIUS_MIN and rng.random() < 0.6:
        _paint_mattress(rng, easels[-1], spots[rng.integers(count)] * 0.8, size, sun)
    return Pile(tuple(_soil(rng, easel.finish()) for easel in easels), radius)


def _soil(rng: np.random.Generator, sprite: Sprite) -> Sprite:
    """Uneven dirt on what was painted in one tone."""
    side = 2 * sprite.half
    dirt = rng.uniform(0.78, 1.1, (side, side)).astype(np.float32)
    dirt *= np.float32(0.82) + draw_value_noise(rng, side, 4) * np.float32(0.3)
    return Sprite(np.minimum(sprite.colour * dirt, sprite.alpha.astype(np.float32)), sprite.alpha)


def _choose_colour(rng: np.random.Generator, palette: tuple[Colour, ...]) -> Colour:
    """One of the palette, weathered: bleached and dusty by chance."""
    colour = vary_colour(rng, palette[rng.integers(len(palette))], 12)
    age = rng.uniform(0, 0.45)
    red, green, blue = (int(fresh + (dust - fresh) * age) for fresh, dust in zip(colour, _DUST, strict=True))
    return red, green, blue


def _scatter(rng: np.random.Generator, count: int, radius: float) -> Points:
    """Places of fragments: two to four heaps along a crooked axis, and a few strays near them; float64 (count, 2)."""
    heaps = int(rng.integers(2, 5))
    angle = rng.uniform(0, np.pi)
    flat = rng.uniform(0.1, 0.4)
    axis = np.stack((rng.uniform(-0.62, 0.62, heaps), rng.uniform(-flat, flat, heaps)), 1)
    centres = turn(axis * radius, angle)
    spread = rng.uniform(0.12, 0.25, heaps) * radius
    of_heap = rng.choice(heaps, count, p=rng.dirichlet(np.full(heaps, 4.0)))
    spots = centres[of_heap] + rng.normal(0, 1, (count, 2)) * spread[of_heap, None]
    distance = np.maximum(np.hypot(spots[:, 0], spots[:, 1]), 1e-6)
    # Strays are kept near: the box is the pile's, not a lost bottle's.
    return spots * np.minimum(1, 0.98 * radius / distance)[:, None]


def _paint_bag(rng: np.random.Generator, easel: Easel, spot: Points, size: float, sun: Sun) -> None:
    colour = _choose_colour(rng, _BAGS)
    outline = make_blob(rng, 2.5 * size, roughness=0.22, stretch=rng.uniform(1, 1.35))
    lean = np.array((sun.x, sun.y)) * size
    easel.paint_polygon(outline + spot + lean * 0.4, shade_colour(colour, 0.55))
    easel.paint_polygon(outline * 0.9 + spot, colour)
    easel.paint_polygon(outline * 0.45 + spot - lean * 0.8, shade_colour(colour, 1.25))
    glint = spot - lean * 1.1
    easel.paint_disc(glint[0], glint[1], 0.4 * size, tuple(min(255, tone + 70) for tone in colour))  # type: ignore[arg-type]


def _paint_sheet(rng: np.random.Generator, easel: Easel, spot: Points, size: float, sun: Sun) -> None:
    del sun
    colour = _choose_colour(rng, _PLASTIC)
    outline = make_blob(rng, 2.1 * size, roughness=0.45, stretch=rng.uniform(1, 1.6), corners=7)
    easel.paint_polygon(outline + spot, shade_colour(colour, 0.8))
    easel.paint_polygon(outline[:5] * 0.92 + spot, colour)
    fold = outline[[0, 3]] * 0.8 + spot
    easel.paint_path(fold, 0.5, shade_colour(colour, 0.62))


def _paint_box(rng: np.random.Generator, easel: Easel, spot: Points, size: float, sun: Sun) -> None:
    colour = _choose_colour(rng, _CARDBOARD)
    angle = rng.uniform(0, np.pi)
    length, width = rng.uniform(3, 5.4) * size, rng.uniform(2.4, 4) * size
    body = make_rectangle(length, width, angle)
    lean = np.array((sun.x, sun.y)) * size * 0.6
    easel.paint_polygon(body + spot + lean, shade_colour(colour, 0.5))
    easel.paint_polygon(body + spot, shade_colour(colour, 0.92))
    easel.paint_polygon(body[:3] + spot, shade_colour(colour, 1.08))
    if rng.random() < 0.5:
        easel.paint_polygon(
            make_rectangle(length * 0.7, width * 0.6, angle) + spot, shade_colour(colour, 0.42)
        )


def _paint_plank(rng: np.random.Generator, easel: Easel, spot: Points, size: float, sun: Sun) -> None:
    colour = _choose_colour(rng, _WOOD)
    angle = rng.uniform(0, np.pi)
    length = rng.uniform(5, 11) * size
    middle = spot * np.float64(0.88)
    plank = make_rectangle(length, rng.uniform(0.8, 1.5) * size, angle)
    lean = np.array((sun.x, sun.y)) * size * 0.5
    easel.paint_polygon(plank + middle + lean, shade_colour(colour, 0.5))
    easel.paint_polygon(plank + middle, colour)
    easel.paint_path(plank[:2] * 0.96 + middle, 0.4, shade_colour(colour, 1.2))


def _paint_cloth(rng: np.random.Generator, easel: Easel, spot: Points, size: float, sun: Sun) -> None:
    del sun
    colour = _choose_colour(rng, _TEXTILE)
    outline = make_blob(rng, 2.6 * size, roughness=0.5, stretch=rng.uniform(1, 1.8), corners=9)
    easel.paint_polygon(outline + spot, shade_colour(colour, 0.78))
    easel.paint_polygon(outline * 0.62 + spot, colour)
    easel.paint_path(outline[[1, 5, 7]] * 0.6 + spot, 0.5, shade_colour(colour, 0.6))


def _paint_tyre(rng: np.random.Generator, easel: Easel, spot: Points, size: float, sun: Sun) -> None:
    radius = rng.uniform(2.2, 2.9) * size
    easel.paint_disc(spot[0], spot[1], radius, (34, 34, 36))
    easel.paint_disc(spot[0] - sun.x * 0.4, spot[1] - sun.y * 0.4, radius * 0.82, (66, 66, 68))
    easel.paint_disc(spot[0], spot[1], radius * 0.5, (40, 36, 32))


def _paint_rubble(rng: np.random.Generator, easel: Easel, spot: Points, size: float, sun: Sun) -> None:
    del sun
    middles = spot + rng.normal(0, 1.5 * size, (5, 1, 2))
    bits = middles + rng.uniform(-0.85, 0.85, (5, 4, 2)) * size
    colour = _choose_colour(rng, _RUBBLE)
    for bit, light in zip(bits, rng.uniform(0.8, 1.2, 5).tolist(), strict=True):
        easel.paint_polygon(bit, shade_colour(colour, light))


def _paint_mattress(rng: np.random.Generator, easel: Easel, spot: Points, size: float, sun: Sun) -> None:
    colour = _choose_colour(rng, ((204, 196, 180), (178, 182, 190), (190, 168, 150)))
    angle = rng.uniform(0, np.pi)
    body = make_rectangle(13 * size, 7 * size, angle)
    lean = np.array((sun.x, sun.y)) * size
    easel.paint_polygon(body + spot + lean, shade_colour(colour, 0.45))
    easel.paint_polygon(body + spot, shade_colour(colour, 0.86))
    easel.paint_polygon(body * 0.88 + spot, colour)
    for _ in range(3):
        stain = make_blob(rng, rng.uniform(0.8, 2) * size) + spot
        offset = turn(rng.uniform(-0.3, 0.3, (1, 2)) * np.array((13, 7)) * size, angle)
        easel.paint_polygon(stain + offset, shade_colour(colour, 0.8))


_FRAGMENTS = (
    _paint_bag,
    _paint_sheet,
    _paint_box,
    _paint_plank,
    _paint_cloth,
    _paint_tyre,
    _paint_rubble,
)
