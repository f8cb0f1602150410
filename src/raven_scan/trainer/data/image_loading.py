"""From an image file to the pixels that a network sees."""

from typing import Any

from mmcv.transforms.base import BaseTransform
from mmdet.registry import TRANSFORMS

from raven_scan.pixels.errors import UnreadableImage
from raven_scan.pixels.reading import read_image
from raven_scan.pixels.rules import PixelRules


class BadImageError(Exception):
    """An image cannot be decoded, or is not of the size that its record says."""


@TRANSFORMS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class LoadRavenImage(BaseTransform):
    """Decode `img_path` to uint8 (H, W, 3) BGR, in the frame that the boxes are in.

    Raises:
        BadImageError: the file cannot be decoded or has another size than its record.
    """

    def __init__(self, rules: PixelRules) -> None:
        self._rules = rules

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        path = results["img_path"]
        try:
            pixels = read_image(path, self._rules, exif_orientation=results["exif_orientation"])
        except (UnreadableImage, OSError) as error:
            raise BadImageError(f"{path} cannot be read: {error}.") from error
        height, width = pixels.shape[:2]
        if (height, width) != (results["height"], results["width"]):
            raise BadImageError(
                f"{path} is {width} x {height}, but its record says {results['width']} x {results['height']}."
            )
        results["img"] = pixels
        results["img_shape"] = results["ori_shape"] = (height, width)
        return results
