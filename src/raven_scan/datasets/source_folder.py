"""Finds the annotations files and the images of a source in COCO form."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from raven_scan.datasets.problems import ProblemReport
from raven_scan.datasets.types import Part
from raven_scan.kernel.errors import Invalid

ANNOTATIONS_FILES = (
    "annotations_coco.json",
    "_annotations.coco.json",
    "annotations.json",
    "coco_annotations.json",
)
PART_FOLDERS = {"train": Part.TRAIN, "valid": Part.VALID, "val": Part.VALID, "test": Part.TEST}
_IMAGES_FOLDER = "images"
_IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True)
class SourcePart:
    """One annotations file with the folder that its images are in.

    Attributes:
        part: None where the source has no split.
        prefix: the folder's path inside the source, for reports: `train/` or empty.
    """

    part: Part | None
    folder: Path
    annotations: Path
    prefix: str

    @property
    def label(self) -> str:
        return f"{self.prefix}{self.annotations.name}"

    def find_image(self, file_name: str) -> Path | None:
        """The image file of a record: beside the annotations, or in `images/`."""
        for folder in (self.folder, self.folder / _IMAGES_FOLDER):
            try:
                if (folder / file_name).is_file():
                    return folder / file_name
            except OSError:  # a name longer than any file's
                return None
        return None

    def count_other_images(self, used: set[Path]) -> int:
        """Image files here that no record names."""
        candidates = (
            path
            for folder in (self.folder, self.folder / _IMAGES_FOLDER)
            if folder.is_dir()
            for path in folder.iterdir()
        )
        return sum(path.suffix.lower() in _IMAGE_SUFFIXES and path not in used for path in candidates)


def find_source_parts(root: Path, report: ProblemReport) -> list[SourcePart]:
    """The parts of a source, train first.

    Raises:
        Invalid: the folder is not of a form that is known.
    """
    folder = _enter_only_folder(root)
    present = [name for name in PART_FOLDERS if (folder / name).is_dir()]
    alone = [name for name in ANNOTATIONS_FILES if (folder / name).is_file()]
    _refuse_other_forms([folder, *(folder / name for name in present)])
    if not present:
        if len(alone) != 1:
            raise _make_form_error(alone)
        return [SourcePart(None, folder, folder / alone[0], "")]
    if alone:
        report.add(
            "dataset.ambiguous_form",
            alone[0],
            "",
            "it lies beside part folders, and cannot be told from them",
        )
    if "val" in present and "valid" in present:
        report.add("dataset.ambiguous_form", "val", "", "both val and valid are there")
    for part in (Part.TRAIN, Part.VALID):
        if not any(PART_FOLDERS[name] is part for name in present):
            report.add("dataset.empty_part", str(part), "", "the part is missing")
    parts: list[SourcePart] = []
    for name in present:
        files = [file for file in ANNOTATIONS_FILES if (folder / name / file).is_file()]
        if len(files) == 1:
            parts.append(SourcePart(PART_FOLDERS[name], folder / name, folder / name / files[0], f"{name}/"))
        elif files:
            report.add(
                "dataset.ambiguous_form", name, "", f"it has several annotations files: {', '.join(files)}"
            )
        else:
            report.add(
                "dataset.no_annotations",
                name,
                "",
                f"it has no annotations file ({' or '.join(ANNOTATIONS_FILES)})",
            )
    return parts


def normalise_file_name(file_name: str) -> str | None:
    """A record's file name as a relative path with `/`, or None where it leads elsewhere or cannot be a name."""
    name = file_name.replace("\\", "/")
    path = PurePosixPath(name)
    bad = not name.isprintable() or path.is_absolute() or ".." in path.parts or not path.name
    drive = len(name) > 1 and name[1] == ":"
    return None if bad or drive or path.suffix.lower() == ".json" else str(path)


def _enter_only_folder(root: Path) -> Path:
    """An archive, or a folder, may hold everything in one folder."""
    entries = [path for path in root.iterdir() if not path.name.startswith((".", "__MACOSX"))]
    if len(entries) == 1 and entries[0].is_dir() and entries[0].name not in PART_FOLDERS:
        return entries[0]
    return root


def _refuse_other_forms(places: list[Path]) -> None:
    """Raises Invalid where annotations are in another form, and none of these folders has them in COCO form."""
    if any((place / name).is_file() for place in places for name in ANNOTATIONS_FILES):
        return
    folders = [each for place in places for each in (place, place / "labels", place / "Annotations")]
    if any((place / "data.yaml").is_file() or (place / "labels").is_dir() for place in places):
        form = "YOLO"
    elif any(True for folder in folders if folder.is_dir() for _ in folder.glob("*.xml")):
        form = "Pascal VOC"
    else:
        return
    raise Invalid(
        "dataset.unknown_form",
        f"This is a dataset in {form} form; one in COCO form is wanted.",
        hint=(
            "Export it anew from where it was annotated, as COCO: annotation tools offer that form too, and there "
            "are converters."
        ),
    )


def _make_form_error(alone: list[str]) -> Invalid:
    found = (
        f"several annotations files ({', '.join(alone)})" if alone else "neither part folders nor annotations"
    )
    return Invalid(
        "dataset.unknown_form",
        f"This is no dataset in COCO form: it has {found}.",
        hint=(
            "Give a folder or a zip with the folders train, valid and test, or with one annotations file. "
            f"An annotations file is called {', '.join(ANNOTATIONS_FILES[:-1])} or {ANNOTATIONS_FILES[-1]}."
        ),
    )
