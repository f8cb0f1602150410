"""Downloads that go on where they broke off."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import httpx

from raven_scan.kernel.errors import Busy, Invalid, NotFound, RavenError, Unavailable
from raven_scan.kernel.progress import Progress

RETRY_PAUSES_S = (1.0, 2.0, 5.0, 10.0)

_STAGE = "download"
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")
_GONE = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}


class _BrokenOffError(Exception):
    """The connection or the server failed in a way that trying again may mend."""


@contextmanager
def download_file(
    url: str,
    folder: Path,
    *,
    file_name: str,
    digest_prefix: str | None,
    progress: Progress,
    pauses_s: Sequence[float] = RETRY_PAUSES_S,
) -> Generator[Path]:
    """Gives the file at `url`; while it is used, nobody else downloads it.

    What has arrived is kept in `folder`, so that a later call goes on from there, also after this process was
    killed. The file goes when it has been used, or was refused; otherwise a later call finds it.

    Args:
        url: http or https.
        folder: made where it is missing.
        file_name: its name in `folder`.
        digest_prefix: what its sha256 must begin with, or None where nobody knows.
        progress: told of bytes.
        pauses_s: between tries that brought nothing new; one more try than pauses.

    Raises:
        NotFound: `trained_model.checkpoint_not_found`, the server does not have it.
        Invalid: `trained_model.wrong_digest`; nothing is kept.
        Busy: `trained_model.being_pulled`.
        Unavailable: `trained_model.download_failed`, what has arrived is kept; `trained_model.disk_full`.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / f"{file_name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                "trained_model.being_pulled",
                f"{file_name} is being downloaded already.",
                hint="Wait for it to end.",
            ) from None
        whole = folder / file_name
        if not whole.exists():
            part = _Part(folder / f"{file_name}.part")
            _fetch(url, part, progress, pauses_s)
            part.finish(whole)
        if not _has_digest(whole, digest_prefix):
            whole.unlink()
            raise Invalid(
                "trained_model.wrong_digest",
                f"What {url} gave is not the checkpoint: its sha256 does not begin with {digest_prefix}.",
                hint="Try again; where it comes from a mirror, look at the mirror's file.",
                parameters={"url": url},
            )
        try:
            yield whole
        except Invalid:
            whole.unlink()
            raise
        whole.unlink()
    finally:
        os.close(lock)


class _Part:
    """What has arrived of a file, and the mark by which the server knows that it still has the same one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mark_path = path.with_suffix(".mark")

    def size_bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def read_mark(self) -> dict[str, str]:
        """Headers that make a request go on with this file; with no other, where the server marks its files."""
        size_bytes = self.size_bytes()
        if size_bytes == 0:
            return {}
        try:
            mark = json.loads(self._mark_path.read_text())["mark"]
        except (OSError, ValueError, KeyError, TypeError):
            mark = None
        return {"Range": f"bytes={size_bytes}-", **({"If-Range": mark} if isinstance(mark, str) else {})}

    def restart(self, response: httpx.Response) -> None:
        self.remove()
        # A weak mark does not promise equal bytes (RFC 9110, 13.1.5).
        mark = response.headers.get("ETag", "")
        if not mark or mark.startswith("W/"):
            mark = response.headers.get("Last-Modified", "")
        self._mark_path.write_text(json.dumps({"mark": mark or None}))

    def finish(self, whole: Path) -> None:
        """Everything is on the disk: give it its name."""
        self.path.replace(whole)
        self._mark_path.unlink(missing_ok=True)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._mark_path.unlink(missing_ok=True)


def _fetch(url: str, part: _Part, progress: Progress, pauses_s: Sequence[float]) -> None:
    failures = 0
    with httpx.Client(follow_redirects=True, timeout=_TIMEOUT) as client:
        while True:
            before = part.size_bytes()
            try:
                _fetch_once(client, url, part, progress)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
                raise _make_bad_address(url, str(error)) from error
            except (_BrokenOffError, httpx.TransportError) as error:
                failures = 1 if part.size_bytes() > before else failures + 1
                if failures > len(pauses_s):
                    raise Unavailable(
                        "trained_model.download_failed",
                        f"{url} could not be downloaded: {error or type(error).__name__}.",
                        hint="Check the network and try again: what has arrived is kept."
                        " Without a network, import a checkpoint file: `raven models import`.",
                        parameters={"url": url, "arrived_bytes": part.size_bytes()},
                    ) from error
                time.sleep(pauses_s[failures - 1])
            except OSError as error:
                raise Unavailable(
                    "trained_model.disk_full",
                    f"{part.path.name} could not be written: {error.strerror or error}.",
                    hint="Free some space and try again: what has arrived is kept.",
                ) from error
            else:
                return


def _fetch_once(client: httpx.Client, url: str, part: _Part, progress: Progress) -> None:
    headers = {"Accept-Encoding": "identity", **part.read_mark()}
    with client.stream("GET", url, headers=headers) as response:
        status = response.status_code
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if _read_range(response) != (None, part.size_bytes()):
                part.remove()
                raise _BrokenOffError("the server has another file by now")
            return
        if status in _GONE:
            raise NotFound(
                "trained_model.checkpoint_not_found",
                f"{url} is not there (HTTP {status}).",
                hint="Check the mirror's address (RAVEN_MODEL_INDEX) where one is set; otherwise choose another.",
                parameters={"url": url, "status": status},
            )
        if status == HTTPStatus.PARTIAL_CONTENT:
            start, total_bytes = _read_range(response)
            if start != part.size_bytes():
                part.remove()
                raise _BrokenOffError("the server answered with another range than was asked for")
        elif status == HTTPStatus.OK:
            part.restart(response)
            total_bytes = int(response.headers.get("Content-Length", 0))
        else:
            raise _BrokenOffError(f"the server answered HTTP {status}")
        _receive(response, part, total_bytes, progress)


def _receive(response: httpx.Response, part: _Part, total_bytes: int, progress: Progress) -> None:
    done_bytes = part.size_bytes()
    if shutil.disk_usage(part.path.parent).free < total_bytes - done_bytes:
        raise OSError(f"{total_bytes - done_bytes} bytes are needed")
    with part.path.open("ab") as file:
        try:
            progress(_STAGE, done_bytes, total_bytes)
            for chunk in response.iter_raw():
                file.write(chunk)
                done_bytes += len(chunk)
                progress(_STAGE, done_bytes, total_bytes)
        finally:
            file.flush()
            os.fsync(file.fileno())
    if total_bytes and done_bytes != total_bytes:
        if done_bytes > total_bytes:
            part.remove()
        raise _BrokenOffError(f"{done_bytes} of {total_bytes} bytes arrived")


def _read_range(response: httpx.Response) -> tuple[int | None, int]:
    """Where the answer starts (None: nowhere), and how big the whole file is."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None:
        return None, -1
    start, total_bytes = found.groups()
    return None if start is None else int(start), int(total_bytes)


def _has_digest(path: Path, digest_prefix: str | None) -> bool:
    if digest_prefix is None:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(digest_prefix)


def _make_bad_address(url: str, detail: str) -> RavenError:
    return Invalid(
        "trained_model.bad_address",
        f"{url} is not an address to download from: {detail}.",
        hint="Check RAVEN_MODEL_INDEX: it should be like https://mirror.example/models.",
    )
