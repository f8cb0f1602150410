"""Blobs in a bucket of S3, or of a server that speaks as S3 does."""

import re
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store
from pydantic import SecretStr

from raven_scan.kernel.errors import Unavailable
from raven_scan.storage.blob_store import CHUNK_BYTES, BlobFacts, Leftovers
from raven_scan.storage.blobs import make_blob_missing

if TYPE_CHECKING:  # the library has these for type checkers alone
    from obstore import ObjectMeta
    from obstore.store import S3Config

REFRESH_AFTER = timedelta(hours=1)
"""A blob that was put less than this ago counts as young without asking further; a collector spares it for longer."""

_LARGEST_PART_COUNT = 9_000
_SMALLEST_PART_BYTES = 8 << 20
_PARTS_AT_A_TIME = 4
"""Of each upload, of which there may be several; every one of them is in memory."""

_LONGEST_REMOVAL_S = 60.0
_POLL_S = 0.2
_BLOB = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/([0-9a-f]{64})")
_KEYS = (
    "RAVEN_STORAGE_ACCESS_KEY and RAVEN_STORAGE_SECRET_KEY (or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
)
_ROLE_REQUEST = "/latest/api/token"
"""Where a machine in Amazon's cloud asks for its role; the library does without keys."""

_REASONS = (
    re.compile(r"<Code>(\w+)</Code>"),
    re.compile(r"status code: (\d{3} [A-Za-z ]+)"),
    re.compile(r"(connection refused|connection reset|dns error|timed out|certificate)", re.IGNORECASE),
)


