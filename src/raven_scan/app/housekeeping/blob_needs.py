"""Which blobs the database names."""

from raven_scan.access.types import WORKER
from raven_scan.app.wiring import Platform


def list_needed_blobs(platform: Platform, *, allow_lost: bool = False) -> set[str]:
    """Digests of all blobs that datasets, models and runs need, in the caller's transaction where there is one.

    Args:
        platform: whose.
        allow_lost: leave out what only a table names that is itself lost.

    Raises:
        NotFound: a table of a dataset's images is lost.
    """
    return (
        platform.datasets.list_blob_digests(WORKER, allow_lost=allow_lost)
        | platform.trained_models.list_blob_digests(WORKER)
        | set(platform.recovery.list_blob_digests(WORKER))
    )
