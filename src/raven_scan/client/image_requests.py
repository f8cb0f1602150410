"""Images on their way to detection: in requests of a size that arrives soon."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from raven_scan.client.answers import RequestBody
from raven_scan.client.file_bodies import open_file

_MOST_IMAGES = 200
_MOST_BYTES = 64 << 20


def split_images(paths: Sequence[Path], *, measures: bool) -> Iterator[list[Path]]:
    """Runs of images that go together in a request.

    Args:
        paths: of images.
        measures: whether their bytes go with them; one that has more than a request should have goes alone.

    Raises:
        Invalid: one cannot be read.
    """
    together: list[Path] = []
    together_bytes = 0
    for path in paths:
        size_bytes = (open_file(path).size_bytes or 0) if measures else 0
        if together and (len(together) >= _MOST_IMAGES or together_bytes + size_bytes > _MOST_BYTES):
            yield together
            together, together_bytes = [], 0
        together.append(path)
        together_bytes += size_bytes
    if together:
        yield together


def is_text(path: Path) -> bool:
    """Whether it can be told in JSON; a file's name may be any bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def name_path(path: Path) -> str:
    """What is no text in it as escapes."""
    return str(path).encode(errors="backslashreplace").decode()


def encode_form(fields: Mapping[str, Any], images: Sequence[Path]) -> RequestBody:
    """A form with images as its files. Raises Invalid where one cannot be read."""
    files = [
        ("images", (path.name.encode(errors="replace").decode(), b"".join(open_file(path).read())))
        for path in images
    ]
    data = {name: str(value) for name, value in fields.items() if value is not None}
    # The address is not used: it is httpx that knows how a form is written.
    request = httpx.Request("POST", "http://unused/", data=data, files=files)
    return RequestBody(request.read(), {"Content-Type": request.headers["Content-Type"]})
