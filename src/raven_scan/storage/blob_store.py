"""What every blob store does, wherever it keeps its blobs."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class BlobFacts:
    """What a store says of a blob without reading it.

    Attributes:
        modified_at: when it was put last, give or take the store's `refresh_after`; with a time zone.
    """

    digest: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What was on its way into a store when its process was killed."""

    count: int
    size_bytes: int

    def __add__(self, other: "Leftovers") -> "Leftovers":
        return Leftovers(self.count + other.count, self.size_bytes + other.size_bytes)


class BlobStore(ABC):
    """Blobs by the sha256 of their content, as 64 hexadecimal digits.

    A blob is seen whole or not at all. Putting what is there already costs one look, and makes it young again, so
    that a collector never takes what is about to be named. A full disk, or a storage that does not answer, is
    Unavailable and leaves nothing half done.

    Attributes:
        incoming: a folder on this machine for files that are on their way into the store.
    """

    incoming: Path

    def put_bytes(self, content: bytes) -> str:
        """Stores `content`, returns its digest."""
        return self.put_chunks([content])

    def put_stream(self, stream: BinaryIO) -> str:
        return self.put_chunks(iter(lambda: stream.read(CHUNK_BYTES), b""))

    def put_file(self, path: Path) -> str:
        """Stores a copy of the file, returns its digest. Reads the source once."""
        with path.open("rb") as file:
            return self.put_stream(file)

    @abstractmethod
    def put_chunks(self, chunks: Iterable[bytes]) -> str: ...

    @abstractmethod
    def adopt_file(self, path: Path) -> str:
        """Takes in a complete file that nobody will change any more, and returns its digest.

        Without copying it, where it is on the file system that the store keeps files on: file and blob are one
        then, and the file becomes read-only. It may be removed afterwards.
        """

    @abstractmethod
    def take_folder(self, folder: Path) -> None:
        """Takes every file of `folder` in, each named by its digest; `folder` is inside `incoming`."""

    @abstractmethod
    def refresh_if_near(self, digest: str) -> bool:
        """Whether the blob is known to be there without asking over a network; it is young again then."""

    @abstractmethod
    def has(self, digest: str) -> bool: ...

    @abstractmethod
    def find_missing(self, digests: Iterable[str], *, near_is_enough: bool = False) -> list[str]:
        """Those that are not there; faster than asking `has` for each.

        Args:
            digests: of the blobs in question.
            near_is_enough: a copy on this machine counts, without asking over a network.
        """

    @abstractmethod
    def get_path(self, digest: str) -> Path:
        """A file that holds the blob; it must not be changed. Raises NotFound."""

    @abstractmethod
    def link_files(self, links: Sequence[tuple[str, str]]) -> None:
        """Makes each blob readable under a name of its own, without a copy where the file systems admit it.

        Args:
            links: digest, and absolute path; a file that is there is replaced.

        Raises:
            NotFound: a blob is missing.
        """

    @abstractmethod
    def find_facts(self, digest: str) -> BlobFacts | None: ...

    @abstractmethod
    def list_blobs(self) -> Iterator[BlobFacts]: ...

    @abstractmethod
    def verify(self, digest: str) -> bool:
        """Reads the blob again where it is kept, and tells whether it is what its digest says; absent is False."""

    @abstractmethod
    def free_bytes(self) -> int:
        """Room for files of this machine."""

    @abstractmethod
    def remove(self, digest: str) -> None:
        """Removes the blob where it is there."""

    @abstractmethod
    def remove_if_older(self, digest: str, than: datetime) -> bool:
        """Removes the blob unless it was put since `than`; tells whether it was."""

    @abstractmethod
    def remove_leftovers(self, than: datetime, *, dry_run: bool) -> Leftovers:
        """Removes what killed processes left half done before `than`."""

    def get_bytes(self, digest: str) -> bytes:
        return self.get_path(digest).read_bytes()

    def size_bytes(self, digest: str) -> int:
        facts = self.find_facts(digest)
        return self.get_path(digest).stat().st_size if facts is None else facts.size_bytes


def digest_file(path: Path) -> str:
    """The sha256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
