"""One annotations file, checked against itself: ids, names, classes, boxes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import category, normalize

import numpy as np
from numpy.typing import NDArray

from raven_scan.datasets.box_checks import OVERRUN_PX, check_boxes
from raven_scan.datasets.coco_json import CategoryRecord, CocoFile, ImageRecord, read_coco
from raven_scan.datasets.problems import ProblemReport
from raven_scan.datasets.source_folder import SourcePart, normalise_file_name

_LONGEST_CLASS_NAME = 200
_UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image that is there, not looked into yet.

    Attributes:
        record: such as `image 17 (a.jpg)`, for reports.
        width, height: as the annotations have it.
    """

    file_name: str
    path: Path
    record: str
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class AnnotatedPart:
    """I images and B boxes of one annotations file.

    Attributes:
        classes: names by class index; those of boxes and those that are only listed.
        supercategories: names that another category names as its own.
        images: where an image had a problem, it is None; the row stays.
        image_rows: int64 (B,): index in `images`.
        class_rows: int64 (B,): index in `classes`.
        boxes: float64 (B, 4): x y w h in pixels, inside the image.
        areas: float64 (B,). crowds: bool (B,).
        clipped: annotation ids.
        other_image_count: image files that no record names.
    """

    source: SourcePart
    classes: list[str]
    supercategories: set[str]
    images: list[SourceImage | None]
    image_rows: NDArray[np.int64]
    class_rows: NDArray[np.int64]
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    crowds: NDArray[np.bool_]
    clipped: list[int]
    other_image_count: int


def read_part(source: SourcePart, report: ProblemReport) -> AnnotatedPart | None:
    """Read and check one annotations file; None where it is no COCO. Problems go to the report."""
    coco = read_coco(source.annotations, source.label, report)
    if coco is None:
        return None
    images = _check_images(coco.images, source, report)
    classes, supercategories = _check_categories(coco.categories, source.label, report)
    _report_repeated(coco.ids, "annotation", source.label, report)
    image_rows = _look_up(coco, coco.image_ids, [i.id for i in coco.images], "image", report)
    class_rows = _look_up(coco, coco.category_ids, [c.id for c in coco.categories], "category", report)
    sizes = np.array([(i.width, i.height) for i in coco.images], np.float64).reshape(-1, 2)
    kept = (image_rows >= 0) & (class_rows >= 0) & np.isfinite(coco.boxes).all(axis=1)
    kept_rows = np.flatnonzero(kept)
    checked = check_boxes(coco.boxes[kept], coco.areas[kept], sizes[image_rows[kept]])
    for index in np.flatnonzero(checked.no_area).tolist():
        row = kept_rows[index]
        _report_box(
            "dataset.box_no_area", "has no area inside the image", coco, row, sizes[image_rows[row]], report
        )
    for index in np.flatnonzero(checked.outside).tolist():
        row = kept_rows[index]
        _report_box(
            "dataset.box_outside",
            f"overruns the image by more than {OVERRUN_PX:g} px and 1 %",
            coco,
            row,
            sizes[image_rows[row]],
            report,
        )
    used = {image.path for image in images if image}
    return AnnotatedPart(
        source=source,
        classes=classes,
        supercategories=supercategories,
        images=images,
        image_rows=image_rows[kept],
        class_rows=class_rows[kept],
        boxes=checked.boxes,
        areas=checked.areas,
        crowds=coco.crowds[kept],
        clipped=coco.ids[kept][checked.clipped].tolist(),
        other_image_count=source.count_other_images(used),
    )


def clean_class_name(name: str) -> str | None:
    """The name in Unicode's composed form, without spaces around it; None where it cannot be one."""
    cleaned = normalize("NFC", name).strip()
    unfit = any(category(char) in _UNFIT for char in cleaned)
    return cleaned if 0 < len(cleaned) <= _LONGEST_CLASS_NAME and not unfit else None


def _check_images(
    records: list[ImageRecord], source: SourcePart, report: ProblemReport
) -> list[SourceImage | None]:
    _report_repeated(np.array([record.id for record in records], np.int64), "image", source.label, report)
    images: list[SourceImage | None] = []
    seen: set[str] = set()
    for record in records:
        name = f"image {record.id}"
        images.append(None)
        file_name = normalise_file_name(record.file_name)
        if file_name is None:
            shown = ascii(record.file_name[:200])
            report.add(
                "dataset.bad_file_name", source.label, name, f"{shown} cannot be the name of an image here"
            )
        elif file_name in seen:
            report.add(
                "dataset.repeated_file_name", source.label, name, f"another image is called {file_name}, too"
            )
        elif (path := source.find_image(file_name)) is None:
            report.add("dataset.missing_image", source.label, name, f"its file {file_name} is missing")
        else:
            images[-1] = SourceImage(file_name, path, name, record.width, record.height)
        if file_name is not None:
            seen.add(file_name)
    _report_names_that_are_folders(seen, source.label, report)
    return images


def _report_names_that_are_folders(names: set[str], label: str, report: ProblemReport) -> None:
    """`a` and `a/b.jpg` cannot lie in one folder when the version is laid out."""
    folders = {name[:place] for name in names for place, char in enumerate(name) if char == "/"}
    for name in sorted(names & folders):
        report.add("dataset.bad_file_name", label, name, "other images name it as their folder")


def _check_categories(
    records: list[CategoryRecord], label: str, report: ProblemReport
) -> tuple[list[str], set[str]]:
    _report_repeated(np.array([record.id for record in records], np.int64), "category", label, report)
    classes: list[str] = []
    for record in records:
        name = clean_class_name(record.name)
        if name is None:
            shown = ascii(record.name[:_LONGEST_CLASS_NAME])
            report.add(
                "dataset.bad_class_name", label, f"category {record.id}", f"{shown} cannot be a class's name"
            )
        classes.append(name or "")
    # Some exports name every category as its own supercategory.
    parents = {
        clean_class_name(record.supercategory) or ""
        for record, name in zip(records, classes, strict=True)
        if record.supercategory and clean_class_name(record.supercategory) != name
    }
    return classes, parents


def _report_repeated(ids: NDArray[np.int64], noun: str, label: str, report: ProblemReport) -> None:
    values, counts = np.unique(ids, return_counts=True)
    for value, count in zip(values[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True):
        report.add("dataset.repeated_id", label, f"{noun} {value}", f"{count} records have this id")


def _look_up(
    coco: CocoFile, wanted: NDArray[np.int64], ids: list[int], noun: str, report: ProblemReport
) -> NDArray[np.int64]:
    """Rows of the records that annotations speak of; -1 where there is none, which is reported."""
    known = np.array(ids, np.int64)
    if known.size == 0:
        rows = np.full(len(wanted), -1, np.int64)
    else:
        order = np.argsort(known, kind="stable")
        places = np.minimum(np.searchsorted(known[order], wanted), known.size - 1)
        rows = np.where(known[order][places] == wanted, order[places], -1)
    for index in np.flatnonzero(rows < 0).tolist():
        report.add(
            f"dataset.unknown_{noun}",
            coco.label,
            f"annotation {coco.ids[index]}",
            f"there is no {noun} {wanted[index]}",
        )
    return rows


def _report_box(
    code: str, finding: str, coco: CocoFile, row: Any, size: NDArray[np.float64], report: ProblemReport
) -> None:
    x, y, width, height = coco.boxes[row].tolist()
    sentence = f"its box (x {x:g}, y {y:g}, {width:g} x {height:g}) {finding} of {size[0]:g} x {size[1]:g}"
    report.add(code, coco.label, f"annotation {coco.ids[row]}", sentence)
