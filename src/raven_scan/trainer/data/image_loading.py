"""From an image file to the pixels that a network sees."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from mmcv.transforms.base import BaseTransform
from mmdet.registry import TRANSFORMS
from numpy.typing import NDArray

from raven_scan.pixels.errors import UnreadableImage
from raven_scan.pixels.header import read_header
from raven_scan.pixels.orientation import SWAPS_SIDES
from raven_scan.pixels.reading import Reduction, read_image
from raven_scan.pixels.rules import PixelRules
from raven_scan.trainer.data.image_cache import ImageCache

# Entries of a cache are of these rules; they change where the same file would become other pixels.
_DECODING = "1"
_REDUCTIONS: tuple[Reduction, ...] = (8, 4, 2)


class BadImageError(Exception):
    """An image cannot be decoded, or is not of the size that its record says."""


@dataclass(frozen=True, slots=True)
class LoadedSize:
    """How large images are loaded; as they are stored where nothing is said.

    Attributes:
        needed_px: nothing needs a longer side that is longer. Images of at least twice this are decoded at half, a
            quarter or an eighth of their size, which is not less.
        fitted_px: the side of a square that images are fit into afterwards.
    """

    needed_px: int | None = None
    fitted_px: int | None = None

    def choose_reduction(self, height: int, width: int) -> Reduction:
        if self.needed_px is None:
            return 1
        longer = max(height, width)
        for reduction in _REDUCTIONS:
            if longer >= reduction * self.needed_px:
                return reduction
        return 1

    def find_fitted_size(self, height: int, width: int) -> tuple[int, int] | None:
        """Height and width, as MMDetection's `Resize` rounds them."""
        return None if self.fitted_px is None else scale_to_fit(height, width, self.fitted_px)


def scale_to_fit(height: int, width: int, side: int) -> tuple[int, int]:
    """The size of an image whose longer side becomes `side`."""
    scale = side / max(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


@TRANSFORMS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class LoadRavenImage(BaseTransform):
    """Decode `img_path` to uint8 (H, W, 3) BGR, turned into the frame that the boxes are in.

    `ori_shape` and `frame_shape` are the size of that frame: of the whole image, also where it is loaded smaller. What
    comes from a cache cannot be written to.

    Raises:
        BadImageError: the file cannot be decoded or has another size than its record.
    """

    def __init__(
        self, rules: PixelRules, *, size: LoadedSize | None = None, cache: ImageCache | None = None
    ) -> None:
        self._rules = rules
        self._size = size or LoadedSize()
        self._cache = cache
        self._way = "|".join((_DECODING, cv2.__version__, msgspec.json.encode(rules).decode()))

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        path = results["img_path"]
        shape = results["height"], results["width"]
        try:
            pixels = self._load(path, shape, results["exif_orientation"])
        except (UnreadableImage, OSError) as error:
            raise BadImageError(f"{path} cannot be read: {error}.") from error
        results["img"] = pixels
        results["img_shape"] = pixels.shape[:2]
        results["ori_shape"] = results["frame_shape"] = shape
        return results

    def _load(self, path: str, shape: tuple[int, int], orientation: int) -> NDArray[np.uint8]:
        if self._cache is None:
            return self._decode(path, shape, orientation)
        key = self._make_key(path, shape, orientation)
        pixels = self._cache.find(key)
        if pixels is None:
            pixels = self._decode(path, shape, orientation)
            self._cache.add(key, pixels)
        return pixels

    def _decode(self, path: str, shape: tuple[int, int], orientation: int) -> NDArray[np.uint8]:
        content = Path(path).read_bytes()
        reduction = self._size.choose_reduction(*shape)
        if reduction > 1:
            # Rounded up as it is, the smaller size does not tell.
            header = read_header(content)
            stored = header.height, header.width
            _check_size(path, stored[::-1] if orientation in SWAPS_SIDES else stored, shape)
        pixels = read_image(content, self._rules, exif_orientation=orientation, reduction=reduction)
        if reduction == 1:
            _check_size(path, pixels.shape[:2], shape)
        fitted = self._size.find_fitted_size(*shape)
        if fitted is None:
            return pixels
        return np.asarray(cv2.resize(pixels, fitted[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.uint8)

    def _make_key(self, path: str, shape: tuple[int, int], orientation: int) -> str:
        """Of what makes the pixels. Image files are never written to: the same file has the same content."""
        found = os.stat(path)  # noqa: PTH116 - a path takes longer to make than to look up
        parts = (
            self._way,
            found.st_dev,
            found.st_ino,
            found.st_size,
            found.st_mtime_ns,
            orientation,
            *shape,
            self._size.choose_reduction(*shape),
            self._size.find_fitted_size(*shape),
        )
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _check_size(path: str, found: tuple[int, ...], recorded: tuple[int, int]) -> None:
    if found != recorded:
        raise BadImageError(
            f"{path} is {found[1]} x {found[0]}, but its record says {recorded[1]} x {recorded[0]}."
        )
