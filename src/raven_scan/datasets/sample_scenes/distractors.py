"""What is no waste: roofs, vehicles, and things as colourful as waste (flower beds, tarps, stones, logs)."""

from collections.abc import Callable

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
from raven_scan.datasets.sample_scenes.textures import Colour, Field

_TILES: tuple[Colour, ...] = ((158, 92, 68), (140, 78, 60), (172, 112, 84), (108, 84, 74), (96, 96, 102))
_METAL: tuple[Colour, ...] = ((168, 172, 176), (112, 134, 150), (132, 78, 66), (142, 150, 138))
_PAINT: tuple[Colour, ...] = (
    (226, 228, 230),
    (178, 182, 186),
    (52, 54, 58),
    (86, 90, 96),
    (150, 40, 36),
    (46, 74, 122),
    (226, 228, 230),
    (62, 84, 70),
)
_GLASS: Colour = (38, 44, 52)
_TARPS: tuple[Colour, ...] = ((52, 98, 158), (70, 124, 84), (206, 128, 58), (150, 154, 158))
_PETALS: tuple[Colour, ...] = (
    (206, 62, 74),
    (226, 190, 62),
    (196, 108, 176),
    (232, 226, 220),
    (122, 92, 180),
)
_STONES: tuple[Colour, ...] = ((146, 140, 130), (122, 116, 108), (168, 162, 150), (132, 120, 104))


def draw_roof(rng: np.random.Generator, length: float, width: float, angle: float, sun: Sun) -> Sprite:
    """A gable roof of tiles or sheet metal, or a flat one with a parapet; with what stands on roofs."""
    easel = Easel(int(np.hypot(length, width) / 2) + 3)
    kind = rng.random()
    if kind < 0.3:
        _paint_flat_roof(rng, easel, length, width, angle, sun)
    else:
        _paint_gable_roof(rng, easel, length, width, angle, sun, tiled=kind < 0.75)
    return easel.finish()


def _paint_gable_roof(
    rng: np.random.Generator,
    easel: Easel,
    length: float,
    width: float,
    angle: float,
    sun: Sun,
    *,
    tiled: bool,
) -> None:
    palette = _TILES if tiled else _METAL
    base = vary_colour(rng, palette[rng.integers(len(palette))], 10)
    across = turn(np.array(((0.0, 1.0),)), angle)[0]
    for side in (-1, 1):
        lit = 1 - 0.26 * sun.strength * side * float(across[0] * sun.x + across[1] * sun.y)
        slope = shade_colour(base, lit)

        def on_slope(along: float, down: float, side: int = side) -> Points:
            return np.array((along * length / 2, side * down * width / 2))

        corners = np.stack([on_slope(-1, 0), on_slope(1, 0), on_slope(1, 1), on_slope(-1, 1)])
        easel.paint_polygon(turn(corners, angle), slope)
        if tiled:
            for down in np.arange(1.6, width / 2, 1.6) / (width / 2):
                row = turn(np.stack([on_slope(-1, down), on_slope(1, down)]), angle)
                easel.paint_path(row, 0.5, shade_colour(slope, rng.uniform(0.8, 0.94)))
        seams = np.arange(2.2, length, 2.2 if not tiled else 5.0) / length * 2 - 1
        for along in seams:
            seam = turn(np.stack([on_slope(along, 0.02), on_slope(along, 1)]), angle)
            easel.paint_path(seam, 0.4, shade_colour(slope, rng.uniform(0.84, 1.02)))
        for _ in range(int(rng.integers(2, 7))):
            stain = make_blob(rng, rng.uniform(1.5, 4))
            along = rng.uniform(-0.8, 0.8) * length / 2
            down = side * rng.uniform(0.3, 0.7) * width / 2
            easel.paint_polygon(turn(stain * 0.6 + np.array((along, down)), angle), shade_colour(slope, 0.9))
        if rng.random() < 0.25 and min(length, width) > 30:
            _paint_solar_panels(easel, length, width, angle, side)
    ridge = turn(np.array(((-length / 2, 0.0), (length / 2, 0.0))), angle)
    easel.paint_path(ridge, 1.0, shade_colour(base, 1.18))
    easel.paint_path(
        turn(make_rectangle(length - 0.8, width - 0.8), angle), 0.7, shade_colour(base, 0.72), closed=True
    )
    if tiled and rng.random() < 0.7:
        spot = np.array((rng.uniform(-0.35, 0.35) * length, rng.uniform(-0.2, 0.2) * width))
        shadow = np.array((sun.x, sun.y)) * 4
        easel.paint_polygon(turn(make_rectangle(4, 4) + spot, angle) + shadow, shade_colour(base, 0.5))
        easel.paint_polygon(turn(make_rectangle(4, 3.4) + spot, angle), (146, 106, 90))
        easel.paint_polygon(turn(make_rectangle(2, 1.6) + spot, angle), (46, 42, 40))


