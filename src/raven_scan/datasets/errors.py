"""What the service says when a dataset is not there."""

from raven_scan.kernel.errors import NotFound


def make_dataset_missing(ref: str) -> NotFound:
    return NotFound(
        "dataset.not_found",
        f"There is no dataset {ref!r}.",
        hint="`raven datasets list` shows all of them.",
        parameters={"dataset": ref},
    )


def make_version_missing(ref: str, newest: int) -> NotFound:
    return NotFound(
        "dataset.version_not_found",
        f"There is no version {ref!r}; the newest is {newest}.",
        hint="`raven datasets show NAME` shows its versions.",
        parameters={"dataset": ref},
    )
