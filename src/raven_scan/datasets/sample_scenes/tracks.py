"""Ways across the ground: dirt tracks with two ruts, roads with markings, foot paths."""

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np

from raven_scan.datasets.sample_scenes.sprites import Points
from raven_scan.datasets.sample_scenes.textures import (
    Field,
    Ground,
    Pixels,
    blur,
    draw_fractal_noise,
    draw_ground,
    draw_value_noise,
    mix,
    soften_step,
)


class Surface(StrEnum):
    DIRT = "dirt"
    ROAD = "road"
    PATH = "path"


@dataclass(frozen=True, slots=True)
class Track:
    """A way through the scene.

    Attributes:
        course: float64 (N, 2), its middle line in image pixels.
        half_width: metres.
    """

    surface: Surface
    course: Points
    half_width: float

    def measure_distance(self, x: float, y: float) -> float:
        """Pixels from the middle line."""
        return float(np.hypot(self.course[:, 0] - x, self.course[:, 1] - y).min())


_HALF_WIDTHS = {Surface.DIRT: 1.5, Surface.ROAD: 3.0, Surface.PATH: 0.7}


def plan_track(rng: np.random.Generator, size: int, surface: Surface) -> Track:
    return Track(surface, _draw_course(rng, size), _HALF_WIDTHS[surface])


def _draw_course(rng: np.random.Generator, size: int) -> Points:
    """A gentle curve from one side of the image to another, float64 (N, 2), as a Bézier curve of third degree."""
    angle = rng.uniform(0, 2 * np.pi)
    ahead = np.array((np.cos(angle), np.sin(angle)))
    aside = np.array((-ahead[1], ahead[0]))
    middle = size / 2 + aside * rng.uniform(-0.3, 0.3) * size
    bends = rng.uniform(-0.25, 0.25, 4) * size
    knots = [
        middle + ahead * along * size + aside * bend
        for along, bend in zip((-0.85, -0.3, 0.3, 0.85), bends, strict=True)
    ]
    t = np.linspace(0, 1, 60)[:, None]
    s = 1 - t
    return s**3 * knots[0] + 3 * s**2 * t * knots[1] + 3 * s * t**2 * knots[2] + t**3 * knots[3]


def _paint_strip(size: int, course: Points, width: float) -> Pixels:
    mask: Pixels = np.zeros((size, size), np.uint8)
    fixed = np.rint(course * 16).astype(np.int32)
    cv2.polylines(
        mask,
        [fixed],
        isClosed=False,
        color=255,
        thickness=max(1, round(width)),
        lineType=cv2.LINE_AA,
        shift=4,
    )
    return mask


def _offset(course: Points, distance: float) -> Points:
    """The course moved sideways."""
    direction = np.gradient(course, axis=0)
    normal = np.stack((-direction[:, 1], direction[:, 0]), 1)
    return course + normal / np.maximum(np.hypot(normal[:, 0], normal[:, 1]), 1e-6)[:, None] * distance


def _fray(mask: Pixels, rough: Field, softness_px: float, amount: float) -> Field:
    """The mask with a soft, uneven rim; float32 in [0, 1]."""
    soft = blur(mask, softness_px).astype(np.float32) / np.float32(255)
    frayed = soft + (rough - np.float32(0.5)) * np.float32(amount)
    return soften_step(np.asarray(frayed, np.float32), 0.3, 0.7)


def lay_track(rng: np.random.Generator, image: Field, track: Track, metre: float) -> Field:
    """The image with the track on it. `metre` is in image pixels."""
    course = track.course
    size = image.shape[1]
    rough = draw_fractal_noise(rng, size, (26, 11, 5))
    if track.surface is Surface.ROAD:
        return _lay_road(rng, image, course, rough, metre)
    soil = draw_ground(rng, size, Ground.SOIL) * np.float32(rng.uniform(1.02, 1.14))
    if track.surface is Surface.PATH:
        path = _fray(_paint_strip(size, course, 1.3 * metre), rough, 2.2, 0.9)
        return mix(image, soil, path * np.float32(0.8))
    worn = _fray(_paint_strip(size, course, 3.1 * metre), rough, 4, 1.0)
    image = mix(image, soil, worn * np.float32(rng.uniform(0.35, 0.75)))
    for side in (-1, 1):
        rut = _fray(_paint_strip(size, _offset(course, side * 0.85 * metre), 0.75 * metre), rough, 1.8, 0.7)
        image = mix(image, soil * np.float32(1.05), rut * np.float32(0.85))
        tread = _fray(_paint_strip(size, _offset(course, side * 0.85 * metre + 1.2), 1.6), rough, 1.0, 0.9)
        image *= 1 - tread * np.float32(0.16)
    return image


def _lay_road(rng: np.random.Generator, image: Field, course: Points, rough: Field, metre: float) -> Field:
    size = image.shape[1]
    width = 2 * _HALF_WIDTHS[Surface.ROAD] * metre
    verge = _fray(_paint_strip(size, course, width + 2 * metre), rough, 3, 0.9)
    image = mix(image, draw_ground(rng, size, Ground.GRAVEL), verge * np.float32(0.7))
    asphalt = draw_ground(rng, size, Ground.ASPHALT)
    surface = _fray(_paint_strip(size, course, width), rough, 0.9, 0.35)
    image = mix(image, asphalt, surface)
    for side in (-1, 1):
        wear = blur(_paint_strip(size, _offset(course, side * width * 0.24), width * 0.14), 3)
        image += wear.astype(np.float32) * np.float32(0.035)
    paint: Pixels = np.zeros((size, size), np.uint8)
    if rng.random() < 0.6:
        for side in (-1, 1):
            edge = _paint_strip(size, _offset(course, side * (width / 2 - 0.35 * metre)), 1)
            np.maximum(paint, edge, out=paint)
    dashes = np.zeros((size, size), np.uint8)
    for start in range(0, len(course) - 2, 4):
        np.maximum(dashes, _paint_strip(size, course[start : start + 3], 1.6), out=dashes)
    np.maximum(paint, dashes, out=paint)
    worn = soften_step(draw_value_noise(rng, size, 5), 0.12, 0.5)
    faded = blur(paint, 0.6).astype(np.float32) * worn * np.float32(0.8 / 255)
    return mix(image, np.full_like(image, 218), faded)
