"""Looks into every image of a source, once, on all cores: its digest, that it decodes, and its frame."""

import hashlib
import os
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from raven_scan.datasets.annotated_part import SourceImage
from raven_scan.datasets.image_frame import Frame, find_frame
from raven_scan.kernel.progress import Progress
from raven_scan.pixels.errors import UnreadableImage
from raven_scan.pixels.header import ImageHeader, read_header
from raven_scan.pixels.percentiles import PercentileSampler
from raven_scan.pixels.reading import probe_image
from raven_scan.pixels.rules import Bands

_LARGEST_FILE_BYTES_PER_PIXEL = 8


@dataclass(frozen=True, slots=True)
class Refusal:
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class TakenImage:
    """What the file of a SourceImage turned out to be."""

    digest: str
    size_bytes: int
    header: ImageHeader
    frame: Frame


class ImageIntake:
    """Takes images in.

    Args:
        store: called with content and digest of each good image, from several threads.
        bands: as `PixelRules.bands`.
        largest_pixels: larger images are refused.
    """

    def __init__(
        self, store: Callable[[bytes, str], object], *, bands: Bands | None, largest_pixels: int
    ) -> None:
        self._store = store
        self._bands = bands
        self._largest_pixels = largest_pixels
        self._gate = _PixelGate(largest_pixels)
        self.sampler = PercentileSampler()

    def take_all(self, images: list[SourceImage], progress: Progress) -> list[TakenImage | Refusal]:
        """The findings, in the order of `images`."""
        findings: list[TakenImage | Refusal] = []
        progress("checking images", 0, len(images))
        threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="image-intake")
        try:
            for finding in threads.map(self._take, images):
                findings.append(finding)
                progress("checking images", len(findings), len(images))
        finally:
            threads.shutdown(cancel_futures=True)
        return findings

    def _take(self, image: SourceImage) -> TakenImage | Refusal:
        try:
            if image.path.stat().st_size > self._largest_pixels * _LARGEST_FILE_BYTES_PER_PIXEL:
                return Refusal(
                    "dataset.image_too_large", "its file is larger than any image that is admitted"
                )
            content = image.path.read_bytes()
        except OSError as error:
            return Refusal("dataset.unreadable_image", f"its file cannot be read ({error.strerror})")
        digest = hashlib.sha256(content).hexdigest()
        try:
            header = read_header(content)
            with self._gate.hold(header.width * header.height):
                probe_image(
                    content, bands=self._bands, largest_pixels=self._largest_pixels, sampler=self.sampler
                )
        except UnreadableImage as refusal:
            hint = f". {refusal.hint}" if refusal.hint else ""
            return Refusal(f"dataset.image_{refusal.code}", f"{refusal.sentence}{hint}".rstrip("."))
        frame = find_frame(header, image.width, image.height)
        if frame is None:
            return Refusal(
                "dataset.size_mismatch",
                f"its annotations are for {image.width:g} x {image.height:g} pixels, and the file has"
                f" {header.width} x {header.height} (EXIF orientation {header.exif_orientation})",
            )
        self._store(content, digest)
        return TakenImage(digest, len(content), header, frame)


class _PixelGate:
    """Admits as many pixels at a time as the largest image has: huge images are decoded one by one."""

    def __init__(self, capacity: int) -> None:
        self._free = self._capacity = capacity
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Generator[None]:
        taken = min(pixels, self._capacity)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= taken)
            self._free -= taken
        try:
            yield
        finally:
            with self._changed:
                self._free += taken
                self._changed.notify_all()
