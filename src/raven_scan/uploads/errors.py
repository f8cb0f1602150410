"""Why an upload is refused."""

from raven_scan.kernel.errors import Busy, Conflict, Invalid, NotFound, Unavailable


def make_upload_unknown(ref: object) -> NotFound:
    return NotFound(
        "upload.unknown",
        f"There is no upload {str(ref)[:100]!r}.",
        hint="It may have expired: what did not go on for a day is removed. Begin a new one.",
    )


def make_too_many(count: int) -> Conflict:
    return Conflict(
        "upload.too_many",
        f"You have {count} uploads already.",
        hint="Import or delete one: GET /api/v1/uploads lists them.",
        parameters={"count": count},
    )


def make_too_large(limit_bytes: int) -> Invalid:
    return Invalid(
        "upload.too_large",
        f"The file is larger than the limit of {limit_bytes} bytes.",
        hint="Split it, or have the limit raised: RAVEN_LARGEST_ARCHIVE_BYTES.",
        parameters={"limit_bytes": limit_bytes},
    )


def make_no_space(size_bytes: int, free_bytes: int) -> Conflict:
    """No failure of the server, and it does not pass: nothing was begun."""
    return Conflict(
        "upload.no_space",
        f"The file has {size_bytes} bytes, and the server has room for {free_bytes}.",
        hint="Free some space on the server.",
        parameters={"size_bytes": size_bytes, "free_bytes": free_bytes},
    )


def make_longer_than_told(size_bytes: int) -> Invalid:
    return Invalid(
        "upload.longer_than_told",
        f"More than the {size_bytes} bytes came that the upload was begun with.",
        hint="Delete it, and begin a new one with the right size.",
        parameters={"size_bytes": size_bytes},
    )


def make_wrong_offset(offset_bytes: int, given_bytes: int) -> Conflict:
    return Conflict(
        "upload.wrong_offset",
        f"The upload goes on at byte {offset_bytes}, not {given_bytes}.",
        hint="Send what comes from there on.",
        parameters={"offset_bytes": offset_bytes},
    )


def make_in_use(id_: object) -> Busy:
    return Busy(
        "upload.in_use",
        "Another request writes or reads this upload.",
        hint="Wait for it to end, then ask how far the upload has come.",
        parameters={"id": str(id_)},
    )


def make_not_whole(offset_bytes: int, size_bytes: int | None) -> Conflict:
    whole = "" if size_bytes is None else f" of {size_bytes}"
    return Conflict(
        "upload.not_whole",
        f"The upload is not finished: {offset_bytes}{whole} bytes came.",
        hint="Send the rest, then complete it with its SHA-256.",
        parameters={"offset_bytes": offset_bytes, "size_bytes": size_bytes},
    )


def make_complete_already() -> Conflict:
    return Conflict(
        "upload.complete",
        "The upload is complete; nothing can be added.",
        hint="Import it, or begin another.",
    )


def make_checksum_wrong(expected: str, found: str) -> Conflict:
    return Conflict(
        "upload.checksum_wrong",
        "What arrived is not what was sent: its SHA-256 is another.",
        hint="Delete the upload and send the file anew.",
        parameters={"expected": expected, "found": found},
    )


def make_wrong_purpose(purpose: str, needed: str) -> Invalid:
    return Invalid(
        "upload.wrong_purpose",
        f"The upload is for a {purpose}, not for a {needed}.",
        hint=f"Begin an upload with the purpose {needed}.",
    )


def make_not_stored(error: OSError) -> Unavailable:
    return Unavailable(
        "upload.not_stored",
        f"The server could not store what was sent: {error.strerror or error}.",
        hint="Free some space on the server; the upload goes on from where it was.",
    )
