# Made from asynchronous/downloads.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Files from the server: verified, and gone on with after a lost connection."""

import time
from pathlib import Path

from raven_scan.client.answers import Parameters
from raven_scan.client.blocking import call, pause
from raven_scan.client.file_sink import FileSink
from raven_scan.client.synchronous.connection import Connection
from raven_scan.kernel.errors import Busy, Unavailable
from raven_scan.kernel.progress import Progress

_PATIENCE_S = 60.0
_PAUSE_S = 0.5


def download_file(
    connection: Connection,
    path: str,
    target: Path,
    *,
    on_progress: Progress,
    parameters: Parameters | None = None,
    has_digest: bool = True,
) -> str:
    """Writes what the API has at `path` to `target`.

    Args:
        connection: to the API.
        path: of the API.
        target: a file, replaced once everything has come.
        on_progress: called while it comes.
        parameters: of the query.
        has_digest: whether its ETag is its SHA-256, by which it is verified, and goes on after a lost connection.

    Returns:
        The SHA-256.

    Raises:
        RavenError: what the API refuses.
        Unavailable: the server was away for long, or what came is damaged.
        Invalid: the file cannot be written.
    """
    sink = call(FileSink, target)
    etag: str | None = None
    came_at = time.monotonic()
    try:
        while True:
            # Packed, its bytes would not be those that a range counts.
            headers = {"Accept-Encoding": "identity"}
            if etag is not None and sink.offset_bytes:
                headers |= {"Range": f"bytes={sink.offset_bytes}-", "If-Range": etag}
            try:
                with connection.stream("GET", path, parameters=parameters, headers=headers) as answer:
                    if answer.status_code != 206 and sink.offset_bytes:
                        call(sink.begin_again)
                    etag = answer.headers.get("etag") if has_digest else None
                    left = answer.headers.get("content-length")
                    total = 0 if left is None else sink.offset_bytes + int(left)
                    for chunk in answer.iter_bytes():
                        call(sink.write, chunk)
                        came_at = time.monotonic()
                        on_progress("downloading", sink.offset_bytes, total)
                return call(sink.finish, None if etag is None else etag.strip('"'))
            except (Unavailable, Busy) as error:
                is_over = etag is None or time.monotonic() - came_at > _PATIENCE_S
                if is_over or error.code == "client.download_damaged":
                    raise
            pause(_PAUSE_S)
    finally:
        call(sink.close)
