"""Checkpoints that are of no use any more are removed beside the work."""

import socket
import threading
import time
from pathlib import Path

from pydantic import SecretStr
from tests.app.conftest import wait_until

from raven_scan.kernel.database import Database
from raven_scan.storage.blob_cache import BlobCache
from raven_scan.storage.blobs import LocalBlobStore
from raven_scan.storage.remote_blobs import RemoteBlobStore
from raven_scan.storage.s3_origin import S3Origin
from raven_scan.training_runs.blob_removal import BlobRemover


def is_at_work() -> bool:
    return any(thread.name == "blob-remover" for thread in threading.enumerate())


def test_what_is_removed_is_gone_at_once(database: Database, tmp_path: Path):
    blobs = LocalBlobStore(tmp_path / "blobs")
    digests = [blobs.put_bytes(content) for content in (b"one", b"two")]
    BlobRemover(database, blobs).remove(digests)
    assert blobs.find_missing(digests) == digests


def test_a_storage_that_accepts_and_never_answers_holds_nobody_up(database: Database, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        origin = S3Origin(
            "bucket",
            endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}",
            region="us-east-1",
            access_key=SecretStr("key"),
            secret_key=SecretStr("secret"),
            retry_s=0.1,
        )
        remover = BlobRemover(database, RemoteBlobStore(origin, BlobCache(tmp_path / "cache", 1_000_000)))
        begun_at = time.monotonic()
        for _ in range(5):
            remover.remove(["0" * 64])
        assert time.monotonic() - begun_at < 5
        connection, _ = silent.accept()  # it was asked indeed
        assert is_at_work()
        connection.close()
    # Refused from now on: it goes through what waits, and ends.
    wait_until(lambda: not is_at_work(), "the remover's end")