def _paint_solar_panels(easel: Easel, length: float, width: float, angle: float, side: int) -> None:
    pitch_x, pitch_y = 6.0, 8.5
    rows = max(1, int(width * 0.36 / pitch_y))
    columns = max(2, int(length * 0.6 / pitch_x))
    for row in range(rows):
        for column in range(columns):
            x = (column - (columns - 1) / 2) * pitch_x
            y = side * (width * 0.25 + (row - (rows - 1) / 2) * pitch_y)
            easel.paint_polygon(turn(make_rectangle(5.4, 7.8, 0, x, y), angle), (34, 42, 66))
            easel.paint_polygon(turn(make_rectangle(4.4, 1.2, 0, x, y - 2), angle), (54, 66, 96))


def _paint_flat_roof(
    rng: np.random.Generator, easel: Easel, length: float, width: float, angle: float, sun: Sun
) -> None:
    base = vary_colour(rng, ((150, 148, 144), (118, 116, 116), (172, 166, 156))[rng.integers(3)], 10)
    easel.paint_polygon(make_rectangle(length, width, angle), shade_colour(base, 1.22))
    easel.paint_polygon(make_rectangle(length - 4, width - 4, angle), shade_colour(base, 0.66))
    shift = np.array((sun.x, sun.y)) * 1.6
    easel.paint_polygon(make_rectangle(length - 5, width - 5, angle) + shift * 0.6, base)
    for _ in range(int(rng.integers(3, 8))):
        stain = make_blob(rng, rng.uniform(2, 6))
        spot = np.array((rng.uniform(-0.36, 0.36) * length, rng.uniform(-0.36, 0.36) * width))
        easel.paint_polygon(turn(stain * 0.8 + spot, angle), shade_colour(base, rng.uniform(0.9, 1.06)))
    for _ in range(int(rng.integers(1, 5))):
        spot = np.array((rng.uniform(-0.34, 0.34) * length, rng.uniform(-0.32, 0.32) * width))
        box = make_rectangle(rng.uniform(4, 8), rng.uniform(3, 6)) + spot
        easel.paint_polygon(turn(box, angle) + shift * 2, shade_colour(base, 0.52))
        easel.paint_polygon(turn(box, angle), shade_colour(base, 1.3))
        easel.paint_polygon(turn((box - spot) * 0.5 + spot, angle), shade_colour(base, 0.85))


def draw_car(rng: np.random.Generator, metre: float, angle: float) -> Sprite:
    """A car: body, bonnet, glass all round a lighter top. `metre` is in image pixels."""
    length, width = rng.uniform(4.1, 4.8) * metre, rng.uniform(1.75, 1.95) * metre
    easel = Easel(int(length / 2) + 4)
    paint = vary_colour(rng, _PAINT[rng.integers(len(_PAINT))], 8)

    def place(x0: float, x1: float, y0: float, y1: float) -> Points:
        """A part by fractions of the car's length and width, its corners cut."""
        cut = 0.16 * (y1 - y0)
        outline = np.array(
            (
                (x0, y0 + cut),
                (x0 + cut * 0.5, y0),
                (x1 - cut * 0.5, y0),
                (x1, y0 + cut),
                (x1, y1 - cut),
                (x1 - cut * 0.5, y1),
                (x0 + cut * 0.5, y1),
                (x0, y1 - cut),
            )
        )
        return turn(outline * np.array((length, width)), angle)

    easel.paint_polygon(place(-0.5, 0.5, -0.5, 0.5), shade_colour(paint, 0.82))
    easel.paint_polygon(place(-0.48, 0.48, -0.45, 0.45), paint)
    easel.paint_polygon(place(0.22, 0.46, -0.38, 0.38), shade_colour(paint, 1.08))
    easel.paint_polygon(place(-0.42, 0.24, -0.42, 0.42), _GLASS)
    easel.paint_polygon(place(-0.3, 0.1, -0.36, 0.36), shade_colour(paint, 1.12))
    easel.paint_polygon(place(-0.14, 0.0, -0.36, 0.36), shade_colour(paint, 1.05))
    for side in (-1, 1):
        light = turn(np.array(((0.47 * length, side * 0.33 * width),)), angle)[0]
        easel.paint_disc(light[0], light[1], 0.7, (236, 232, 214))
        tail = turn(np.array(((-0.48 * length, side * 0.36 * width),)), angle)[0]
        easel.paint_disc(tail[0], tail[1], 0.6, (150, 34, 30))
        mirror = turn(np.array(((0.16 * length, side * 0.53 * width),)), angle)[0]
        easel.paint_disc(mirror[0], mirror[1], 0.6, shade_colour(paint, 0.8))
    return easel.finish()


