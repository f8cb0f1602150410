"""How an image file becomes 3 x uint8, the same at import, in training and in prediction."""

from raven_scan.pixels.errors import UnreadableImage
from raven_scan.pixels.header import ImageHeader, read_header
from raven_scan.pixels.percentiles import PercentileSampler
from raven_scan.pixels.reading import probe_image, read_image
from raven_scan.pixels.rules import PixelRules

__all__ = [
    "ImageHeader",
    "PercentileSampler",
    "PixelRules",
    "UnreadableImage",
    "probe_image",
    "read_header",
    "read_image",
]
