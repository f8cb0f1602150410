"""The box around a COCO segmentation: polygons, or a run-length code, counted down the columns.

The compressed code is pycocotools' (`rleFrString` in maskApi.c). It is decoded here because pycocotools' C code
trusts what it is given.
"""

import math
from typing import Any

import msgspec

Box = tuple[float, float, float, float]

_CHAR_BASE = 48
_MORE, _SIGN = 0x20, 0x10


class BadSegmentation(Exception):  # noqa: N818 - it names the finding
    """The text goes on from "it has no box, and"."""


class _RunLengths(msgspec.Struct):
    counts: str | list[int]
    size: tuple[int, int]


def find_segmentation_box(segmentation: Any) -> Box:
    """x, y, w, h of the smallest box around all polygons or all pixels of a mask.

    Args:
        segmentation: the JSON value, decoded or as msgspec.Raw.

    Raises:
        BadSegmentation: it is absent, empty, or no segmentation.
    """
    kind = list[list[float]] | _RunLengths | None
    try:
        if isinstance(segmentation, msgspec.Raw):
            value = msgspec.json.decode(segmentation, type=kind) if bytes(segmentation) else None
        else:
            value = msgspec.convert(segmentation, kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        raise BadSegmentation(
            f"its segmentation is neither polygons nor a run-length code ({error})"
        ) from None
    if not value:
        raise BadSegmentation("no segmentation to take it from")
    if isinstance(value, _RunLengths):
        return _find_mask_box(value)
    return _find_polygons_box(value)


def _find_polygons_box(polygons: list[list[float]]) -> Box:
    if any(len(polygon) < 6 or len(polygon) % 2 for polygon in polygons):
        raise BadSegmentation("a polygon of its segmentation has no three points")
    xs = [x for polygon in polygons for x in polygon[0::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    if not all(map(math.isfinite, (*xs, *ys))):
        raise BadSegmentation("its segmentation is not finite")
    return (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


def _find_mask_box(code: _RunLengths) -> Box:
    height, width = code.size
    counts = _decode_counts(code.counts) if isinstance(code.counts, str) else code.counts
    if height <= 0 or width <= 0 or any(count < 0 for count in counts) or sum(counts) != height * width:
        raise BadSegmentation("its run-length code does not fill its size")
    left, top, right, bottom = width, height, -1, -1
    position = 0
    for index, count in enumerate(counts):
        if index % 2 and count:
            first, last = position, position + count - 1
            left, right = min(left, first // height), max(right, last // height)
            if first // height == last // height:
                top, bottom = min(top, first % height), max(bottom, last % height)
            else:
                top, bottom = 0, height - 1
        position += count
    if right < 0:
        raise BadSegmentation("its mask is empty")
    return (float(left), float(top), float(right - left + 1), float(bottom - top + 1))


def _decode_counts(text: str) -> list[int]:
    counts: list[int] = []
    position = 0
    while position < len(text):
        value = shift = 0
        more = True
        while more:
            if position >= len(text) or shift > 60:
                raise BadSegmentation("its run-length code ends in the middle")
            char = ord(text[position]) - _CHAR_BASE
            if not 0 <= char < 64:
                raise BadSegmentation("its run-length code has a character that does not belong there")
            value |= (char & 0x1F) << shift
            more = bool(char & _MORE)
            position += 1
            shift += 5
            if not more and char & _SIGN:
                value |= -1 << shift
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
    return counts