def draw_truck(rng: np.random.Generator, metre: float, angle: float) -> Sprite:
    """A lorry: a cab, and a box with ribs."""
    length, width = rng.uniform(7.5, 10) * metre, 2.5 * metre
    easel = Easel(int(length / 2) + 4)
    box = vary_colour(
        rng, ((216, 216, 212), (92, 112, 142), (160, 150, 130), (110, 124, 104))[rng.integers(4)]
    )
    cab = vary_colour(rng, _PAINT[rng.integers(len(_PAINT))])

    def part(x: float, part_length: float, part_width: float) -> Points:
        return turn(make_rectangle(part_length, part_width, 0, x, 0), angle)

    easel.paint_polygon(part(0, length * 0.98, width * 0.6), (40, 40, 42))
    easel.paint_polygon(part(-length * 0.12, length * 0.75, width), shade_colour(box, 0.85))
    easel.paint_polygon(part(-length * 0.12, length * 0.73, width * 0.9), box)
    for x in np.arange(-length * 0.47, length * 0.24, 1.1 * metre):
        easel.paint_polygon(part(x, 0.5, width * 0.9), shade_colour(box, 0.86))
    easel.paint_polygon(part(length * 0.39, length * 0.2, width * 0.94), cab)
    easel.paint_polygon(part(length * 0.455, length * 0.05, width * 0.8), _GLASS)
    easel.paint_polygon(part(length * 0.37, length * 0.1, width * 0.76), shade_colour(cab, 1.12))
    return easel.finish()


def draw_flower_bed(rng: np.random.Generator, radius: float) -> Sprite:
    """A tended bed: rows of plants in blossom on dark soil."""
    length, width = radius * 1.6, radius * rng.uniform(0.6, 1.1)
    angle = rng.uniform(0, np.pi)
    easel = Easel(int(np.hypot(length, width) / 2) + 3)
    easel.paint_polygon(make_rectangle(length, width, angle), (112, 104, 92))
    easel.paint_polygon(make_rectangle(length - 2, width - 2, angle), (78, 62, 48))
    for y in np.arange(-width / 2 + 3, width / 2 - 2, 4.2):
        petal = _PETALS[rng.integers(len(_PETALS))]
        for x in np.arange(-length / 2 + 3, length / 2 - 2, 3.4):
            spot = turn(np.array(((x, y),)) + rng.uniform(-0.5, 0.5, (1, 2)), angle)[0]
            easel.paint_disc(spot[0], spot[1], rng.uniform(1.5, 2), vary_colour(rng, (72, 98, 50)))
            for dx, dy in rng.uniform(-1, 1, (3, 2)):
                easel.paint_disc(spot[0] + dx, spot[1] + dy, rng.uniform(0.4, 0.7), vary_colour(rng, petal))
    return easel.finish()


def draw_tarp(rng: np.random.Generator, radius: float) -> Sprite:
    """A tarpaulin over something stored: one colour, folds, cords at the rim."""
    easel = Easel(int(radius * 1.3) + 3)
    length, width = radius * 1.8, radius * rng.uniform(0.9, 1.4)
    angle = rng.uniform(0, np.pi)
    colour = vary_colour(rng, _TARPS[rng.integers(len(_TARPS))])
    corners = make_rectangle(length, width)
    edges = [corners[i] + (corners[(i + 1) % 4] - corners[i]) * t for i in range(4) for t in (0, 0.33, 0.66)]
    outline = turn(np.array(edges) + rng.uniform(-0.06, 0.06, (12, 2)) * radius, angle)
    easel.paint_polygon(outline, shade_colour(colour, 0.84))
    easel.paint_polygon(outline * np.array(((0.86, 0.86),)), colour)
    easel.paint_polygon(outline * np.array(((0.5, 0.62),)) - radius * 0.05, shade_colour(colour, 1.1))
    for _ in range(9):
        ends = rng.uniform(-0.5, 0.5, (3, 2)) * np.array((length, width)) * 0.9
        ends[1] = (ends[0] + ends[2]) / 2 + rng.uniform(-2, 2, 2)
        easel.paint_path(turn(ends, angle), 0.5, shade_colour(colour, rng.choice((0.72, 1.2))))
    return easel.finish()


