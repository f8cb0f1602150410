# Made from asynchronous/uploads.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Large files on their way to the server, in parts that go on where they broke off."""

import time
from pathlib import Path

import httpx

from raven_scan.client.answers import RequestBody, quote_ref, read_problem
from raven_scan.client.blocking import call, pause
from raven_scan.client.file_bodies import Part, PartReader, Source, open_source
from raven_scan.client.synchronous.connection import Connection
from raven_scan.kernel.errors import Busy, Conflict, RavenError, Unavailable
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.uploads.schemas import UploadOut, UploadPage
from raven_scan.uploads.types import UploadPurpose

_PATH = "/api/v1/uploads"
_PART_TYPE = "application/offset+octet-stream"
_PATIENCE_S = 60.0
_PAUSE_S = 0.5
_STAGE = "uploading"
_OF_ANOTHER_FILE = frozenset({"upload.checksum_wrong", "upload.complete", "upload.longer_than_told"})
"""What an upload is refused with that was begun by another file of this name."""


class UploadsClient:
    """Args:
    connection: to the API.
    patience_s: how long a server that is away (it may be restarting) is waited for.
    """

    def __init__(self, connection: Connection, *, patience_s: float = _PATIENCE_S) -> None:
        self._connection = connection
        self._patience_s = patience_s

    def list(self) -> UploadPage:
        """Your own, newest first."""
        return UploadPage.model_validate(self._connection.get(_PATH))

    def get(self, ref: object) -> UploadOut:
        return UploadOut.model_validate(self._connection.get(f"{_PATH}/{quote_ref(ref)}"))

    def delete(self, ref: object) -> None:
        self._connection.delete(f"{_PATH}/{quote_ref(ref)}")

    def send(
        self, path: Path, *, purpose: UploadPurpose | str, on_progress: Progress = ignore_progress
    ) -> UploadOut:
        """Sends a file, or a folder as a zip, and has its SHA-256 verified; it can be imported then.

        A connection that is lost is made again, and the upload goes on. One of the same file that was not finished,
        or not imported, is taken up.

        Args:
            path: file or folder.
            purpose: what it will be imported as: dataset or checkpoint.
            on_progress: called while it goes on.

        Raises:
            Invalid: it cannot be read, or is too large.
            Unavailable: the server was away for too long, or has no room; sending it again goes on from there.
        """
        source = call(open_source, path)
        purpose = UploadPurpose(purpose)
        earlier = self._find_unfinished(source, purpose)
        if earlier is not None:
            try:
                return self._send_rest(source, earlier, on_progress)
            except Conflict as error:
                if error.code not in _OF_ANOTHER_FILE:
                    raise
                self.delete(earlier.id)
        content = {"purpose": str(purpose), "file_name": source.file_name, "size_bytes": source.size_bytes}
        begun = UploadOut.model_validate(self._connection.post(_PATH, content))
        return self._send_rest(source, begun, on_progress)

    def _find_unfinished(self, source: Source, purpose: UploadPurpose) -> UploadOut | None:
        """One of this file that nobody sends; also one that is whole, but was not imported."""
        for upload in (self.list()).items:
            is_as_large = upload.size_bytes == source.size_bytes or source.size_bytes is None
            is_same = upload.purpose == purpose and upload.file_name == source.file_name and is_as_large
            if is_same and (upload.sha256 is not None or self._is_free(upload)):
                return upload
        return None

    def _is_free(self, upload: UploadOut) -> bool:
        """Whether it takes a part of no bytes just now."""
        return (self._patch(upload, upload.offset_bytes, b"")).is_success

    def _send_rest(self, source: Source, upload: UploadOut, on_progress: Progress) -> UploadOut:
        reader = PartReader(source, offset_bytes=upload.offset_bytes, part_bytes=upload.part_bytes)
        parts = reader.read()
        while (part := call(next, parts, None)) is not None:
            self._send_part(upload, part)
            on_progress(_STAGE, part.end, max(source.total_bytes, part.end))
        return self._complete(upload, reader.sha256, on_progress)

    def _send_part(self, upload: UploadOut, part: Part) -> None:
        """Until all of it has come; asks after each loss how much has."""
        offset = part.start
        came_at = time.monotonic()
        while offset < part.end:
            try:
                answer = self._patch(upload, offset, part.content[offset - part.start :])
                if answer.is_success:
                    return
                raise read_problem(answer)
            except RavenError as error:
                if not _may_pass(error) or time.monotonic() - came_at > self._patience_s:
                    raise
            pause(_PAUSE_S)
            try:
                arrived = (self.get(upload.id)).offset_bytes
            except (Unavailable, Busy):
                continue
            if arrived < part.start:
                raise Unavailable(
                    "client.upload_lost", "The server has lost what was sent.", hint="Send the file again."
                )
            if arrived > offset:
                offset, came_at = arrived, time.monotonic()

    def _patch(self, upload: UploadOut, offset: int, content: bytes) -> httpx.Response:
        headers = {"Content-Type": _PART_TYPE, "Upload-Offset": str(offset)}
        return self._connection.send("PATCH", f"{_PATH}/{upload.id}", body=RequestBody(content, headers))

    def _complete(self, upload: UploadOut, sha256: str, on_progress: Progress) -> UploadOut:
        lost_at: float | None = None
        while True:
            try:
                result = self._connection.do_long_work(
                    f"{_PATH}/{upload.id}/complete", on_progress, content={"sha256": sha256}
                )
                return UploadOut.model_validate(result)
            except (Unavailable, Busy) as error:
                lost_at = lost_at or time.monotonic()
                if not _may_pass(error) or time.monotonic() - lost_at > self._patience_s:
                    raise
            pause(_PAUSE_S)


def _may_pass(error: RavenError) -> bool:
    """Whether it is the connection, a server that starts, or an earlier request that is about to end."""
    if error.code in {"upload.wrong_offset", "upload.broken_off"}:
        return True
    return isinstance(error, Unavailable | Busy) and error.code != "upload.not_stored"
