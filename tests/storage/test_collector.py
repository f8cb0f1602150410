"""Blobs that nothing names, and what killed processes left, on every kind of store."""

import os
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from raven_scan.kernel.clock import Clock
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.blobs import LocalBlobStore
from raven_scan.storage.collector import Collected, collect_blobs
from raven_scan.storage.scratch import hold_scratch_folder


@dataclass
class TomorrowsClock(Clock):
    ahead: timedelta = field(default=timedelta(hours=25))

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def test_what_is_old_and_not_named_goes(store: BlobStore):
    named, unnamed = store.put_bytes(b"named"), store.put_bytes(b"not named")
    assert collect_blobs(store, [named], TomorrowsClock(), dry_run=True) == Collected(1, 9, 0, 0)
    assert store.has(unnamed)
    assert collect_blobs(store, iter([named]), TomorrowsClock()) == Collected(1, 9, 0, 0)
    assert store.get_bytes(named) == b"named"
    assert not store.has(unnamed)
    assert store.find_missing([unnamed, named]) == [unnamed]


def test_what_is_young_stays(store: BlobStore):
    digest = store.put_bytes(b"about to be named")
    assert collect_blobs(store, [], TomorrowsClock(timedelta(hours=23))) == Collected(0, 0, 0, 0)
    assert store.has(digest)


def test_what_is_put_again_after_it_was_listed_stays(store: BlobStore, monkeypatch: pytest.MonkeyPatch):
    digests = [store.put_bytes(bytes([number])) for number in range(3)]
    listed = list(store.list_blobs())
    monkeypatch.setattr(store, "list_blobs", lambda: iter(listed))
    than = max(facts.modified_at for facts in listed) + timedelta(milliseconds=500)
    deadline = time.monotonic() + 10
    while store.put_bytes(b"\1") and get_time(store, digests[1]) < than + timedelta(milliseconds=300):
        assert time.monotonic() < deadline
    collect_blobs(store, [], TomorrowsClock(timedelta(0)), grace=datetime.now(UTC) - than)
    assert store.find_missing(digests) == [digests[0], digests[2]]


def get_time(store: BlobStore, digest: str) -> datetime:
    facts = store.find_facts(digest)
    assert facts is not None
    return facts.modified_at


def test_names_that_cannot_be_read_remove_nothing(store: BlobStore):
    digest = store.put_bytes(b"content")

    def name() -> Generator[str]:
        yield "0" * 64
        raise ConnectionError

    with pytest.raises(ConnectionError):
        collect_blobs(store, name(), TomorrowsClock())
    assert store.has(digest)


def test_what_killed_processes_left_goes_and_what_is_in_use_stays(store: BlobStore):
    (store.incoming / "half a blob").write_bytes(b"half")
    abandoned = store.incoming / "batch-abandoned"
    abandoned.mkdir()
    (abandoned / "x").write_bytes(b"xyz")
    (store.incoming / "batch-abandoned.lock").touch()
    with hold_scratch_folder(store.incoming, "upload") as held:
        (held / "y").write_bytes(b"in use")
        young = timedelta(hours=23)
        assert collect_blobs(store, [], TomorrowsClock(young)) == Collected(0, 0, 0, 0)
        assert collect_blobs(store, [], TomorrowsClock(), dry_run=True) == Collected(0, 0, 2, 7)
        assert abandoned.exists()
        assert collect_blobs(store, [], TomorrowsClock()) == Collected(0, 0, 2, 7)
        assert sorted(path.name for path in store.incoming.iterdir()) == [held.name, f"{held.name}.lock"]
        assert (held / "y").exists()


def test_nothing_is_lost_between_putting_and_collecting(tmp_path: Path):
    """Many puts of one old blob against many collections: after every put it is there, and young."""
    store = LocalBlobStore(tmp_path / "blobs")
    digest = store.put_bytes(b"content")
    ended = threading.Event()

    def collect() -> None:
        other = LocalBlobStore(tmp_path / "blobs")
        while not ended.is_set():
            collect_blobs(other, [], TomorrowsClock(timedelta(0)))

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        for _ in range(300):
            store.put_bytes(b"content")
            assert store.has(digest)
            long_ago = time.time() - 48 * 3600
            os.utime(store.get_path(digest), (long_ago, long_ago))
    finally:
        ended.set()
        collector.join()