def draw_stones(rng: np.random.Generator, radius: float) -> Sprite:
    """A heap of field stones: clustered as waste is, of one greyish hue."""
    easel = Easel(int(radius * 1.4) + 4)
    count = int(np.clip(radius * 2.2, 14, 60))
    base = _STONES[rng.integers(len(_STONES))]
    for x, y in rng.normal(0, 0.36, (count, 2)).clip(-0.95, 0.95) * radius:
        stone = make_blob(rng, rng.uniform(1.6, 3.6), corners=7)
        colour = vary_colour(rng, base, 12)
        easel.paint_polygon(stone + np.array((x + 0.8, y + 0.8)), shade_colour(colour, 0.5))
        easel.paint_polygon(stone + np.array((x, y)), shade_colour(colour, 0.88))
        easel.paint_polygon(stone * 0.6 + np.array((x - 0.5, y - 0.5)), shade_colour(colour, 1.1))
    return easel.finish()


def draw_logs(rng: np.random.Generator, radius: float) -> Sprite:
    """Timber stacked beside a track: parallel trunks with light ends."""
    easel = Easel(int(radius * 1.3) + 3)
    angle = rng.uniform(0, np.pi)
    length = radius * 1.7
    for y in np.arange(-radius * 0.6, radius * 0.6, 2.4):
        bark = vary_colour(rng, (120, 94, 68), 14)
        start, stop = rng.uniform(-0.54, -0.46) * length, rng.uniform(0.46, 0.54) * length
        trunk = np.array(((start, y), (stop, y)))
        easel.paint_path(turn(trunk, angle), 2.7, shade_colour(bark, 0.6))
        easel.paint_path(turn(trunk, angle), 1.8, bark)
        easel.paint_path(turn(trunk - np.array((0, 0.5)), angle), 0.6, shade_colour(bark, 1.25))
        for end in turn(trunk, angle):
            easel.paint_disc(end[0], end[1], 1.2, (196, 164, 118))
    return easel.finish()


def draw_bales(rng: np.random.Generator, radius: float) -> Sprite:
    """A few wrapped or bare hay bales."""
    easel = Easel(int(radius * 1.5) + 3)
    wrapped = rng.random() < 0.35
    colour: Colour = (206, 210, 204) if wrapped else (186, 158, 92)
    size = max(3.5, radius * 0.34)
    angle = rng.uniform(0, np.pi)
    for index in range(int(rng.integers(2, 6))):
        spot = turn(np.array((((index % 3 - 1) * size * 2.3, (index // 3 - 0.5) * size * 2.4),)), angle)[0]
        tone = vary_colour(rng, colour, 8)
        easel.paint_disc(spot[0], spot[1], size, shade_colour(tone, 0.72))
        easel.paint_disc(spot[0] - 0.4, spot[1] - 0.4, size * 0.86, tone)
        easel.paint_disc(spot[0] - 0.4, spot[1] - 0.4, size * 0.5, shade_colour(tone, 0.92))
        easel.paint_disc(spot[0] - 0.4, spot[1] - 0.4, size * 0.38, shade_colour(tone, 1.04))
    return easel.finish()


LOW_DISTRACTORS: tuple[Callable[[np.random.Generator, float], Sprite], ...] = (
    draw_flower_bed,
    draw_tarp,
    draw_stones,
    draw_logs,
    draw_bales,
)


def roughen(rng: np.random.Generator, sprite: Sprite, grain: Field) -> Sprite:
    """The sprite with a random piece of a large field of grain multiplied onto its colour."""
    side = 2 * sprite.half
    top, left = rng.integers(0, len(grain) - side + 1, 2).tolist()
    colour = sprite.colour * grain[top : top + side, left : left + side]
    ceiling = sprite.alpha.astype(np.float32)
    return Sprite(np.minimum(colour, ceiling), sprite.alpha)
