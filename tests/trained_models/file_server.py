"""A local HTTP server of one file that behaves as badly as a test wants."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """Serves `content` at every path.

    Attributes:
        etag: mark of the file, or None.
        last_modified: its date, or None.
        break_after: for the requests to come: bytes of the answer's body after which the connection is cut; None
            for a whole answer.
        statuses: for the requests to come: answered instead of the file.
        knows_range: whether it honours Range.
        requests: path and headers of what was asked.
    """

    content: bytes
    etag: str | None = '"one"'
    last_modified: str | None = None
    break_after: list[int | None] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    knows_range: bool = True
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def ranges(self) -> list[str | None]:
        return [headers.get("range") for _, headers in self.requests]


@contextmanager
def serve_file(content: bytes) -> Generator[FileServer]:
    served = FileServer(content)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(served, self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its parent's name
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(served: FileServer, handler: BaseHTTPRequestHandler) -> None:
    headers = {name.lower(): value for name, value in handler.headers.items()}
    served.requests.append((handler.path, headers))
    handler.close_connection = True
    content = served.content
    if served.statuses:
        handler.send_response(served.statuses.pop(0))
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    start = 0
    is_same = headers.get("if-range") in {None, served.etag, served.last_modified}
    if served.knows_range and is_same and "range" in headers:
        start = int(headers["range"].removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    else:
        handler.send_response(200)
    if served.etag:
        handler.send_header("ETag", served.etag)
    if served.last_modified:
        handler.send_header("Last-Modified", served.last_modified)
    handler.send_header("Content-Length", str(len(content) - start))
    handler.end_headers()
    cut = served.break_after.pop(0) if served.break_after else None
    handler.wfile.write(content[start:] if cut is None else content[start : start + cut])
