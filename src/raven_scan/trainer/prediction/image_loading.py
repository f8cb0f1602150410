"""From an image file to what a network takes, in threads, while it computes on images before."""

import stat
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from raven_scan.pixels.errors import UnreadableImage
from raven_scan.pixels.header import ImageHeader, check_size, read_header
from raven_scan.pixels.orientation import SWAPS_SIDES
from raven_scan.pixels.reading import check_end, read_image
from raven_scan.pixels.rules import PixelRules
from raven_scan.trainer.data.transforms import apply_transforms
from raven_scan.trainer.prediction.memory_budget import MemoryBudget
from raven_scan.wire.prediction import ImageProblem, PredictedImage

_BATCHES_AHEAD = 2
_BYTES_PER_PIXEL = 6
"""Beside the samples of the file: three channels in the order of the file, and three upright."""


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image that is ready to be predicted on.

    Attributes:
        index: in its request.
        sample: what MMDetection's `PackDetInputs` makes of it.
        width, height: upright.
    """

    index: int
    sample: dict[str, Any]
    width: int
    height: int
    exif_orientation: int


class ImageLoader:
    """Reads images as training does, and prepares them as evaluation does.

    An image is turned upright by its own tag: there are no annotations that would say otherwise.

    Args:
        rules: how bands become colours.
        transforms: of the model's configuration, after loading.
        threads: how many images are decoded at once.
        largest_pixels: images with more are refused.
        budget: of what images take while they are decoded.
    """

    def __init__(
        self,
        rules: PixelRules,
        transforms: list[Any],
        *,
        threads: int,
        largest_pixels: int,
        budget: MemoryBudget,
    ) -> None:
        self._rules = rules
        self._transforms = transforms
        self._largest_pixels = largest_pixels
        self._budget = budget
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="image")
        self._threads = threads

    def iterate(
        self, paths: Sequence[Path], batch_size: int
    ) -> Iterator[tuple[list[LoadedImage], list[PredictedImage]]]:
        """Batches in the order of the images, each with those that came between and cannot be read."""
        waiting: deque[Future[LoadedImage | PredictedImage]] = deque()
        left = iter(enumerate(paths))
        ahead = max(_BATCHES_AHEAD * batch_size, self._threads)
        try:
            while True:
                loaded: list[LoadedImage] = []
                broken: list[PredictedImage] = []
                while len(loaded) < batch_size:
                    while len(waiting) < ahead and (following := next(left, None)) is not None:
                        waiting.append(self._executor.submit(self._load, *following))
                    if not waiting:
                        break
                    image = waiting.popleft().result()
                    if isinstance(image, LoadedImage):
                        loaded.append(image)
                    else:
                        broken.append(image)
                if not loaded and not broken:
                    return
                yield loaded, broken
        finally:
            for future in waiting:
                future.cancel()

    def _load(self, index: int, path: Path) -> LoadedImage | PredictedImage:
        try:
            size_bytes = _measure_file(path)
            if not self._budget.admits(size_bytes):
                return _make_too_large(index)
            with self._budget.hold(size_bytes):
                content = path.read_bytes()
                header = read_header(content)
            check_size(header, self._largest_pixels)
            check_end(content)
            needed_bytes = size_bytes + header.width * header.height * (
                header.sample_bytes + _BYTES_PER_PIXEL
            )
            if not self._budget.admits(needed_bytes):
                return _make_too_large(index)
            with self._budget.hold(needed_bytes):
                return self._prepare(index, path, content, header)
        except UnreadableImage as error:
            return PredictedImage(index=index, problem=ImageProblem(code=error.code, sentence=error.sentence))
        except OSError as error:
            sentence = f"it cannot be read: {error.strerror or error}"
            return PredictedImage(index=index, problem=ImageProblem(code="unreadable", sentence=sentence))

    def _prepare(self, index: int, path: Path, content: bytes, header: ImageHeader) -> LoadedImage:
        orientation = header.exif_orientation
        pixels = read_image(content, self._rules, exif_orientation=orientation)
        height, width = pixels.shape[:2]
        stored = (width, height) if orientation in SWAPS_SIDES else (height, width)
        if stored != (header.height, header.width):
            raise UnreadableImage("truncated", "its header and its pixels differ")
        results: dict[str, Any] = {
            "img_id": index,
            "img_path": str(path),
            "img": pixels,
            "img_shape": (height, width),
            "ori_shape": (height, width),
        }
        try:
            sample = apply_transforms(self._transforms, results)
        except cv2.error:
            # A side of less than half a pixel is none.
            raise UnreadableImage(
                "too_narrow",
                f"its {width} x {height} pixels cannot be brought to the size that the model takes",
            ) from None
        return LoadedImage(index, sample, width, height, orientation)


def _measure_file(path: Path) -> int:
    try:
        found = path.stat()
    except ValueError:
        raise OSError(0, "no file has such a path") from None
    # A pipe or a device would be read for ever.
    if not stat.S_ISREG(found.st_mode):
        raise OSError(0, "it is no file")
    return found.st_size


def _make_too_large(index: int) -> PredictedImage:
    return PredictedImage(
        index=index,
        problem=ImageProblem(
            code="too_much_memory", sentence="it would take more memory than images may here"
        ),
    )
