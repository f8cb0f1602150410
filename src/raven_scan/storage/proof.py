"""Proves that a blob is what it was."""

from raven_scan.kernel.verification import Verdict
from raven_scan.storage.blob_store import BlobStore


def prove_blob(blobs: BlobStore, digest: str) -> Verdict:
    """Reads the blob whole."""
    try:
        if blobs.verify(digest):
            return Verdict.GOOD
    except OSError:
        return Verdict.DAMAGED  # a disk that cannot read it
    return Verdict.DAMAGED if blobs.has(digest) else Verdict.MISSING
