"""Tells a package from a checkpoint, by what is in the file."""

from pathlib import Path

_LOCAL_HEADER = b"PK\x03\x04"
_NAME_AT = 30
_FIRST_FILE = b"manifest.json"


def is_package(path: Path) -> bool:
    """Whether the file begins as packages do. A checkpoint of PyTorch is a zip too, but begins with its own folder."""
    try:
        with path.open("rb") as file:
            beginning = file.read(_NAME_AT + len(_FIRST_FILE))
    except OSError:
        return False
    return beginning.startswith(_LOCAL_HEADER) and beginning[_NAME_AT:] == _FIRST_FILE
