"""A backup is a folder: a dump of the database, every blob that it names, and a manifest that makes it whole.

```
manifest.json            names the one backup that the folder holds; written last, replaced in one step
database/<id>.dump       pg_dump's custom format
database/<id>.sha256     every file of the backup with its sha256, as `sha256sum --check` reads it
blobs/ab/cd/abcd…        by the sha256 of their content
```

The next backup into the same folder writes files of another id, adds the blobs that are new, and replaces the
manifest; only then it removes what the one before had and the new one has not. So whoever is killed leaves the one
or the other.
"""

import fcntl
import os
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from raven_scan.kernel.errors import Busy, Conflict, Damaged, NotFound, Unavailable
from raven_scan.kernel.progress import Progress
from raven_scan.storage.blob_store import digest_file
from raven_scan.storage.disk import sync_folder

FORMAT = 1

_MANIFEST = "manifest.json"
_DATABASE = "database"
_BLOBS = "blobs"
_OURS = frozenset({_MANIFEST, f".{_MANIFEST}.new", _DATABASE, _BLOBS})
_ID = re.compile(r"[0-9TZ]{16}-[0-9a-f]{8}")
_SUM_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<file>[^\n]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup says of itself.

    Attributes:
        format: of the folder; a later one is refused.
        id: of its files in `database`.
        release: of the platform that made it.
        schema_revision: of its tables.
        postgres_version: of the server that they were in.
        row_counts: rows by table.
        builtin_model_count: models among them that came with the platform.
        missing_blobs: digests of blobs that the storage had lost before, and so the backup has not.
        dump_sha256, dump_size_bytes: of the dump.
        sums_sha256: of the file with the sums.
    """

    format: int
    id: str
    created_at: datetime
    release: str
    schema_revision: str
    postgres_version: str
    row_counts: dict[str, int]
    blob_count: int
    blob_size_bytes: int
    missing_blobs: list[str]
    dump_sha256: str
    dump_size_bytes: int
    sums_sha256: str
    builtin_model_count: int = 0


@dataclass(frozen=True, slots=True)
class BackupProblem:
    """A file of a backup that is not what it was."""

    file: str
    message: str

    def describe(self) -> dict[str, Any]:
        return {"file": self.file, "message": self.message}


class BackupFolder:
    """The folder of a backup.

    Args:
        path: need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.database_folder = self.path / _DATABASE
        self.blobs_folder = self.path / _BLOBS
        self._manifest_file = self.path / _MANIFEST

    def make_dump_path(self, backup_id: str) -> Path:
        return self.database_folder / f"{backup_id}.dump"

    def make_sums_path(self, backup_id: str) -> Path:
        return self.database_folder / f"{backup_id}.sha256"

    def prepare(self) -> None:
        """Makes the folder. Raises Conflict where it holds something else, Unavailable where it cannot be made."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            foreign = sorted(entry.name for entry in self.path.iterdir() if entry.name not in _OURS)
            if foreign and foreign != ["lost+found"]:
                raise Conflict(
                    "backup.folder_not_empty",
                    f"{self.path} is no folder of a backup: it holds {foreign[0]!r}.",
                    hint="Name a folder that is new, empty, or holds a backup.",
                    parameters={"folder": str(self.path), "found": foreign[:20]},
                )
            for folder in (self.database_folder, self.blobs_folder):
                folder.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise self.make_error(error) from error

    @contextmanager
    def hold(self, *, alone: bool) -> Generator[None]:
        """Keeps other processes from changing the folder; `alone`: from reading it too.

        Raises:
            NotFound: there is no such folder.
            Busy: another process holds it.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise self._make_missing() from None
        except OSError as error:
            raise self.make_error(error) from error
        try:
            self._lock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def read_manifest(self) -> Manifest:
        """Of the backup that is whole.

        Raises:
            NotFound: there is none.
            Damaged: it cannot be read.
            Conflict: it is of a later format.
        """
        try:
            content = self._manifest_file.read_bytes()
            head = msgspec.json.decode(content, type=dict[str, Any])
            if head.get("format", 0) > FORMAT:
                raise Conflict(
                    "backup.later_release",
                    f"The backup in {self.path} was made by a later release ({head.get('release')}).",
                    hint="Upgrade Raven Scan, then restore it.",
                    parameters={"format": head["format"], "understood": FORMAT},
                )
            manifest = msgspec.json.decode(content, type=Manifest)
        except (FileNotFoundError, NotADirectoryError):
            raise self._make_missing() from None
        except (msgspec.DecodeError, TypeError) as error:
            raise self._make_unreadable(str(error)) from error
        except OSError as error:
            raise self.make_error(error) from error
        if not _ID.fullmatch(manifest.id):
            raise self._make_unreadable("its id is none")
        return manifest

    def find_manifest(self) -> Manifest | None:
        """As `read_manifest`; None where there is no backup, or one that cannot be read and may be replaced."""
        try:
            return self.read_manifest()
        except (NotFound, Damaged):
            return None

    def write_manifest(self, manifest: Manifest) -> None:
        """Makes it the backup of this folder. All that it names is on the disk before."""
        temporary = self._manifest_file.with_name(f".{_MANIFEST}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._manifest_file)
        sync_folder(self.path)

    def write_sums(self, file: Path, backup_id: str, dump_sha256: str, digests: Iterable[str]) -> None:
        """Writes the sums of a backup's files."""
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as sums:
            sums.write(f"{dump_sha256}  {_DATABASE}/{backup_id}.dump\n")
            sums.writelines(f"{digest}  {_make_blob_name(digest)}\n" for digest in digests)

    def list_digests(self, manifest: Manifest) -> list[str]:
        """The blobs of the backup. Raises Damaged where that list is."""
        sums = self.make_sums_path(manifest.id)
        try:
            if digest_file(sums) != manifest.sums_sha256:
                raise self._make_unreadable(f"{sums.name} is not what it was")
            return [digest for digest, name in _read_sums(sums) if name == _make_blob_name(digest)]
        except FileNotFoundError:
            raise self._make_unreadable(f"{sums.name} is missing") from None

    def find_problems(self, manifest: Manifest, progress: Progress) -> list[BackupProblem]:
        """Reads every file of the backup again, and tells which are missing or are not what they were."""
        problems: list[BackupProblem] = []
        digests = self.list_digests(manifest)
        members = [(manifest.dump_sha256, f"{_DATABASE}/{manifest.id}.dump")]
        members += [(digest, _make_blob_name(digest)) for digest in digests]
        for number, (digest, name) in enumerate(members):
            progress("verifying", number, len(members))
            try:
                if digest_file(self.path / name) != digest:
                    problems.append(BackupProblem(name, "It is not what it was: its sha256 is another."))
            except FileNotFoundError:
                problems.append(BackupProblem(name, "It is missing."))
            except OSError as error:
                problems.append(BackupProblem(name, f"It cannot be read: {error.strerror}."))
        progress("verifying", len(members), len(members))
        return problems

    def remove_all_but(self, manifest: Manifest, digests: frozenset[str]) -> int:
        """Removes what earlier backups into this folder had, and what killed ones left; returns how many blobs."""
        kept = {self.make_dump_path(manifest.id), self.make_sums_path(manifest.id)}
        for path in self.database_folder.iterdir():
            if path not in kept and path.is_file():
                path.unlink()
        removed = 0
        for folder in self.blobs_folder.glob("??/??"):
            for path in folder.iterdir():
                if path.name not in digests:
                    path.unlink()
                    removed += 1
        return removed

    def make_error(self, error: OSError) -> Unavailable:
        return Unavailable(
            "backup.folder_unusable",
            f"{self.path} cannot be used: {error.strerror or error}.",
            hint="Name a folder that this user may write to, on a disk with room.",
            parameters={"folder": str(self.path)},
        )

    def _lock(self, descriptor: int, kind: int) -> None:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                "backup.folder_in_use",
                f"Another process uses the backup in {self.path}.",
                hint="Try again when it is done.",
                parameters={"folder": str(self.path)},
            ) from None
        except OSError:
            # Some network file systems lock no folders: there it is the user's care.
            return

    def _make_missing(self) -> NotFound:
        return NotFound(
            "backup.missing",
            f"There is no backup in {self.path}, or only one that was not finished.",
            hint="Name the folder that `raven backup create` was given; one that was interrupted has to be repeated.",
            parameters={"folder": str(self.path)},
        )

    def _make_unreadable(self, reason: str) -> Damaged:
        return Damaged(
            "backup.unreadable",
            f"The backup in {self.path} cannot be read: {reason}.",
            hint="Use another copy of it.",
            parameters={"folder": str(self.path)},
        )


def _make_blob_name(digest: str) -> str:
    return f"{_BLOBS}/{digest[:2]}/{digest[2:4]}/{digest}"


def _read_sums(file: Path) -> Iterator[tuple[str, str]]:
    with file.open(encoding="ascii") as lines:
        for line in lines:
            if found := _SUM_LINE.fullmatch(line.rstrip("\n")):
                yield found["digest"], found["file"]
