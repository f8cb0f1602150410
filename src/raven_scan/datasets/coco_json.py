"""A COCO JSON file as columns.

The usual case is decoded by types, in one go. A file that does not pass is read again record by record, so that
every problem is told, not the first alone.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from raven_scan.datasets.problems import ProblemReport
from raven_scan.datasets.segmentation_boxes import BadSegmentation, find_segmentation_box

_Id = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class ImageRecord(msgspec.Struct, gc=False):
    id: _Id
    file_name: str
    width: float
    height: float


class CategoryRecord(msgspec.Struct, gc=False):
    id: _Id
    name: str
    supercategory: str | None = None


class _Annotation(msgspec.Struct, gc=False):
    id: _Id
    image_id: _Id
    category_id: _Id
    bbox: list[float] | None = None
    area: float | None = None
    iscrowd: int | bool | None = None
    segmentation: msgspec.Raw = msgspec.Raw(b"")


class _LooseAnnotation(_Annotation, gc=False):
    segmentation: Any = None  # pyright: ignore[reportIncompatibleVariableOverride] - already decoded here


class _Coco(msgspec.Struct):
    images: list[ImageRecord]
    annotations: list[_Annotation]
    categories: list[CategoryRecord]


@dataclass(frozen=True, slots=True)
class CocoFile:
    """One annotations file; A annotations.

    Attributes:
        label: the file's path inside the source, for reports.
        ids, image_ids, category_ids: int64 (A,).
        boxes: float64 (A, 4): x y w h in pixels; a row that had a problem, which was reported, is NaN.
        areas: float64 (A,): NaN where it has to be derived.
        crowds: bool (A,).
    """

    label: str
    images: list[ImageRecord]
    categories: list[CategoryRecord]
    ids: NDArray[np.int64]
    image_ids: NDArray[np.int64]
    category_ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    crowds: NDArray[np.bool_]


def read_coco(path: Path, label: str, report: ProblemReport) -> CocoFile | None:
    """Read an annotations file; None where it is no COCO at all. Problems go to the report."""
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    try:
        coco = msgspec.json.decode(content, type=_Coco)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return _read_loosely(content, label, report, error)
    return _make_columns(label, coco.images, coco.categories, coco.annotations, report)


def _read_loosely(content: bytes, label: str, report: ProblemReport, first: Exception) -> CocoFile | None:
    """Reads what does not pass by types. Reports at least one problem."""
    try:
        data: Any = json.loads(content.decode())
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        report.add("dataset.not_json", label, where, f"it is not JSON: {error.msg}")
        return None
    except (ValueError, RecursionError) as error:
        reason = (
            "it is nested too deeply" if isinstance(error, RecursionError) else f"it is not JSON: {error}"
        )
        report.add("dataset.not_json", label, "", reason)
        return None
    if not isinstance(data, dict):
        report.add("dataset.not_coco", label, "", "it is not COCO: the top must be an object")
        return None
    sections = cast("dict[str, Any]", data)
    before = report.counts.total()
    images = _convert_records(sections, "images", "image", ImageRecord, label, report)
    categories = _convert_records(sections, "categories", "category", CategoryRecord, label, report)
    annotations = _convert_records(sections, "annotations", "annotation", _LooseAnnotation, label, report)
    coco = _make_columns(label, images, categories, annotations, report)
    for index in np.flatnonzero(~np.isfinite(coco.areas)).tolist():
        area = annotations[index].area
        if area is not None:
            report.add(
                "dataset.area_not_finite", label, f"annotation {annotations[index].id}", f"its area is {area}"
            )
    for index in np.flatnonzero(~np.isfinite(coco.boxes).all(axis=1)).tolist():
        box = annotations[index].bbox
        if box is not None and len(box) == 4:
            report.add(
                "dataset.box_not_finite",
                label,
                f"annotation {annotations[index].id}",
                f"its box {box} is not finite",
            )
    if report.counts.total() == before:
        report.add("dataset.not_json", label, "", f"it is not JSON as the standard has it: {first}")
    return coco


_Record = TypeVar("_Record", ImageRecord, CategoryRecord, _LooseAnnotation)


def _convert_records(
    data: dict[str, Any], section: str, noun: str, kind: type[_Record], label: str, report: ProblemReport
) -> list[_Record]:
    records: Any = data.get(section)
    if not isinstance(records, list):
        found = "is missing" if section not in data else "is not a list"
        report.add("dataset.not_coco", label, section, f"it is not COCO: {section!r} {found}")
        return []
    converted: list[_Record] = []
    for position, record in enumerate(cast("list[Any]", records)):
        try:
            converted.append(msgspec.convert(record, kind))
        except (msgspec.ValidationError, UnicodeEncodeError) as error:  # the latter: half of a surrogate pair
            name = _name_record(noun, position, record)
            report.add("dataset.bad_record", label, name, f"it is not COCO: {error}")
    return converted


def _name_record(noun: str, position: int, record: Any) -> str:
    identifier: Any = cast("dict[str, Any]", record).get("id") if isinstance(record, dict) else None
    if isinstance(identifier, int):
        return f"{noun} {identifier}"
    return f"{noun} at position {position + 1}"


def _make_columns(
    label: str,
    images: list[ImageRecord],
    categories: list[CategoryRecord],
    annotations: Sequence[_Annotation],
    report: ProblemReport,
) -> CocoFile:
    areas = list(map(attrgetter("area"), annotations))
    if None in areas:
        areas = [np.nan if area is None else area for area in areas]
    return CocoFile(
        label=label,
        images=images,
        categories=categories,
        ids=np.array(list(map(attrgetter("id"), annotations)), np.int64),
        image_ids=np.array(list(map(attrgetter("image_id"), annotations)), np.int64),
        category_ids=np.array(list(map(attrgetter("category_id"), annotations)), np.int64),
        boxes=_collect_boxes(label, annotations, report),
        areas=np.array(areas, np.float64),
        crowds=np.array(list(map(bool, map(attrgetter("iscrowd"), annotations))), np.bool_),
    )


def _collect_boxes(
    label: str, annotations: Sequence[_Annotation], report: ProblemReport
) -> NDArray[np.float64]:
    given: list[list[float] | None] = list(map(attrgetter("bbox"), annotations))
    listed = [box or [] for box in given] if None in given else cast("list[list[float]]", given)
    lengths = np.array(list(map(len, listed)), np.int64)
    whole = lengths == 4
    if whole.all():
        values = np.fromiter(chain.from_iterable(listed), np.float64, 4 * len(listed))
        return values.reshape(-1, 4)
    boxes = np.full((len(annotations), 4), np.nan)
    for index, annotation in enumerate(annotations):
        record = f"annotation {annotation.id}"
        if whole[index]:
            boxes[index] = annotation.bbox
        elif lengths[index]:
            report.add("dataset.bad_box", label, record, f"its box has {lengths[index]} numbers instead of 4")
        else:
            try:
                boxes[index] = find_segmentation_box(annotation.segmentation)
            except BadSegmentation as error:
                report.add("dataset.no_box", label, record, f"it has no box, and {error}")
    return boxes
