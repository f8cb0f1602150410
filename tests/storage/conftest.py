"""A store of every kind, on a real S3 server where it needs one."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.storage.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server

from raven_scan.storage.blob_cache import BlobCache
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.blobs import LocalBlobStore
from raven_scan.storage.origins import FolderOrigin
from raven_scan.storage.remote_blobs import RemoteBlobStore
from raven_scan.storage.s3_origin import S3Origin

OpenS3 = Callable[..., RemoteBlobStore]


@pytest.fixture
def open_s3(s3_server: S3Server, s3_prefix: str, tmp_path: Path) -> OpenS3:
    """Opens the test's part of the bucket, as often as wanted, each time with a cache of its own name."""

    def open_store(cache: str = "cache", cache_bytes: int = 1 << 30, **options: object) -> RemoteBlobStore:
        given = {
            "endpoint": s3_server.endpoint,
            "access_key": SecretStr(ACCESS_KEY),
            "secret_key": SecretStr(SECRET_KEY),
            "retry_s": 20.0,
            "refresh_after": timedelta(0),
            **options,
        }
        bucket = str(given.pop("bucket", BUCKET))
        origin = S3Origin(bucket, s3_prefix, **given)  # pyright: ignore[reportArgumentType]
        return RemoteBlobStore(origin, BlobCache(tmp_path / cache, cache_bytes))

    return open_store


@pytest.fixture(params=["local", "s3", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "local":
        return LocalBlobStore(tmp_path / "blobs")
    if request.param == "s3":
        return request.getfixturevalue("open_s3")()
    share = tmp_path / "share"
    share.mkdir()
    return RemoteBlobStore(FolderOrigin(share), BlobCache(tmp_path / "cache", 1 << 30))
