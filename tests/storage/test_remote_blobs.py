"""A storage that is away, slow, damaged, full of others' keys, or larger than the cache."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.storage.conftest import OpenS3
from tests.storage.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server
from tests.storage.wire import Wire

from raven_scan.kernel.errors import Invalid, NotFound, RavenError, Unavailable
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blob_cache import BlobCache
from raven_scan.storage.opening import open_blob_store
from raven_scan.storage.origins import FolderOrigin
from raven_scan.storage.remote_blobs import RemoteBlobStore
from raven_scan.storage.s3_origin import S3Origin

GREAT = 20 << 20
"""More than one part of an upload."""


@pytest.fixture
def origin(s3_server: S3Server, s3_prefix: str) -> S3Origin:
    return S3Origin(
        BUCKET,
        s3_prefix,
        endpoint=s3_server.endpoint,
        access_key=SecretStr(ACCESS_KEY),
        secret_key=SecretStr(SECRET_KEY),
        refresh_after=timedelta(0),
    )


def make_digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def count_blobs(folder: Path) -> int:
    return sum(1 for _ in folder.glob("??/??/*"))


def test_what_one_machine_puts_another_reads(open_s3: OpenS3):
    here, there = open_s3("here"), open_s3("there")
    content = os.urandom(GREAT)
    digest = here.put_bytes(content)
    assert there.get_path(digest).read_bytes() == content
    assert there.verify(digest)
    here.remove(digest)
    with pytest.raises(NotFound):
        open_s3("third").get_path(digest)


def test_what_is_near_is_not_fetched_again(open_s3: OpenS3, s3_server: S3Server):
    wire = Wire(s3_server.endpoint)
    store = open_s3(endpoint=wire.endpoint, retry_s=0.1)
    digest = store.put_bytes(b"content")
    wire.close()
    assert store.get_bytes(digest) == b"content"
    assert store.find_missing([digest], near_is_enough=True) == []
    with pytest.raises(Unavailable):
        store.has(digest)


@pytest.mark.parametrize("act", ["put", "get", "list", "has"])
def test_a_storage_that_is_away_is_told_in_a_sentence(
    open_s3: OpenS3, act: str, capfd: pytest.CaptureFixture[str]
):
    store = open_s3(endpoint="http://127.0.0.1:1", retry_s=0.1)
    acts: dict[str, Callable[[], object]] = {
        "put": lambda: store.put_bytes(b"content"),
        "get": lambda: store.get_path("0" * 64),
        "list": lambda: list(store.list_blobs()),
        "has": lambda: store.has("0" * 64),
    }
    with pytest.raises(Unavailable) as refusal:
        acts[act]()
    assert refusal.value.code == "storage.unavailable"
    assert f"s3://{BUCKET}/" in refusal.value.message
    assert "onnection refused" in refusal.value.message
    assert "RAVEN_STORAGE_URL" in refusal.value.hint
    assert_no_secret(refusal.value, capfd)


def test_a_wrong_key_is_refused_and_never_shown(open_s3: OpenS3, capfd: pytest.CaptureFixture[str]):
    store = open_s3(secret_key=SecretStr("another-horse-battery-staple"))
    with pytest.raises(Unavailable) as refusal:
        store.put_bytes(b"content")
    assert refusal.value.code == "storage.refused"
    assert "AWS_SECRET_ACCESS_KEY" in refusal.value.hint
    assert "another-horse" not in repr(refusal.value.describe())
    assert_no_secret(refusal.value, capfd)


def test_a_key_that_is_missing_is_told(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    origin = S3Origin(BUCKET, endpoint=s3_server.endpoint, retry_s=0.1)
    with pytest.raises(Unavailable) as refusal:
        origin.has("0" * 64)
    assert refusal.value.code == "storage.refused"
    assert "no key" in refusal.value.message
    assert "RAVEN_STORAGE_ACCESS_KEY" in refusal.value.hint


def assert_no_secret(error: RavenError, capfd: pytest.CaptureFixture[str]) -> None:
    written = capfd.readouterr()
    for text in (repr(error), repr(error.describe()), repr(error.__cause__), written.out, written.err):
        assert SECRET_KEY not in text
        assert "another-horse" not in text
        assert ACCESS_KEY not in text


def test_a_bucket_that_is_not_there(open_s3: OpenS3):
    store = open_s3(bucket="no-such-bucket")
    for act in (lambda: store.put_bytes(b"content"), lambda: list(store.list_blobs())):
        with pytest.raises(Unavailable) as refusal:
            act()
        assert "no such bucket" in refusal.value.message


def test_a_server_that_comes_back_is_waited_for(tmp_path: Path):
    server = S3Server(tmp_path / "s3")
    server.start()
    try:
        origin = S3Origin(
            BUCKET,
            endpoint=server.endpoint,
            access_key=SecretStr(ACCESS_KEY),
            secret_key=SecretStr(SECRET_KEY),
            retry_s=60.0,
        )
        store = RemoteBlobStore(origin, BlobCache(tmp_path / "cache", 1 << 30))
        server.stop()
        found: list[str] = []
        putter = threading.Thread(target=lambda: found.append(store.put_bytes(b"content")))
        putter.start()
        server.start()
        putter.join(60)
        assert found == [make_digest(b"content")]
        assert store.verify(found[0])
    finally:
        server.stop()


def test_a_download_that_breaks_off_goes_on(open_s3: OpenS3, s3_server: S3Server):
    content = os.urandom(GREAT)
    digest = open_s3("here").put_bytes(content)
    wire = Wire(s3_server.endpoint, cuts=2, cut_after_bytes=4 << 20)
    try:
        assert open_s3("there", endpoint=wire.endpoint).get_bytes(digest) == content
    finally:
        wire.close()
    assert wire.cut_count == 2


KILLED = """
import sys
from pathlib import Path
from pydantic import SecretStr
from raven_scan.storage.blob_cache import BlobCache
from raven_scan.storage.remote_blobs import RemoteBlobStore
from raven_scan.storage.s3_origin import S3Origin
endpoint, bucket, prefix, key, secret, cache, path = sys.argv[1:]
origin = S3Origin(bucket, prefix, endpoint=endpoint, access_key=SecretStr(key), secret_key=SecretStr(secret))
RemoteBlobStore(origin, BlobCache(Path(cache), 1 << 30)).put_file(Path(path))
"""


def test_an_upload_that_is_killed_leaves_no_blob(
    origin: S3Origin, open_s3: OpenS3, s3_server: S3Server, s3_prefix: str, tmp_path: Path
):
    content = os.urandom(GREAT)
    (tmp_path / "great").write_bytes(content)
    wire = Wire(s3_server.endpoint, hold_after_bytes=GREAT // 2)
    arguments = [
        wire.endpoint,
        BUCKET,
        s3_prefix,
        ACCESS_KEY,
        SECRET_KEY,
        tmp_path / "killed",
        tmp_path / "great",
    ]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *map(str, arguments)])
    try:
        assert wire.held.wait(60)
        process.send_signal(signal.SIGKILL)
        process.wait()
    finally:
        process.kill()
        process.wait()
        wire.close()
    assert not origin.has(make_digest(content))
    assert list(origin.list_blobs()) == []
    assert open_s3("killed").put_file(tmp_path / "great") == make_digest(content)
    assert open_s3("other").get_bytes(make_digest(content)) == content


def test_damage_in_the_storage_is_told_and_never_used(origin: S3Origin, open_s3: OpenS3, tmp_path: Path):
    digest = make_digest(b"content")
    (tmp_path / "other").write_bytes(b"another content")
    origin.upload(digest, tmp_path / "other")
    store = open_s3()
    assert not store.verify(digest)
    for use in (
        lambda: store.get_path(digest),
        lambda: store.link_files([(digest, str(tmp_path / "link"))]),
    ):
        with pytest.raises(Unavailable) as refusal:
            use()
        assert refusal.value.code == "storage.damaged"
        assert refusal.value.parameters == {"digest": digest}
    assert not (tmp_path / "link").exists()
    assert count_blobs(tmp_path / "cache") == 0


def test_who_puts_waits_for_a_removal_and_puts_anew(origin: S3Origin, tmp_path: Path):
    """The one interleaving that could lose a blob: it is found, removed, and named."""
    (tmp_path / "file").write_bytes(b"content")
    digest = make_digest(b"content")
    origin.upload(digest, tmp_path / "file")
    origin._store.put(f"removing/{digest}", b"")
    putter = threading.Thread(target=origin.upload, args=(digest, tmp_path / "file"))
    putter.start()
    deadline = time.monotonic() + 20
    while origin._find(f"refreshed/{digest}", digest) is None:
        assert time.monotonic() < deadline
    assert putter.is_alive()
    origin.remove(digest)
    origin._delete(f"removing/{digest}")
    putter.join(20)
    assert b"".join(origin.read(digest)) == b"content"


def test_who_removes_gives_way_to_who_has_put(origin: S3Origin, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"content")
    digest = make_digest(b"content")
    origin.upload(digest, tmp_path / "file")
    stored = origin.find_facts(digest)
    assert stored is not None
    than = stored.modified_at + timedelta(seconds=1)
    deadline = time.monotonic() + 20
    while True:
        origin.upload(digest, tmp_path / "file")
        facts = origin.find_facts(digest)
        assert facts is not None
        if facts.modified_at >= than:
            break
        assert time.monotonic() < deadline
    assert not origin.remove_if_older(digest, than)
    assert origin.has(digest)
    later = datetime.now(UTC) + timedelta(days=1)
    assert origin.remove_leftovers(later, dry_run=True).count == 1
    assert origin.remove_leftovers(later, dry_run=False).count == 1
    assert origin.remove_leftovers(later, dry_run=False).count == 0
    assert origin.has(digest)


def test_the_cache_keeps_its_limit_and_what_is_linked(origin: S3Origin, tmp_path: Path):
    cache = BlobCache(tmp_path / "cache", 1_000_000, spared_for=timedelta(0))
    store = RemoteBlobStore(origin, cache)
    contents = [os.urandom(100_000) for _ in range(30)]
    first = store.put_bytes(contents[0])
    store.link_files([(first, str(tmp_path / "link"))])
    digests = [first, *(store.put_bytes(content) for content in contents[1:])]
    assert count_blobs(tmp_path / "cache") <= 10
    assert cache.blobs.has(first)
    assert not cache.blobs.has(digests[1])
    assert [store.get_bytes(digest) for digest in digests] == contents
    assert count_blobs(tmp_path / "cache") <= 11
    (tmp_path / "link").unlink()
    cache.evict()
    for digest in digests[1:12]:
        store.get_path(digest)
    assert not cache.blobs.has(first)


def test_what_was_used_last_leaves_the_cache_last(origin: S3Origin, tmp_path: Path):
    cache = BlobCache(tmp_path / "cache", 1_000_000, spared_for=timedelta(0))
    store = RemoteBlobStore(origin, cache)
    often = store.put_bytes(os.urandom(100_000))
    for _ in range(30):
        store.put_bytes(os.urandom(100_000))
        assert cache.blobs.has(often)
        store.get_path(often)


def test_what_was_just_used_stays_beyond_the_limit(origin: S3Origin, tmp_path: Path):
    store = RemoteBlobStore(origin, BlobCache(tmp_path / "cache", 1_000_000))
    paths = [store.get_path(store.put_bytes(os.urandom(100_000))) for _ in range(30)]
    assert all(path.exists() for path in paths)


def test_a_share_that_is_not_mounted_is_told(tmp_path: Path):
    store = RemoteBlobStore(FolderOrigin(tmp_path / "share"), BlobCache(tmp_path / "cache", 1 << 20))
    with pytest.raises(Unavailable) as refusal:
        store.put_bytes(b"content")
    assert refusal.value.code == "storage.unavailable"
    assert not (tmp_path / "share").exists()
    (tmp_path / "share").mkdir()
    digest = store.put_bytes(b"content")
    assert (tmp_path / "share" / digest[:2] / digest[2:4] / digest).read_bytes() == b"content"


def test_the_settings_open_each_kind(settings: Settings, s3_server: S3Server, s3_prefix: str, tmp_path: Path):
    def put(**given: object) -> str:
        return open_blob_store(settings.model_copy(update=given)).put_bytes(b"content")

    digest = put()
    assert (settings.home / "blobs" / digest[:2] / digest[2:4] / digest).exists()
    (tmp_path / "a share").mkdir()
    put(storage_url=(tmp_path / "a share").as_uri())
    assert (tmp_path / "a share" / digest[:2] / digest[2:4] / digest).exists()
    s3 = {
        "storage_url": f"s3://{BUCKET}/{s3_prefix}/",
        "storage_endpoint": s3_server.endpoint,
        "storage_access_key": SecretStr(ACCESS_KEY),
        "storage_secret_key": SecretStr(SECRET_KEY),
        "storage_cache_folder": tmp_path / "elsewhere",
    }
    put(**s3)
    assert count_blobs(tmp_path / "elsewhere") == 1
    assert count_blobs(settings.home / "cache") == 1  # of the share
    for wrong in (
        {**s3, "storage_secret_key": None},
        {"storage_url": f"s3://{ACCESS_KEY}:{SECRET_KEY}@{BUCKET}"},
        {"storage_url": "s3://"},
        {"storage_url": "ftp://host/folder"},
        {"storage_url": "file://host/folder"},
        {"storage_url": "file:///"},
        {"storage_url": str(tmp_path)},
    ):
        with pytest.raises(Invalid) as refusal:
            put(**wrong)
        assert SECRET_KEY not in repr(refusal.value.describe())


def test_amazons_variables_name_the_key(
    settings: Settings, s3_server: S3Server, s3_prefix: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    store = open_blob_store(settings.model_copy(update={"storage_url": f"s3://{BUCKET}/{s3_prefix}"}))
    assert store.verify(store.put_bytes(b"content"))
