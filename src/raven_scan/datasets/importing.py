"""From a source in COCO form to the content of a version: every check, every problem in one report."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from raven_scan.datasets.annotated_part import AnnotatedPart, read_part
from raven_scan.datasets.class_lists import ClassLists, merge_classes
from raven_scan.datasets.content import BOXES_SCHEMA, IMAGES_SCHEMA, VersionContent
from raven_scan.datasets.image_frame import FrameNotice
from raven_scan.datasets.image_intake import ImageIntake, Refusal, TakenImage
from raven_scan.datasets.problems import ProblemReport
from raven_scan.datasets.source_folder import find_source_parts
from raven_scan.datasets.split import split_images
from raven_scan.datasets.types import ImportOptions, Notice, Part
from raven_scan.kernel.progress import Progress
from raven_scan.pixels.rules import PixelRules

_EXAMPLES = 5
_FRAME_SENTENCES = {
    FrameNotice.SQUARE_APPLIED: (
        "Square images have an EXIF orientation, and their size cannot tell whether their boxes were drawn on the"
        " turned image; the orientation is applied."
    ),
    FrameNotice.SAME_SIZE_IGNORED: (
        "Images have an EXIF orientation that keeps their size, which equals the annotations'; the orientation is"
        " ignored."
    ),
}


@dataclass(frozen=True, slots=True)
class ReadDataset:
    """A source that passed every check; its images were handed to be stored."""

    content: VersionContent
    leaked_image_count: int
    notices: list[Notice]


@dataclass(frozen=True, slots=True)
class _LocatedImage:
    """An image that was taken in, with its place: row `row` of part number `part_index`."""

    part_index: int
    row: int
    file_name: str
    file: str
    taken: TakenImage


def read_dataset(
    root: Path,
    options: ImportOptions,
    store: Callable[[bytes, str], object],
    *,
    largest_pixels: int,
    progress: Progress,
) -> ReadDataset:
    """Read and check the whole source; `store` gets the content and the digest of each good image.

    Raises:
        Invalid: `dataset.unknown_form`; or `dataset.refused` with every problem.
    """
    report = ProblemReport()
    sources = find_source_parts(root, report)
    parts: list[AnnotatedPart] = []
    for done, source in enumerate(sources):
        progress("reading annotations", done, len(sources))
        part = read_part(source, report)
        if part is not None:
            parts.append(part)
    progress("reading annotations", len(sources), len(sources))
    classes = merge_classes(parts, options, report)
    for part in parts:
        if part.source.part in (None, Part.TRAIN, Part.VALID) and not part.images:
            report.add("dataset.empty_part", part.source.label, "images", "the part has no images")
    intake = ImageIntake(
        # What will be refused anyway is checked to the end, but no longer written.
        lambda content, digest: None if report else store(content, digest),
        bands=options.bands,
        largest_pixels=largest_pixels,
    )
    images = _take_images(parts, intake, report, progress)
    part_of_image = _assign_parts(parts, images, options, report)
    leaked = _find_leaks(images, part_of_image, options, report)
    report.refuse()
    rules = PixelRules(bands=options.bands, percentiles=intake.sampler.find_percentiles())
    content = VersionContent.arrange(
        classes.classes,
        rules,
        _make_images_table(images, part_of_image),
        _make_boxes_table(parts, classes, images),
    )
    return ReadDataset(content, leaked, [*_make_notices(parts, images), *classes.notices])


def _take_images(
    parts: list[AnnotatedPart], intake: ImageIntake, report: ProblemReport, progress: Progress
) -> list[_LocatedImage]:
    places = [
        (index, row, image)
        for index, part in enumerate(parts)
        for row, image in enumerate(part.images)
        if image is not None
    ]
    findings = intake.take_all([image for _, _, image in places], progress)
    images: list[_LocatedImage] = []
    for (index, row, image), finding in zip(places, findings, strict=True):
        source = parts[index].source
        file = f"{source.prefix}{image.file_name}"
        if isinstance(finding, Refusal):
            report.add(finding.code, file, f"{image.record} of {source.annotations.name}", finding.message)
        else:
            images.append(_LocatedImage(index, row, image.file_name, file, finding))
    return images


def _assign_parts(
    parts: list[AnnotatedPart], images: list[_LocatedImage], options: ImportOptions, report: ProblemReport
) -> list[Part]:
    """Each image's part: its source's, or by the seeded split."""
    if not parts or parts[0].source.part is not None:
        return [parts[image.part_index].source.part or Part.TRAIN for image in images]
    with_boxes = set(parts[0].image_rows.tolist())
    assigned = split_images(
        [image.taken.digest for image in images], [image.row in with_boxes for image in images], options.seed
    )
    if images and not report:
        for part in (Part.TRAIN, Part.VALID):
            if part not in assigned:
                report.add(
                    "dataset.empty_part",
                    parts[0].source.label,
                    "images",
                    f"too few different images to split: none is left for {part}",
                )
    return assigned


def _find_leaks(
    images: list[_LocatedImage], part_of_image: list[Part], options: ImportOptions, report: ProblemReport
) -> int:
    """Images whose content is in another part, too."""
    places: dict[str, list[tuple[Part, str]]] = defaultdict(list)
    for image, part in zip(images, part_of_image, strict=True):
        places[image.taken.digest].append((part, image.file))
    leaked = [files for files in places.values() if len({part for part, _ in files}) > 1]
    if not options.allow_leak:
        for files in leaked:
            (first_part, first), *rest = files
            for part, file in rest:
                if part != first_part:
                    report.add("dataset.leak", file, "", f"its content is the same as that of {first}")
    return sum(len(files) for files in leaked)


def _make_images_table(images: list[_LocatedImage], part_of_image: list[Part]) -> pl.DataFrame:
    rows: list[tuple[str | int, ...]] = []
    for image, part in zip(images, part_of_image, strict=True):
        header, orientation = image.taken.header, image.taken.frame.exif_orientation
        turned = orientation >= 5
        rows.append(
            (
                part.value,
                image.file_name,
                image.taken.digest,
                header.height if turned else header.width,
                header.width if turned else header.height,
                orientation,
                header.format,
                header.band_count,
                header.bit_depth,
                image.taken.size_bytes,
            )
        )
    return pl.DataFrame(rows, schema=IMAGES_SCHEMA, orient="row")


def _make_boxes_table(
    parts: list[AnnotatedPart], classes: ClassLists, images: list[_LocatedImage]
) -> pl.DataFrame:
    rows_of_part = [np.full(len(part.images), -1, np.int64) for part in parts]
    for row, image in enumerate(images):
        rows_of_part[image.part_index][image.row] = row
    tables: list[pl.DataFrame] = [pl.DataFrame(schema=BOXES_SCHEMA)]
    for index, part in enumerate(parts):
        x, y, width, height = part.boxes.T
        columns = {
            "image": rows_of_part[index][part.image_rows],
            "label": classes.labels[index][part.class_rows].astype(np.int32),
            "x": x,
            "y": y,
            "width": width,
            "height": height,
            "area": part.areas,
            "crowd": part.crowds,
        }
        tables.append(pl.DataFrame(columns, schema=BOXES_SCHEMA))
    return pl.concat(tables)


def _make_notices(parts: list[AnnotatedPart], images: list[_LocatedImage]) -> list[Notice]:
    notices: list[Notice] = []
    clipped = [(part.source.label, record) for part in parts for record in part.clipped]
    if clipped:
        notices.append(
            Notice(
                "dataset.box_clipped",
                "Boxes overran their image by rounding, and were clipped to it.",
                len(clipped),
                tuple(f"{label}: annotation {record}" for label, record in clipped[:_EXAMPLES]),
            )
        )
    for code, sentence in _FRAME_SENTENCES.items():
        files = [image.file for image in images if image.taken.frame.notice is code]
        if files:
            notices.append(Notice(code.value, sentence, len(files), tuple(files[:_EXAMPLES])))
    others = sum(part.other_image_count for part in parts)
    if others:
        notices.append(
            Notice(
                "dataset.image_not_listed",
                "Image files that no annotations file names were left out.",
                others,
                tuple(
                    f"{p.source.prefix or '.'}: {p.other_image_count}" for p in parts if p.other_image_count
                ),
            )
        )
    return notices
