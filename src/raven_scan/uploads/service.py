"""Use cases of uploads: a large file arrives in parts, and goes on after whatever came between."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import disk_usage
from uuid import UUID

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.ids import make_id, parse_id
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.uploads import errors, repository
from raven_scan.uploads.appending import Appending
from raven_scan.uploads.stored_file import StoredFile, hold_file, remove_file
from raven_scan.uploads.types import UploadPurpose, UploadView

MOST_UPLOADS = 20
"""Of one user at a time."""

LIFETIME = timedelta(days=1)
"""How long one is kept that does not go on, or is not imported."""

PART_BYTES = 8 << 20
"""What a part may well have: large enough to be quick, small enough that losing one costs little."""


_BETWEEN_HOUSEKEEPING = timedelta(minutes=5)


@dataclass(slots=True)
class WholeUpload:
    """What an import reads; `is_used_up`: it is not needed any more."""

    path: Path
    file_name: str
    is_used_up: bool = False


class UploadService:
    """Args:
    folder: where files are kept; made at first use.
    largest_bytes: for each purpose.
    """

    def __init__(
        self, database: Database, folder: Path, largest_bytes: Mapping[UploadPurpose, int], clock: Clock
    ) -> None:
        self._database = database
        self._folder = folder
        self._largest_bytes = largest_bytes
        self._clock = clock
        self._kept_house_at = datetime.min.replace(tzinfo=UTC)

    def begin(
        self, actor: Actor, purpose: UploadPurpose, *, file_name: str, size_bytes: int | None = None
    ) -> UploadView:
        """A new upload, of which nothing has come.

        Args:
            actor: becomes its owner; nobody else sees it.
            purpose: what it will be imported as.
            file_name: what its sender calls it.
            size_bytes: of the whole file, where its sender knows.

        Raises:
            Invalid: `upload.too_large`.
            Conflict: `upload.too_many`, `upload.no_space`.
        """
        actor.require(purpose.claim)
        self._remove_expired()
        if size_bytes is not None:
            self._check_size(purpose, size_bytes)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if size_bytes is not None and size_bytes > (free_bytes := disk_usage(self._folder).free):
            raise errors.make_no_space(size_bytes, free_bytes)
        now = self._clock.now()
        id_ = make_id()
        with self._database.transaction() as session:
            repository.lock_owner(session, actor.id)
            if (count := repository.count(session, actor.id)) >= MOST_UPLOADS:
                raise errors.make_too_many(count)
            repository.insert(
                session,
                {
                    "id": id_,
                    "owner_id": actor.id,
                    "purpose": purpose,
                    "file_name": file_name,
                    "size_bytes": size_bytes,
                    "created_at": now,
                    "expires_at": now + LIFETIME,
                },
            )
            record(session, actor, "upload.begun", Target("upload", id_, file_name), size_bytes=size_bytes)
        return self.get_upload(actor, str(id_))

    def list_uploads(self, actor: Actor) -> list[UploadView]:
        """The actor's own, newest first."""
        purposes = [purpose for purpose in UploadPurpose if actor.may(purpose.claim)]
        if not purposes:
            actor.require(Claim.DATASET_IMPORT)
        with self._database.reading() as session:
            return repository.list_own(session, actor.id, purposes)

    def get_upload(self, actor: Actor, ref: str) -> UploadView:
        """Raises NotFound, also where it is another's."""
        id_ = parse_id(ref)
        if id_ is None:
            raise errors.make_upload_unknown(ref)
        with self._database.reading() as session:
            upload = repository.find(session, id_, actor.id)
        if upload is None or not actor.may(upload.purpose.claim):
            raise errors.make_upload_unknown(ref)
        return upload

    @contextmanager
    def append(self, actor: Actor, ref: str, *, offset_bytes: int) -> Generator[Appending]:
        """Takes bytes from `offset_bytes` on; what was written when the context ends is kept, however it ends.

        Raises:
            NotFound: `upload.unknown`.
            Conflict: `upload.wrong_offset`, `upload.complete`.
            Busy: `upload.in_use`.
        """
        with self._hold(actor, ref) as (upload, file):
            if upload.sha256 is not None:
                raise errors.make_complete_already()
            if upload.offset_bytes != offset_bytes:
                raise errors.make_wrong_offset(upload.offset_bytes, offset_bytes)
            file.go_on_at(offset_bytes)
            largest_bytes = self._largest_bytes[upload.purpose]
            appending = Appending(upload, file, largest_bytes=largest_bytes, keep_offset=self._keep_offset)
            try:
                yield appending
            finally:
                appending.keep()

    def complete(
        self, actor: Actor, ref: str, *, sha256: str, progress: Progress = ignore_progress
    ) -> UploadView:
        """Verifies that what arrived is what was sent; it can be imported then.

        Raises:
            NotFound: `upload.unknown`.
            Conflict: `upload.not_whole`, `upload.checksum_wrong`.
            Busy: `upload.in_use`.
        """
        expected = sha256.lower()
        with self._hold(actor, ref) as (upload, file):
            if upload.sha256 == expected:
                return upload  # asked twice
            if upload.sha256 is not None:
                raise errors.make_checksum_wrong(expected, upload.sha256)
            if upload.size_bytes not in {None, upload.offset_bytes}:
                raise errors.make_not_whole(upload.offset_bytes, upload.size_bytes)
            file.go_on_at(upload.offset_bytes)
            found = file.digest(progress)
            if found != expected:
                raise errors.make_checksum_wrong(expected, found)
            with self._database.transaction() as session:
                is_there = repository.mark_complete(
                    session,
                    upload.id,
                    size_bytes=upload.offset_bytes,
                    sha256=found,
                    expires_at=self._clock.now() + LIFETIME,
                )
                record(
                    session,
                    actor,
                    "upload.completed",
                    Target("upload", upload.id, upload.file_name),
                    sha256=found,
                )
            if not is_there:
                raise errors.make_upload_unknown(ref)
        return self.get_upload(actor, ref)

    @contextmanager
    def use(self, actor: Actor, ref: str, purpose: UploadPurpose) -> Generator[WholeUpload]:
        """The file of a complete upload, for this request alone; it is removed once it was used up.

        Raises:
            NotFound: `upload.unknown`.
            Invalid: `upload.wrong_purpose`.
            Conflict: `upload.not_whole`.
            Busy: `upload.in_use`.
        """
        actor.require(purpose.claim)
        with self._hold(actor, ref) as (upload, file):
            if upload.purpose is not purpose:
                raise errors.make_wrong_purpose(upload.purpose, purpose)
            if upload.sha256 is None or file.size_bytes != upload.size_bytes:
                raise errors.make_not_whole(upload.offset_bytes, upload.size_bytes)
            whole = WholeUpload(file.path, upload.file_name)
            yield whole
            if whole.is_used_up:
                with self._database.transaction() as session:
                    repository.remove(session, upload.id)
                file.path.unlink(missing_ok=True)

    def delete(self, actor: Actor, ref: str) -> None:
        """Raises NotFound, and Busy while another request uses it."""
        with self._hold(actor, ref) as (upload, file):
            with self._database.transaction() as session:
                repository.remove(session, upload.id)
                record(session, actor, "upload.deleted", Target("upload", upload.id, upload.file_name))
            file.path.unlink(missing_ok=True)

    def keep_house(self, actor: Actor) -> None:
        """Removes what has expired, and files of this data folder that no upload names."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        now = self._clock.now()
        if now - self._kept_house_at >= _BETWEEN_HOUSEKEEPING:
            self._kept_house_at = now
            self._remove_expired()

    def _remove_expired(self) -> None:
        if not self._folder.exists():
            return
        with self._database.transaction() as session:
            for id_ in repository.list_expired(session, self._clock.now()):
                repository.remove_expired(session, id_, self._clock.now())
        files = {id_: path for path in self._folder.iterdir() if (id_ := parse_id(path.name)) is not None}
        if files:
            with self._database.transaction() as session:
                known = repository.list_known(session, files)
            for id_ in files.keys() - known:
                remove_file(files[id_])

    @contextmanager
    def _hold(self, actor: Actor, ref: str) -> Generator[tuple[UploadView, StoredFile]]:
        upload = self.get_upload(actor, ref)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / str(upload.id)
        with hold_file(path) as file:
            try:
                # What it was before the file was ours may have changed.
                upload = self.get_upload(actor, ref)
            except BaseException:
                path.unlink(missing_ok=True)  # it was deleted, and the file made anew by us
                raise
            if file.size_bytes < upload.offset_bytes:
                # The database is a restored one, or another machine's: what it says has come is not here.
                with self._database.transaction() as session:
                    repository.restart(session, upload.id)
                upload = self.get_upload(actor, ref)
            yield upload, file

    def _check_size(self, purpose: UploadPurpose, size_bytes: int) -> None:
        if size_bytes > (largest_bytes := self._largest_bytes[purpose]):
            raise errors.make_too_large(largest_bytes)

    def _keep_offset(self, id_: UUID, offset_bytes: int) -> None:
        with self._database.transaction() as session:
            is_there = repository.advance(
                session, id_, offset_bytes=offset_bytes, expires_at=self._clock.now() + LIFETIME
            )
        if not is_there:
            raise errors.make_upload_unknown(id_)