class S3Origin:
    """A prefix of a bucket. Objects are `ab/cd/abcd…` as in a local store, so that either can be copied to the other.

    S3 cannot change an object's time. A blob that is put again gets an empty object `refreshed/abcd…` beside it,
    whose time counts. A removal writes `removing/abcd…`, looks for that time, removes, and takes its mark away;
    whoever refreshes looks for that mark afterwards, and waits for its end. One of the two sees the other, since
    S3 shows every write to every later read.

    Args:
        bucket: must be there.
        prefix: without `/` at its ends; may be empty.
        endpoint: of a server that is not Amazon's.
        region: Amazon's, such as eu-central-1. Default: AWS_REGION, or us-east-1.
        access_key: with `secret_key`; without them, where Amazon's tools look: AWS_ACCESS_KEY_ID and
            AWS_SECRET_ACCESS_KEY, or the machine's role.
        secret_key: belongs to `access_key`.
        retry_s: how long a request that fails for a while is tried again.
        refresh_after: for tests.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str | None = None,
        region: str | None = None,
        access_key: SecretStr | None = None,
        secret_key: SecretStr | None = None,
        retry_s: float = 30.0,
        refresh_after: timedelta = REFRESH_AFTER,
    ) -> None:
        self.name = f"s3://{bucket}/{prefix}".rstrip("/")
        self._refresh_after = refresh_after
        config: S3Config = {"checksum_algorithm": "SHA256"}
        if endpoint is not None:
            config["endpoint"] = endpoint
        if region is not None:
            config["region"] = region
        if access_key is not None and secret_key is not None:
            config["access_key_id"] = access_key.get_secret_value()
            config["secret_access_key"] = secret_key.get_secret_value()
        self._store = S3Store(
            bucket,
            prefix=prefix or None,
            config=config,
            # Of a request: a part of an upload must get through a poor line, beside all others under way.
            client_options={
                "allow_http": True,
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(minutes=5),
            },
            retry_config={
                "max_retries": 30,
                "backoff": {
                    "init_backoff": timedelta(milliseconds=200),
                    "max_backoff": timedelta(seconds=10),
                    "base": 2,
                },
                "retry_timeout": timedelta(seconds=retry_s),
            },
        )

    def upload(self, digest: str, path: Path) -> None:
        with self._tell_failures():
            if self._refresh(digest):
                return
            part_bytes = max(_SMALLEST_PART_BYTES, path.stat().st_size // _LARGEST_PART_COUNT)
            self._store.put(_make_key(digest), path, chunk_size=part_bytes, max_concurrency=_PARTS_AT_A_TIME)

    def read(self, digest: str) -> Iterator[bytes]:
        with self._tell_failures():
            try:
                found = self._store.get(_make_key(digest))
            except FileNotFoundError:
                raise make_blob_missing(digest, self.name) from None
            for piece in found.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(piece)

    def has(self, digest: str) -> bool:
        with self._tell_failures():
            return self._find(_make_key(digest), digest) is not None

    def find_facts(self, digest: str) -> BlobFacts | None:
        with self._tell_failures():
            facts = self._find(_make_key(digest), digest)
            mark = self._find(f"refreshed/{digest}", digest)
        if facts is None or mark is None:
            return facts
        return replace(facts, modified_at=max(facts.modified_at, mark.modified_at))

    def list_blobs(self) -> Iterator[BlobFacts]:
        """As they were stored; that they were refreshed later is not looked for."""
        with self._tell_failures():
            for each in self._list():
                if found := _BLOB.fullmatch(each["path"]):
                    yield BlobFacts(found[1], each["size"], each["last_modified"])

    def remove(self, digest: str) -> None:
        with self._tell_failures():
            self._delete(_make_key(digest))
            self._delete(f"refreshed/{digest}")

    def remove_if_older(self, digest: str, than: datetime) -> bool:
        with self._tell_failures():
            facts = self._find(_make_key(digest), digest)
            if facts is None or facts.modified_at >= than:
                return False
            self._store.put(f"removing/{digest}", b"")
            try:
                facts = self.find_facts(digest)
                if facts is None or facts.modified_at >= than:
                    return False
                self.remove(digest)
                return True
            finally:
                self._delete(f"removing/{digest}")

    def remove_leftovers(self, than: datetime, *, dry_run: bool) -> Leftovers:
        """Marks that count no more."""
        with self._tell_failures():
            old = [
                each["path"]
                for prefix in ("refreshed", "removing")
                for each in self._list(prefix)
                if each["last_modified"] < than
            ]
            if not dry_run:
                for path in old:
                    self._delete(path)
        return Leftovers(len(old), 0)

    def _refresh(self, digest: str) -> bool:
        facts = self._find(_make_key(digest), digest)
        if facts is None or facts.modified_at > datetime.now(UTC) - self._refresh_after:
            return facts is not None
        self._store.put(f"refreshed/{digest}", b"")
        deadline = time.monotonic() + _LONGEST_REMOVAL_S
        while self._find(f"removing/{digest}", digest) is not None:
            if time.monotonic() > deadline:
                return False  # who began to remove it was killed: store it anew
            time.sleep(_POLL_S)
        return self._find(_make_key(digest), digest) is not None

    def _find(self, key: str, digest: str) -> BlobFacts | None:
        try:
            found = self._store.head(key)
        except FileNotFoundError:
            return None
        return BlobFacts(digest, found["size"], found["last_modified"])

    def _list(self, prefix: str | None = None) -> "Iterator[ObjectMeta]":
        listed: object = self._store.list(prefix, chunk_size=1000)  # pyright: ignore[reportUnknownMemberType]
        pages = cast("Iterator[Sequence[ObjectMeta]]", listed)
        for page in pages:
            yield from page

    def _delete(self, key: str) -> None:
        with suppress(FileNotFoundError):
            self._store.delete(key)

    @contextmanager
    def _tell_failures(self) -> Generator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise self._make_error(error) from None

    def _make_error(self, error: Exception) -> Unavailable:
        # The library's own words may quote what was sent: they stay out of messages and logs.
        if isinstance(error, PermissionDeniedError | UnauthenticatedError):
            return Unavailable(
                "storage.refused",
                f"The storage {self.name} refuses the access{_find_reason(error)}.",
                hint=f"Check {_KEYS}, and what they may do in this bucket.",
            )
        if _ROLE_REQUEST in str(error):
            return Unavailable(
                "storage.refused",
                f"There is no key to the storage {self.name}, and this machine has no role in Amazon's cloud.",
                hint=f"Set {_KEYS}.",
            )
        # An object that is not there is dealt with where it is asked for.
        if isinstance(error, FileNotFoundError) or "<Code>NoSuchBucket</Code>" in str(error):
            return Unavailable(
                "storage.unavailable",
                f"The storage {self.name} has no such bucket.",
                hint="Make the bucket, or correct RAVEN_STORAGE_URL.",
            )
        return Unavailable(
            "storage.unavailable",
            f"The storage {self.name} does not answer as it should{_find_reason(error)}.",
            hint="Check RAVEN_STORAGE_URL, RAVEN_STORAGE_ENDPOINT and the storage's server; then try again.",
        )


def _make_key(digest: str) -> str:
    return f"{digest[:2]}/{digest[2:4]}/{digest}"


def _find_reason(error: Exception) -> str:
    for reason in _REASONS:
        if found := reason.search(str(error)):
            return f" ({found[1].strip()})"
    return ""
