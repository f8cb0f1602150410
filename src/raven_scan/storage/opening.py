"""Opens the blob store that the settings name."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blob_cache import BlobCache
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.blobs import LocalBlobStore
from raven_scan.storage.origins import BlobOrigin, FolderOrigin
from raven_scan.storage.remote_blobs import RemoteBlobStore

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")


def open_blob_store(settings: Settings) -> BlobStore:
    """The folder in the data folder, or the storage that RAVEN_STORAGE_URL names; that one is not asked yet.

    Raises:
        Invalid: the settings of the storage do not go together.
    """
    if settings.storage_url is None:
        return LocalBlobStore(settings.blobs_folder)
    origin = _open_origin(settings, settings.storage_url)
    return RemoteBlobStore(origin, BlobCache(settings.blob_cache_folder, settings.storage_cache_bytes))


def _open_origin(settings: Settings, url: str) -> BlobOrigin:
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.strip("/"):
        return FolderOrigin(Path(unquote(parts.path)))
    if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or parts.query or parts.fragment:
        # The address itself stays unsaid: it may hold a key.
        raise Invalid(
            "settings.invalid",
            "RAVEN_STORAGE_URL is no address of a storage.",
            hint="Write it as s3://bucket/prefix, or as file:///mnt/share/raven.",
        )
    if (settings.storage_access_key is None) != (settings.storage_secret_key is None):
        raise Invalid(
            "settings.invalid",
            "Of RAVEN_STORAGE_ACCESS_KEY and RAVEN_STORAGE_SECRET_KEY only one is set.",
            hint="Set both, or neither and AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY.",
        )
    from raven_scan.storage.s3_origin import S3Origin  # noqa: PLC0415 - a local store needs no S3

    return S3Origin(
        parts.netloc,
        parts.path.strip("/"),
        endpoint=settings.storage_endpoint,
        region=settings.storage_region,
        access_key=settings.storage_access_key,
        secret_key=settings.storage_secret_key,
    )
