"""Things drawn from above: an easel with fine pixels, what comes off it, and the light they stand in."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from raven_scan.datasets.sample_scenes.textures import Colour, Field, Pixels, blur

Points = NDArray[np.float64]

# Easel pixels to an image pixel.
_FINENESS = 3
# Fractional bits of the coordinates that OpenCV draws at.
_SHIFT = 4
_UNIT = _FINENESS << _SHIFT
_PENUMBRA_PX = 1.1


@dataclass(frozen=True, slots=True)
class Sprite:
    """A drawn thing.

    Attributes:
        colour: float32 (3, S, S), RGB in 0-255, premultiplied by alpha.
        alpha: uint8 (S, S).
    """

    colour: Field
    alpha: Pixels

    @property
    def half(self) -> int:
        return self.alpha.shape[0] // 2


class Easel:
    """Where a sprite is drawn, at several pixels to an image pixel.

    Coordinates are image pixels from the middle: x to the right, y down.
    """

    def __init__(self, half: int) -> None:
        self.half = half
        side = 2 * half * _FINENESS
        self._board: Pixels = np.zeros((side, side, 4), np.uint8)

    def _fix(self, points: Points) -> NDArray[np.int32]:
        return ((points + self.half) * _UNIT + 0.5).astype(np.int32)

    def paint_polygon(self, points: Points, colour: Colour) -> None:
        """points: float64 (N, 2)."""
        cv2.fillPoly(self._board, [self._fix(points)], (*colour, 255), cv2.LINE_8, _SHIFT)

    def paint_disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        centre = int((x + self.half) * _UNIT + 0.5), int((y + self.half) * _UNIT + 0.5)
        fine_radius = max(1, int(radius * _UNIT + 0.5))
        cv2.circle(self._board, centre, fine_radius, (*colour, 255), cv2.FILLED, cv2.LINE_8, _SHIFT)

    def paint_path(self, points: Points, width: float, colour: Colour, *, closed: bool = False) -> None:
        """A line through float64 (N, 2) points, `width` image pixels wide."""
        thickness = max(1, round(width * _FINENESS))
        cv2.polylines(self._board, [self._fix(points)], closed, (*colour, 255), thickness, cv2.LINE_8, _SHIFT)

    def finish(self, grain: Field | None = None) -> Sprite:
        """The sprite; `grain` float32 (2 half, 2 half), around 1, is multiplied onto its colour."""
        side = 2 * self.half
        small = np.asarray(cv2.resize(self._board, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        colour = np.ascontiguousarray(small[..., :3].transpose(2, 0, 1)).astype(np.float32)
        if grain is not None:
            colour *= grain
            np.minimum(colour, 255, out=colour)
        return Sprite(colour, np.ascontiguousarray(small[..., 3]))


@dataclass(frozen=True, slots=True)
class Sun:
    """Where the light comes from.

    Attributes:
        x, y: unit vector on the image, in the direction that shadows fall.
        length: pixels of shadow for a pixel of height.
        strength: 0 (overcast) to 1.
    """

    x: float
    y: float
    length: float
    strength: float


@dataclass(frozen=True, slots=True)
class Placed:
    """A sprite at a place.

    Attributes:
        x, y: image pixel of its middle.
        height: pixels above the ground, for its shadow.
        standing: whether its shadow starts at its foot, as a wall's does, or hangs, as a crown's.
    """

    sprite: Sprite
    x: int
    y: int
    height: float
    standing: bool = True

    def find_overlap(
        self, size: int, dx: int = 0, dy: int = 0
    ) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
        """Where it meets a square image: (rows, columns) of the image and of the sprite; None where it does not."""
        half = self.sprite.half
        left, top = self.x + dx - half, self.y + dy - half
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + 2 * half, size), min(top + 2 * half, size)
        if x0 >= x1 or y0 >= y1:
            return None
        return (
            (slice(y0, y1), slice(x0, x1)),
            (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)),
        )


def lay_out(image: Field, things: list[Placed], sun: Sun) -> None:
    """Lets the shadows of one storey of things fall on the image, then puts the things on it, in their order."""
    size = image.shape[1]
    shade: Pixels = np.zeros((size, size), np.uint8)
    for thing in things:
        reach = max(1.0, thing.height * sun.length)
        start = 0.0 if thing.standing else reach * 0.3
        for step in np.arange(start, reach + 0.75, 1.5):
            overlap = thing.find_overlap(size, round(sun.x * step), round(sun.y * step))
            if overlap is not None:
                here, there = overlap
                np.maximum(shade[here], thing.sprite.alpha[there], out=shade[here])
    if things:
        soft = blur(shade, _PENUMBRA_PX)
        # Skylight is blue: shadows lose less of it.
        loss = np.asarray((0.66, 0.63, 0.56), np.float32) * np.float32(sun.strength / 255)
        for channel in range(3):
            image[channel] *= 1 - soft.astype(np.float32) * loss[channel]
    for thing in things:
        overlap = thing.find_overlap(size)
        if overlap is not None:
            here, there = overlap
            cover = thing.sprite.alpha[there].astype(np.float32) / np.float32(255)
            patch = image[(slice(None), *here)]
            patch *= 1 - cover
            patch += thing.sprite.colour[(slice(None), *there)]


def turn(points: Points, angle: float) -> Points:
    """Rotates float64 (N, 2) points about the origin."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return points @ np.array(((cosine, sine), (-sine, cosine)))


def make_rectangle(length: float, width: float, angle: float = 0, x: float = 0, y: float = 0) -> Points:
    """Corners, float64 (4, 2), of a rectangle with its length along `angle`."""
    a, b = length / 2, width / 2
    corners = np.array(((-a, -b), (a, -b), (a, b), (-a, b)))
    return turn(corners, angle) + np.array((x, y))


def make_blob(
    rng: np.random.Generator,
    radius: float,
    *,
    roughness: float = 0.25,
    stretch: float = 1.0,
    corners: int = 11,
) -> Points:
    """An irregular round outline, float64 (corners, 2), about the origin."""
    jitter = rng.uniform(-1, 1, (2, corners))
    angles = (np.arange(corners) + 0.35 * jitter[0]) * (2 * np.pi / corners)
    radii = radius * (1 + roughness * jitter[1])
    outline = np.stack((np.cos(angles) * (radii * stretch), np.sin(angles) * (radii / stretch)), 1)
    return turn(outline, rng.uniform(0, np.pi))


def shade_colour(colour: Colour, factor: float) -> Colour:
    red, green, blue = colour
    return min(255, int(red * factor)), min(255, int(green * factor)), min(255, int(blue * factor))


def vary_colour(rng: np.random.Generator, colour: Colour, amount: float = 14) -> Colour:
    """The colour, a little lighter or darker and off in hue."""
    light, *tints = rng.uniform(-amount, amount, 4).tolist()
    red, green, blue = (
        min(255, max(0, int(channel + light + tint / 3))) for channel, tint in zip(colour, tints, strict=True)
    )
    return red, green, blue
