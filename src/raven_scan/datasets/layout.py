"""Lays a version out on the disk as COCO: links to blobs, and one JSON a part."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import polars as pl

from raven_scan.datasets.content import VersionContent
from raven_scan.datasets.types import Layout, Part
from raven_scan.storage.blob_store import BlobStore
from raven_scan.wire.spec import PartSpec

ANNOTATIONS_FILE = "annotations_coco.json"
_DONE_FILE = "layout.json"


class _Image(msgspec.Struct, gc=False):
    id: int
    file_name: str
    width: int
    height: int
    exif_orientation: int


class _Annotation(msgspec.Struct, gc=False):
    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float
    iscrowd: int


def lay_out_version(
    version_id: UUID,
    digest: str,
    content: VersionContent,
    blobs: BlobStore,
    folder: Path,
    *,
    chosen: Mapping[str, Any],
) -> Layout:
    """Write `train`, `valid` and `test` into `folder`, each with links to its images and `annotations_coco.json`.

    Category ids count from 1 in the order of the classes; image ids count from 1 in each part. Each image has
    `exif_orientation`, the turn to apply to its stored pixels. The top-level `raven` holds `pixel_rules`,
    `dataset_version` and `digest`, and `chosen`: how a part of the version was chosen, where `content` is one. What is
    there already of the same version, chosen in the same way, is left as it is.

    Raises:
        NotFound: a blob is missing.
    """
    done = folder / _DONE_FILE
    about = _describe(version_id, digest, content) | dict(chosen)
    parts = list_parts(content)
    if not (done.is_file() and done.read_bytes() == msgspec.json.encode(about)):
        for part, first_row, images in parts:
            _lay_out_part(folder / part.value, images, first_row, content, blobs, about)
        _write_whole(done, msgspec.json.encode(about))
    train, valid, test = (
        PartSpec(folder=folder / part.value, image_count=images.height) for part, _, images in parts
    )
    return Layout(train=train, valid=valid, test=test)


def lay_out_part(
    version_id: UUID, digest: str, content: VersionContent, part: Part, blobs: BlobStore, folder: Path
) -> PartSpec:
    """Write this part alone into a folder of its name in `folder`, as `lay_out_version` does. Raises NotFound."""
    first_row, images = next((row, images) for each, row, images in list_parts(content) if each is part)
    about = _describe(version_id, digest, content)
    _lay_out_part(folder / part.value, images, first_row, content, blobs, about)
    return PartSpec(folder=folder / part.value, image_count=images.height)


def list_parts(content: VersionContent) -> list[tuple[Part, int, pl.DataFrame]]:
    """Each part with the row that its images begin at, and these; train first."""
    parts: list[tuple[Part, int, pl.DataFrame]] = []
    first_row = 0
    for part in Part:
        images = content.images.filter(pl.col("part") == part.value)
        parts.append((part, first_row, images))
        first_row += images.height
    return parts


def encode_part(
    content: VersionContent,
    images: pl.DataFrame,
    first_row: int,
    *,
    description: str,
    about: Mapping[str, Any],
) -> bytes:
    """A part as COCO's JSON.

    Args:
        content: of the version.
        images: of the part.
        first_row: where they begin in `content.images`.
        description: what it says of itself.
        about: its top-level `raven`.
    """
    boxes = content.boxes.filter(
        (pl.col("image") >= first_row) & (pl.col("image") < first_row + images.height)
    )
    columns = images.select("file_name", "width", "height", "exif_orientation")
    coco = {
        "info": {"description": description},
        "raven": about,
        "categories": [{"id": position, "name": name} for position, name in enumerate(content.classes, 1)],
        "images": [_Image(position, *row) for position, row in enumerate(columns.iter_rows(), 1)],
        "annotations": _list_annotations(boxes, first_row),
    }
    return msgspec.json.encode(coco)


def _describe(version_id: UUID, digest: str, content: VersionContent) -> dict[str, Any]:
    return {
        "dataset_version": str(version_id),
        "digest": digest,
        "pixel_rules": content.pixel_rules.to_json(),
    }


def _lay_out_part(
    folder: Path,
    images: pl.DataFrame,
    first_row: int,
    content: VersionContent,
    blobs: BlobStore,
    about: dict[str, Any],
) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for inner in {name.rpartition("/")[0] for name in images["file_name"] if "/" in name}:
        (folder / inner).mkdir(parents=True, exist_ok=True, mode=0o700)
    # Text instead of paths: there may be a hundred thousand.
    place = os.path.abspath(folder)  # noqa: PTH100
    names, digests = images["file_name"].to_list(), images["digest"].to_list()
    blobs.link_files([(digest, f"{place}/{name}") for digest, name in zip(digests, names, strict=True)])
    description = f"Laid out by Raven Scan, {about['dataset_version']}"
    coco = encode_part(content, images, first_row, description=description, about=about)
    _write_whole(folder / ANNOTATIONS_FILE, coco)


def _list_annotations(boxes: pl.DataFrame, first_row: int) -> list[_Annotation]:
    # By columns: a row at a time costs three times as much, and there are millions.
    x, y, width, height = (boxes[name].to_list() for name in ("x", "y", "width", "height"))
    return list(
        map(
            _Annotation,
            range(1, boxes.height + 1),
            (boxes["image"] - (first_row - 1)).to_list(),
            (boxes["label"] + 1).to_list(),
            zip(x, y, width, height, strict=True),
            boxes["area"].to_list(),
            boxes["crowd"].cast(pl.Int8).to_list(),
        )
    )


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
