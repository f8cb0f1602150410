"""Images that a command is given: files, folders, patterns."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})
_PATTERN_CHARACTERS = frozenset("*?[")


def find_images(arguments: Sequence[str]) -> list[Path]:
    """The images that are meant, each once, in the order of the arguments.

    Args:
        arguments: a file; a folder, for all images in it and in its folders; a pattern as *.jpg or **/*.png.

    Raises:
        BadParameter: there is none.
    """
    found: dict[Path, None] = {}
    for argument in arguments:
        images = list(_find(argument))
        if not images:
            kind = "is a folder without images" if Path(argument).is_dir() else "leads to no image"
            raise typer.BadParameter(f"{argument!r} {kind}.", param_hint="IMAGES")
        found.update(dict.fromkeys(images))
    return list(found)


def _find(argument: str) -> Iterator[Path]:
    path = Path(argument)
    if path.is_dir():
        yield from _list_folder(path)
    elif path.exists():
        yield path
    elif _PATTERN_CHARACTERS & set(argument):
        # Path.glob takes no pattern that begins at the root.
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207
        yield from (Path(each) for each in matches if Path(each).is_file())


def _list_folder(folder: Path) -> list[Path]:
    # What is hidden is another program's own, such as the half-written file of a copy.
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
