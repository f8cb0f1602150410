"""One scene: ground, tracks, things, waste, vegetation, light and camera, in this order."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raven_scan.datasets.sample_scenes.distractors import (
    LOW_DISTRACTORS,
    draw_car,
    draw_roof,
    draw_truck,
    roughen,
)
from raven_scan.datasets.sample_scenes.sprites import Placed, Sun, lay_out
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
from raven_scan.datasets.sample_scenes.tracks import Surface, Track, lay_track, plan_track
from raven_scan.datasets.sample_scenes.vegetation import draw_bush, draw_conifer, draw_crown
from raven_scan.datasets.sample_scenes.waste import STOREYS, Pile, draw_pile

# The share of a pile that vegetation may hide.
_HIDDEN_MAX = 0.4


@dataclass(frozen=True, slots=True)
class Scene:
    """A drawn scene.

    Attributes:
        image: uint8 (S, S, 3), RGB.
        piles: uint8 (S, S): 0 where no waste is seen, else 1 + the row in `boxes`.
        boxes: int64 (N, 4): x y width height, tight around what is seen of each pile.
    """

    image: Pixels
    piles: Pixels
    boxes: NDArray[np.int64]


@dataclass(slots=True)
class _Site:
    """What is decided of a scene before anything is drawn, and which places are taken.

    Attributes:
        metre: image pixels to a metre.
    """

    size: int
    metre: float
    sun: Sun
    grain: Field
    track: Track | None
    taken: list[tuple[float, float, float]] = field(default_factory=list[tuple[float, float, float]])

    def find_place(
        self, rng: np.random.Generator, radius: float, *, margin: float = 0, beside_track: float = 0
    ) -> tuple[int, int] | None:
        """Finds a free spot off the track for a disc, and takes it.

        Args:
            rng: where the tries come from.
            radius: of the disc, pixels.
            margin: pixels that its middle keeps from the image's border.
            beside_track: share of the tries that look near the track.

        Returns:
            x, y of its middle; None where all tries failed.
        """
        for _ in range(30):
            if self.track is not None and rng.random() < beside_track:
                foot = self.track.course[rng.integers(len(self.track.course))]
                x, y = foot + rng.uniform(-1.2, 1.2, 2) * (radius + self.track.half_width * self.metre)
            else:
                x, y = rng.uniform(margin, self.size - margin, 2)
            inside = min(x, y) >= margin and max(x, y) <= self.size - margin
            if inside and self.is_free(x, y, radius, off_track=0.7):
                self.taken.append((x, y, radius))
                return int(x), int(y)
        return None

    def is_free(self, x: float, y: float, radius: float, *, off_track: float) -> bool:
        """Whether a disc meets nothing. `off_track`: the share of its radius that must be off the track."""
        if self.track is not None and off_track:
            clear = self.track.half_width * self.metre + radius * off_track
            if self.track.measure_distance(x, y) < clear:
                return False
        return all((x - a) ** 2 + (y - b) ** 2 > (radius + r) ** 2 for a, b, r in self.taken)

    def find_lane(self, rng: np.random.Generator, radius: float) -> tuple[int, int, float] | None:
        """A free spot on the track for a vehicle: x, y and the heading; takes it. None where there is none."""
        if self.track is None or self.track.surface is Surface.PATH:
            return None
        course = self.track.course
        for _ in range(12):
            index = int(rng.integers(1, len(course) - 1))
            dx, dy = course[index + 1] - course[index - 1]
            side = (1 if rng.random() < 0.5 else -1) if self.track.surface is Surface.ROAD else 0
            offset = side * 1.55 * self.metre / max(float(np.hypot(dx, dy)), 1e-6)
            x, y = course[index] + np.array((-dy, dx)) * offset
            if min(x, y) >= 0 and max(x, y) < self.size and self.is_free(x, y, radius, off_track=0):
                self.taken.append((x, y, radius))
                return int(x), int(y), float(np.arctan2(dy, dx)) + (0 if side > 0 else np.pi)
        return None


def draw_scene(seed: tuple[int, ...], size: int, *, pile_count: int | None = None) -> Scene:
    """Draws the scene of a seed.

    The same seed with another `pile_count` gives the same place: waste comes last, from a random stream of its own.
    A place that is too crowded may show fewer piles than asked for.

    Args:
        seed: whole numbers, none negative.
        size: side of the square image, pixels.
        pile_count: None lets the seed decide (one to four); 0 draws a scene without waste.
    """
    terrain, things, waste, plants, camera = (
        np.random.Generator(np.random.PCG64(np.random.SeedSequence((*seed, stream)))) for stream in range(5)
    )
    site = _make_site(terrain, size)
    image = _draw_terrain(terrain, site)

    low, tall = _draw_things(things, site)
    wanted = int(waste.choice((1, 2, 3, 4), p=(0.32, 0.32, 0.22, 0.14)))
    crowns = _draw_vegetation(plants, site)
    piles = _place_piles(waste, site, wanted if pile_count is None else pile_count)
    crowns += _overhang(waste, site, piles)

    lay_out(image, low, site.sun)
    _stain(waste, image, piles)
    for storey in range(STOREYS):
        lay_out(image, [Placed(pile.storeys[storey], x, y, 2.0 + storey) for pile, x, y in piles], site.sun)
    lay_out(image, sorted(crowns + tall, key=lambda thing: thing.height), site.sun)
    labels, boxes = _label(size, piles, crowns + tall)
    return Scene(_photograph(camera, image), labels, boxes)


def _make_site(rng: np.random.Generator, size: int) -> _Site:
    angle = rng.uniform(0, 2 * np.pi)
    overcast = rng.random() < 0.2
    sun = Sun(
        float(np.cos(angle)),
        float(np.sin(angle)),
        length=rng.uniform(0.35, 1.1),
        strength=rng.uniform(0.25, 0.45) if overcast else rng.uniform(0.75, 1.0),
    )
    # A field of view of 32 to 52 m, as from a drone at 40 to 60 m.
    metre = size / rng.uniform(32, 52)
    grain = 1 + (draw_fractal_noise(rng, size, (3.2, 1.7, 1)) - np.float32(0.5)) * np.float32(0.75)
    surface = rng.choice(("dirt", "road", "path", ""), p=(0.42, 0.26, 0.12, 0.2))
    track = plan_track(rng, size, Surface(surface)) if surface else None
    return _Site(size, metre, sun, grain, track)


def _draw_terrain(rng: np.random.Generator, site: _Site) -> Field:
    size = site.size
    base, patch = (
        (Ground.GRASS, Ground.DRY_GRASS),
        (Ground.GRASS, Ground.SOIL),
        (Ground.DRY_GRASS, Ground.SOIL),
        (Ground.DRY_GRASS, Ground.GRASS),
        (Ground.SOIL, Ground.GRASS),
        (Ground.PLOUGHED, Ground.GRASS),
        (Ground.GRAVEL, Ground.GRASS),
        (Ground.ASPHALT, Ground.GRASS),
    )[rng.choice(8, p=(0.2, 0.16, 0.14, 0.14, 0.1, 0.08, 0.1, 0.08))]
    cover = draw_fractal_noise(rng, size, (size / 2.5, size / 6, size / 14, 12, 5))
    threshold = rng.uniform(0.44, 0.6)
    sharpness = 0.03 if base in (Ground.ASPHALT, Ground.PLOUGHED) else 0.09
    image = mix(
        draw_ground(rng, size, base),
        draw_ground(rng, size, patch),
        soften_step(cover, threshold - sharpness, threshold + sharpness),
    )
    return image if site.track is None else lay_track(rng, image, site.track, site.metre)


def _draw_things(rng: np.random.Generator, site: _Site) -> tuple[list[Placed], list[Placed]]:
    """Roofs (tall), vehicles and colourful things (low)."""
    low: list[Placed] = []
    tall: list[Placed] = []
    metre = site.metre
    for _ in range(int(rng.choice((0, 1, 2), p=(0.52, 0.34, 0.14)))):
        length, width = rng.uniform(8, 16) * metre, rng.uniform(6, 9) * metre
        spot = site.find_place(rng, math.hypot(length, width) / 2)
        if spot is not None:
            angle = rng.uniform(0, np.pi)
            roof = roughen(
                rng, draw_roof(rng, length, width, angle, site.sun), 1 + (site.grain - 1) * np.float32(0.35)
            )
            tall.append(Placed(roof, *spot, height=rng.uniform(3.5, 6.5) * metre))
    for _ in range(int(rng.choice((0, 1, 2, 3, 4), p=(0.3, 0.28, 0.2, 0.13, 0.09)))):
        is_truck = rng.random() < 0.16
        radius = (4.8 if is_truck else 2.5) * metre
        lane = site.find_lane(rng, radius) if rng.random() < 0.6 else None
        spot = lane[:2] if lane else site.find_place(rng, radius, beside_track=0.7)
        if spot is not None:
            angle = lane[2] + rng.normal(0, 0.03) if lane else rng.uniform(0, 2 * np.pi)
            vehicle = draw_truck(rng, metre, angle) if is_truck else draw_car(rng, metre, angle)
            low.append(Placed(vehicle, *spot, height=(3.2 if is_truck else 1.4) * metre))
    for _ in range(int(rng.choice((0, 1, 2, 3), p=(0.22, 0.36, 0.28, 0.14)))):
        radius = rng.uniform(1.3, 3.0) * metre
        spot = site.find_place(rng, radius * 1.2)
        if spot is not None:
            draw = LOW_DISTRACTORS[rng.integers(len(LOW_DISTRACTORS))]
            thing = roughen(rng, draw(rng, radius), 1 + (site.grain - 1) * np.float32(0.5))
            low.append(Placed(thing, *spot, height=0.7 * metre))
    return low, tall


def _place_piles(rng: np.random.Generator, site: _Site, count: int) -> list[tuple[Pile, int, int]]:
    # Sizes go evenly over their logarithm: small tips are the many.
    smallest, largest = math.log(0.045), math.log(0.15)
    radii = [site.size * math.exp(rng.uniform(smallest, largest)) for _ in range(count)]
    piles: list[tuple[Pile, int, int]] = []
    for radius in radii:
        spot = site.find_place(rng, radius * 1.2 + 3, margin=radius * 0.8, beside_track=0.6)
        if spot is not None:
            piles.append((draw_pile(rng, radius, site.sun), *spot))
    # A crowded place: a small pile fits where no large one did.
    tries = 0
    while radii and not piles and tries < 20:
        radius = site.size * 0.045 * 0.95**tries
        spot = site.find_place(rng, radius, margin=radius)
        if spot is not None:
            piles.append((draw_pile(rng, radius, site.sun), *spot))
        tries += 1
    return piles


def _draw_vegetation(rng: np.random.Generator, site: _Site) -> list[Placed]:
    crowns: list[Placed] = []
    metre = site.metre
    wooded = rng.choice((0.25, 1.0, 2.4), p=(0.35, 0.4, 0.25))
    conifers = rng.random() < 0.25
    centre = rng.uniform(-0.1, 1.1, 2) * site.size
    for _ in range(int(rng.integers(4, 10) * wooded)):
        radius = rng.uniform(1.4, 3.6) * metre
        if rng.random() < 0.7:
            x, y = centre + rng.normal(0, 0.2, 2) * site.size
        else:
            x, y = rng.uniform(-0.05, 1.05, 2) * site.size
        if not site.is_free(x, y, radius * 0.5, off_track=0.8):
            continue
        draw = draw_conifer if conifers and rng.random() < 0.7 else draw_crown
        crown = draw(rng, radius, site.sun, site.grain)
        site.taken.append((x, y, radius * 0.9))
        crowns.append(Placed(crown, int(x), int(y), rng.uniform(1.3, 2.2) * radius, standing=False))
    for _ in range(int(rng.integers(3, 16) * min(wooded, 1.5))):
        radius = rng.uniform(0.45, 1.15) * metre
        x, y = rng.uniform(0, site.size, 2)
        if site.is_free(x, y, radius * 1.1, off_track=1):
            bush = draw_bush(rng, radius, site.sun, site.grain)
            crowns.append(Placed(bush, int(x), int(y), radius * 0.9, standing=False))
    return crowns


def _overhang(rng: np.random.Generator, site: _Site, piles: list[tuple[Pile, int, int]]) -> list[Placed]:
    """Bushes and trees at the rim of some piles, which hide a part of them."""
    crowns: list[Placed] = []
    for pile, x, y in piles:
        if rng.random() > 0.3:
            continue
        radius = pile.radius * rng.uniform(0.45, 0.8)
        angle = rng.uniform(0, 2 * np.pi)
        reach = pile.radius * 0.75 + radius * 0.55
        draw = draw_bush if radius < 2 * site.metre else draw_crown
        crown = Placed(
            draw(rng, radius, site.sun, site.grain),
            int(x + np.cos(angle) * reach),
            int(y + np.sin(angle) * reach),
            radius * 0.9,
            standing=False,
        )
        own = _find_seen(site.size, pile, x, y)
        hidden = own & ~_uncover(own.copy(), crown)
        if hidden.sum() <= _HIDDEN_MAX * own.sum():
            crowns.append(crown)
    return crowns


def _find_seen(size: int, pile: Pile, x: int, y: int) -> NDArray[np.bool_]:
    """Where the pile would be seen, were nothing above it."""
    seen = np.zeros((size, size), np.bool_)
    for storey in pile.storeys:
        overlap = Placed(storey, x, y, 0).find_overlap(size)
        if overlap is not None:
            here, there = overlap
            seen[here] |= storey.alpha[there] >= 128
    return seen


def _uncover(seen: NDArray[np.bool_], above: Placed) -> NDArray[np.bool_]:
    """Takes away, in place, what the thing above hides."""
    overlap = above.find_overlap(seen.shape[0])
    if overlap is not None:
        here, there = overlap
        seen[here] &= above.sprite.alpha[there] < 128
    return seen


def _label(
    size: int, piles: list[tuple[Pile, int, int]], above: list[Placed]
) -> tuple[Pixels, NDArray[np.int64]]:
    labels: Pixels = np.zeros((size, size), np.uint8)
    boxes: list[tuple[int, int, int, int]] = []
    # The last pile lies on top.
    for pile, x, y in reversed(piles):
        seen = _find_seen(size, pile, x, y) & (labels == 0)
        for thing in above:
            _uncover(seen, thing)
        columns, rows = np.flatnonzero(seen.any(0)), np.flatnonzero(seen.any(1))
        if len(columns):
            left, top = int(columns[0]), int(rows[0])
            boxes.append((left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1))
            labels[seen] = len(boxes)
    return labels, np.asarray(boxes, np.int64).reshape(-1, 4)


def _stain(rng: np.random.Generator, image: Field, piles: list[tuple[Pile, int, int]]) -> None:
    """Trodden, dirty ground under and around the piles."""
    size = image.shape[1]
    if not piles:
        return
    ground: Pixels = np.zeros((size, size), np.uint8)
    for pile, x, y in piles:
        ground[_find_seen(size, pile, x, y)] = 255
    dirt = blur(ground, size / 85).astype(np.float32) * draw_value_noise(rng, size, 9)
    image *= 1 - np.minimum(dirt / np.float32(255), 1) * np.float32(0.3)


def _photograph(rng: np.random.Generator, image: Field) -> Pixels:
    """Haze, white balance, exposure, the lens's blur and the sensor's noise."""
    haze = rng.uniform(0, 0.14)
    balance = np.asarray((rng.uniform(0.96, 1.06), 1.0, rng.uniform(0.93, 1.05)), np.float32).reshape(3, 1, 1)
    exposed = image * (balance * np.float32(rng.uniform(0.86, 1.14) * (1 - haze))) + np.float32(175 * haze)
    sigma_px = rng.uniform(0.45, 0.75)
    noise = draw_value_noise(rng, image.shape[1], 1) - np.float32(0.5)
    noise *= np.float32(rng.uniform(4, 11))
    sharp = [blur(_quantise(np.asarray(plane, np.float32)), sigma_px) for plane in exposed]
    planes = [_quantise(np.add(plane, noise, dtype=np.float32)) for plane in sharp]
    return np.stack(planes, axis=2)


def _quantise(plane: Field) -> Pixels:
    rounded = plane + np.float32(0.5)
    return np.clip(rounded, 0, 255, out=rounded).astype(np.uint8)
