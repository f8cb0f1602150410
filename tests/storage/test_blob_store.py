"""What every blob store does."""

import hashlib
import io
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from raven_scan.kernel.errors import NotFound
from raven_scan.storage.batches import open_batch
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.blobs import LocalBlobStore

DAY = timedelta(days=1)


@pytest.fixture
def local(tmp_path: Path) -> LocalBlobStore:
    return LocalBlobStore(tmp_path / "blobs")


def make_digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def get_time(store: BlobStore, digest: str) -> datetime:
    facts = store.find_facts(digest)
    assert facts is not None
    return facts.modified_at


def test_what_is_put_is_there_under_its_digest(store: BlobStore, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"file")
    assert store.put_bytes(b"bytes") == make_digest(b"bytes")
    assert store.put_chunks([b"a", b"", b"b"]) == make_digest(b"ab")
    assert store.put_stream(io.BytesIO(b"stream")) == make_digest(b"stream")
    assert store.put_file(tmp_path / "file") == make_digest(b"file")
    assert store.get_bytes(make_digest(b"ab")) == b"ab"
    assert store.get_path(make_digest(b"file")).read_bytes() == b"file"
    assert store.size_bytes(make_digest(b"stream")) == 6
    assert store.put_bytes(b"") == make_digest(b"")
    assert store.verify(make_digest(b"ab"))
    assert store.get_bytes(make_digest(b"")) == b""
    assert {facts.digest for facts in store.list_blobs()} == {
        make_digest(content) for content in (b"bytes", b"ab", b"stream", b"file", b"")
    }


def test_an_adopted_file_is_the_blob_and_outlives_its_name(store: BlobStore, tmp_path: Path):
    path = tmp_path / "weights"
    path.write_bytes(b"weights")
    old = time.time() - 48 * 3600
    os.utime(path, (old, old))
    inode = path.stat().st_ino
    digest = store.adopt_file(path)
    assert digest == make_digest(b"weights")
    blob = store.get_path(digest)
    assert blob.stat().st_ino == inode
    assert blob.stat().st_mode & 0o777 == 0o400
    assert get_time(store, digest) > datetime.now(UTC) - DAY
    path.unlink()
    assert store.get_bytes(digest) == b"weights"


def test_a_file_of_another_file_system_is_copied(local: LocalBlobStore):
    memory = Path("/dev/shm")  # noqa: S108
    if not memory.is_dir() or memory.stat().st_dev == local.incoming.stat().st_dev:
        pytest.skip("there is no second file system here")
    path = memory / f"raven-{os.getpid()}"
    try:
        path.write_bytes(b"elsewhere")
        digest = local.adopt_file(path)
        assert local.get_path(digest).stat().st_dev != path.stat().st_dev
    finally:
        path.unlink()
    assert local.get_bytes(digest) == b"elsewhere"
    assert list(local.incoming.iterdir()) == []


def test_what_a_link_leads_to_is_adopted(local: LocalBlobStore, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    digest = local.adopt_file(tmp_path / "link")
    assert not local.get_path(digest).is_symlink()
    assert local.get_bytes(digest) == b"content"


def test_what_is_put_again_is_young_again(store: BlobStore, tmp_path: Path):
    digest = store.put_bytes(b"x")
    (tmp_path / "x").write_bytes(b"x")

    def put_in_batch() -> None:
        with open_batch(store) as batch:
            batch.add(b"x")
            batch.commit()

    for put_again in (
        lambda: store.put_bytes(b"x"),
        lambda: store.adopt_file(tmp_path / "x"),
        put_in_batch,
    ):
        before = get_time(store, digest)
        deadline = time.monotonic() + 10
        put_again()
        while get_time(store, digest) <= before:  # S3 counts whole seconds
            assert time.monotonic() < deadline
            put_again()


def test_what_is_missing(store: BlobStore):
    absent, present = make_digest(b"absent"), store.put_bytes(b"present")
    assert not store.has(absent)
    assert store.find_missing([absent, present]) == [absent]
    assert store.find_facts(absent) is None
    assert not store.verify(absent)
    store.remove(absent)
    with pytest.raises(NotFound) as refusal:
        store.get_path(absent)
    assert refusal.value.parameters == {"digest": absent}


def test_damage_is_found(local: LocalBlobStore):
    digest = local.put_bytes(b"content")
    path = local.get_path(digest)
    path.chmod(0o600)
    path.write_bytes(b"cOntent")
    assert not local.verify(digest)


def test_only_what_is_older_is_removed(store: BlobStore):
    digest = store.put_bytes(b"content")
    assert not store.remove_if_older(digest, datetime.now(UTC) - DAY)
    assert store.has(digest)
    assert store.remove_if_older(digest, datetime.now(UTC) + DAY)
    assert not store.has(digest)
    assert not store.remove_if_older(digest, datetime.now(UTC) + DAY)
    store.put_bytes(b"content")
    store.remove(digest)
    assert not store.has(digest)
    assert store.put_bytes(b"content") == digest
    assert store.has(digest)


def test_links_are_the_blobs(store: BlobStore, tmp_path: Path):
    contents = [bytes([number]) * 100 for number in range(20)]
    digests = [store.put_bytes(content) for content in contents]
    links = [str(tmp_path / f"{number}.jpg") for number in range(20)]
    Path(links[3]).write_bytes(b"of an attempt before")
    store.link_files(list(zip(digests, links, strict=True)))
    assert [Path(link).read_bytes() for link in links] == contents
    with pytest.raises(NotFound):
        store.link_files([(make_digest(b"absent"), str(tmp_path / "absent"))])
    with pytest.raises(FileNotFoundError):
        store.link_files([(digests[0], str(tmp_path / "no folder" / "x"))])


def test_a_batch_is_there_only_after_its_commit(store: BlobStore):
    with open_batch(store) as batch:
        given_up = batch.add(b"given up")
    assert not store.has(given_up)
    with open_batch(store) as batch:
        digests = [batch.add(bytes([number]) * 100) for number in range(20)]
        assert batch.add(bytes(100), digests[0]) == digests[0]
        assert store.find_missing(digests) == digests
        batch.commit()
    assert store.find_missing(digests) == []
    assert store.get_bytes(digests[7]) == bytes([7]) * 100
    assert list(store.incoming.iterdir()) == []
