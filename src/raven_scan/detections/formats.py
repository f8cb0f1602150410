"""Detections as other programs read them: a COCO document, or CSV."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from raven_scan.detections.schemas import DetectionsOut
from raven_scan.detections.types import Detections

CSV_COLUMNS = (
    "image",
    "image_width",
    "image_height",
    "class",
    "score",
    "x",
    "y",
    "width",
    "height",
    "model",
    "model_id",
    "published_name",
    "version",
)

_FORMULA_SIGNS = frozenset(
    "=+-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
_FIRST_PRINTABLE = 0x20


def make_coco(detections: Detections | DetectionsOut) -> dict[str, Any]:
    """A COCO document: images, categories, and the boxes as annotations with a score, which COCO's results have.

    An image that could not be read is not among the images, but among the `problems` under `raven`. Where images are
    named by whole paths, they are named from the folder that they share, as readers of COCO expect; `folder` says it.
    """
    folder = _find_folder([image.name for image in detections.images])
    categories = {name: number for number, name in enumerate(detections.classes, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    problems: list[dict[str, Any]] = []
    for number, image in enumerate(detections.images, start=1):
        if image.problem is not None:
            problem = image.problem
            problems.append(
                {
                    "file_name": image.name,
                    "code": problem.code,
                    "message": problem.message,
                    "hint": problem.hint,
                }
            )
            continue
        name = image.name if folder is None else PurePath(image.name).relative_to(folder).as_posix()
        images.append({"id": number, "file_name": name, "width": image.width, "height": image.height})
        annotations += [
            {
                "id": len(annotations) + place,
                "image_id": number,
                "category_id": categories[box.class_name],
                "bbox": [box.x, box.y, box.width, box.height],
                "area": box.width * box.height,
                "iscrowd": 0,
                "score": box.score,
            }
            for place, box in enumerate(image.boxes, start=1)
        ]
    model = detections.model
    return {
        "info": {"description": f"Detections of {_name_model(detections)}"},
        "images": images,
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
        "annotations": annotations,
        "raven": {
            "model": {
                "id": str(model.id),
                "name": model.name,
                "published_name": model.published_name,
                "version": model.version,
            },
            "min_confidence": detections.min_confidence,
            "folder": folder,
            "problems": problems,
        },
    }


def _find_folder(names: Sequence[str]) -> str | None:
    """The folder that holds all files of these names; None where one of them is no whole path."""
    if not names or not all(PurePath(name).is_absolute() for name in names):
        return None
    return os.path.commonpath([PurePath(name).parent for name in names])


def make_csv(detections: Detections | DetectionsOut) -> str:
    """A line a box, after one with the columns' names; images without boxes have none (RFC 4180).

    Names that a spreadsheet would take for formulas have an apostrophe before them.
    """
    model = detections.model
    written = io.StringIO()
    lines = csv.writer(written)
    lines.writerow(CSV_COLUMNS)
    for image in detections.images:
        for box in image.boxes:
            lines.writerow(
                (
                    _write_name(image.name),
                    image.width,
                    image.height,
                    _write_name(box.class_name),
                    f"{box.score:.6f}",
                    f"{box.x:.3f}",
                    f"{box.y:.3f}",
                    f"{box.width:.3f}",
                    f"{box.height:.3f}",
                    _write_name(model.name),
                    model.id,
                    _write_name(model.published_name or ""),
                    model.version,
                )
            )
    return written.getvalue()


def _write_name(name: str) -> str:
    """As text to spreadsheets: users choose names, and who opens the file would run what they chose.

    Source: OWASP, CSV Injection; control characters and full-width signs lead to formulas too.
    """
    return f"'{name}" if name and (name[0] in _FORMULA_SIGNS or ord(name[0]) < _FIRST_PRINTABLE) else name


def _name_model(detections: Detections | DetectionsOut) -> str:
    model = detections.model
    return model.name if model.published_name is None else f"{model.published_name}@{model.version}"
