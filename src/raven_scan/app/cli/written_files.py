"""Files that a command writes: whole or not at all, and over nothing that is there unless it was said."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from raven_scan.kernel.errors import Conflict

ForceFlag = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]


def check_place(path: Path, *, may_overwrite: bool) -> None:
    """Raises Conflict where there is something already."""
    if path.exists() and not may_overwrite:
        raise Conflict(
            "client.file_exists",
            f"{path} is there already.",
            hint="Choose another place, or overwrite it with --force.",
            parameters={"path": ascii(str(path))},
        )


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file, and makes the folders that lead to it. Raises Invalid."""
    from raven_scan.client.file_sink import FileSink  # noqa: PLC0415 - with it comes the whole client

    with suppress(OSError):  # the sink says what is wrong
        path.parent.mkdir(parents=True, exist_ok=True)
    sink = FileSink(path)
    try:
        sink.write(content)
        sink.finish(None)
    finally:
        sink.close()
