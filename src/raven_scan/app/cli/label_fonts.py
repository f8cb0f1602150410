"""Fonts that can write the names of classes, in whatever script."""

from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

_FOLDERS = (
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path.home() / ".local" / "share" / "fonts",
    Path("/System/Library/Fonts"),
    Path("C:/Windows/Fonts"),
)
_FAMILIES = (
    "NotoSansCJK*",
    "SourceHanSans*",
    "DroidSansFallback*",
    "wqy-*",
    "unifont*",
    "NotoSans-Regular*",
    "NotoSans*-Regular*",
    "PingFang*",
    "msyh*",
)
"""Of the machine, for what the first font lacks."""


class LabelFonts:
    """Args:
    size_px: height of the letters.
    """

    def __init__(self, size_px: int) -> None:
        self._size_px = size_px

    def choose(self, text: str) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, str]:
        """A font that has every character of a text, and the text; what no font has is written as its number."""
        fonts = _list_fonts()
        fitting = next((path for path in fonts if _has(path, text)), None)
        if fitting is not None:
            return self._open(fitting), text
        if not fonts:
            return ImageFont.load_default(self._size_px), _escape(text)
        written = "".join(each if _has(fonts[0], each) else _escape(each) for each in text)
        return self._open(fonts[0]), written

    def _open(self, path: Path) -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(str(path), self._size_px)


@cache
def _list_fonts() -> list[Path]:
    """The one that comes with matplotlib first: Latin, Greek, Cyrillic, Arabic and more."""
    matplotlib = find_spec("matplotlib")
    fonts: list[Path] = []
    if matplotlib is not None and matplotlib.origin is not None:
        own = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        fonts += [own] if own.is_file() else []
    return [*fonts, *_list_machine_fonts()]


def _list_machine_fonts() -> Iterator[Path]:
    for family in _FAMILIES:
        for folder in _FOLDERS:
            yield from sorted(
                path for path in folder.rglob(family) if path.suffix.lower() in {".ttf", ".otf", ".ttc"}
            )


def _has(path: Path, text: str) -> bool:
    return all(each.isspace() or ord(each) in _list_characters(path) for each in text)


@cache
def _list_characters(path: Path) -> frozenset[int]:
    from fontTools.ttLib import TTFont, TTLibError  # noqa: PLC0415 - needed only where there are labels

    try:
        with TTFont(path, fontNumber=0, lazy=True) as font:
            return frozenset(font.getBestCmap() or ())
    except (OSError, TTLibError):
        return frozenset()


def _escape(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()
