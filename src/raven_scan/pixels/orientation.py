"""EXIF's orientation tag (EXIF 2.32, tag 0x0112)."""

import cv2
import numpy as np
from numpy.typing import NDArray

SWAPS_SIDES = frozenset({5, 6, 7, 8})
"""Orientations under which width and height change places."""


def apply_orientation(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn stored pixels upright.

    Args:
        pixels: uint8 (H, W, 3), as stored in the file.
        orientation: 1 to 8; 1 returns the same array.

    Returns:
        uint8 (H, W, 3), or (W, H, 3) for 5 to 8; contiguous.
    """
    match orientation:
        case 2:
            turned = cv2.flip(pixels, 1)
        case 3:
            turned = cv2.rotate(pixels, cv2.ROTATE_180)
        case 4:
            turned = cv2.flip(pixels, 0)
        case 5:
            turned = cv2.transpose(pixels)
        case 6:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            turned = cv2.flip(cv2.transpose(pixels), -1)
        case 8:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case _:
            return pixels
    return np.ascontiguousarray(turned, dtype=np.uint8)
