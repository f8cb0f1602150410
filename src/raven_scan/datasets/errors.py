"""What the service says when a dataset is not there."""

from raven_scan.kernel.errors import Conflict, Damaged, NotFound


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


def make_name_taken(name: str, *, hint: str = "Choose another name.") -> Conflict:
    return Conflict(
        "dataset.name_taken",
        f"There is a dataset named {name!r} already.",
        hint=hint,
        parameters={"name": name},
    )


def make_only_version(full_name: str, name: str) -> Conflict:
    return Conflict(
        "dataset.only_version",
        f"{full_name} is the only version of its dataset.",
        hint=f"Delete the dataset: `raven datasets delete {name}`.",
        parameters={"dataset": name},
    )


def make_dataset_in_trash(full_name: str) -> Conflict:
    return Conflict(
        "dataset.dataset_in_trash",
        f"The dataset of {full_name} is in the trash itself.",
        hint="Restore the dataset first.",
        parameters={"dataset": full_name},
    )


def make_files_lost(full_name: str, count: int) -> Conflict:
    return Conflict(
        "dataset.files_missing",
        f"Of the images of {full_name}, {count} are not in the blob store.",
        hint="Restore them from a backup, or import the dataset again from its source.",
        parameters={"dataset": full_name, "missing_count": count},
    )


def make_image_not_found(full_name: str, digest: str) -> NotFound:
    return NotFound(
        "dataset.image_not_found",
        f"{full_name} has no image with the digest {digest[:100]!r}.",
        hint="Galleries of evaluations tell digests of images.",
        parameters={"dataset": full_name, "digest": ascii(digest[:100])},
    )


def make_image_damaged(digest: str, why: str) -> Damaged:
    return Damaged(
        "dataset.image_damaged",
        f"The image {digest} cannot be read: {why}.",
        hint="Restore it from a backup; `raven doctor` looks for others.",
        parameters={"digest": digest},
    )
