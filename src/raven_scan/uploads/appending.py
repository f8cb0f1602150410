"""One request's bytes on their way to the disk."""

from collections.abc import Callable
from uuid import UUID

from raven_scan.uploads import errors
from raven_scan.uploads.stored_file import StoredFile
from raven_scan.uploads.types import UploadView

_FLUSH_BYTES = 16 << 20
"""What a server that is killed may cost at most, of a request that sends more."""


class Appending:
    """Takes bytes for an upload, and keeps how far it came once they are on the disk.

    Args:
        upload: as it was before.
        file: that goes on at the upload's offset.
        largest_bytes: that the whole file may have.
        keep_offset: told of the upload and its offset after each flush.
    """

    def __init__(
        self,
        upload: UploadView,
        file: StoredFile,
        *,
        largest_bytes: int,
        keep_offset: Callable[[UUID, int], None],
    ) -> None:
        self._upload = upload
        self._file = file
        self._largest_bytes = largest_bytes
        self._keep_offset = keep_offset
        self._kept_bytes: int = upload.offset_bytes
        self.offset_bytes: int = upload.offset_bytes

    def write(self, piece: bytes) -> None:
        """Takes the next bytes.

        Raises:
            Invalid: `upload.longer_than_told`, `upload.too_large`.
            Unavailable: `upload.not_stored`; what came before this piece is kept.
        """
        end = self.offset_bytes + len(piece)
        if self._upload.size_bytes is not None and end > self._upload.size_bytes:
            raise errors.make_longer_than_told(self._upload.size_bytes)
        if end > self._largest_bytes:
            raise errors.make_too_large(self._largest_bytes)
        try:
            self._file.write(piece)
        except OSError as error:
            self._file.go_on_at(self.offset_bytes)
            raise errors.make_not_stored(error) from error
        self.offset_bytes = end
        if end - self._kept_bytes >= _FLUSH_BYTES:
            self.keep()

    def keep(self) -> None:
        """Brings to the disk what was written, then notes that it is there.

        Raises:
            Unavailable: `upload.not_stored`.
        """
        if self.offset_bytes == self._kept_bytes:
            return
        try:
            self._file.flush()
        except OSError as error:
            self.offset_bytes = self._kept_bytes
            raise errors.make_not_stored(error) from error
        self._keep_offset(self._upload.id, self.offset_bytes)
        self._kept_bytes = self.offset_bytes
