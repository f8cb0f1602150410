"""Why something about a package or a key is refused."""

from raven_scan.kernel.errors import Busy, Conflict, Damaged, Forbidden, Invalid, NotFound, RavenError

_NOTHING = "and nothing was stored"
_ASK_AGAIN = "Ask whoever sent it for the package as it was exported."


def make_not_a_package(problem: str) -> RavenError:
    return Invalid(
        "package.not_a_package",
        f"The file is no package of a model, {_NOTHING}: {problem}.",
        hint="Give a zip that `raven models export` wrote, unchanged.",
    )


def make_damaged_archive(problem: str) -> RavenError:
    return Invalid(
        "package.damaged_archive",
        f"The package is refused, {_NOTHING}: it is no zip, or a damaged one ({problem}).",
        hint="Copy or download it again.",
    )


def make_unsafe_archive(problem: str) -> RavenError:
    return Invalid(
        "package.unsafe_archive",
        f"The package is refused, {_NOTHING}: {problem}, as no exported one has.",
        hint=_ASK_AGAIN,
    )


def make_too_large(what: str, limit_bytes: int) -> RavenError:
    return Invalid(
        "package.too_large",
        f"The package is refused, {_NOTHING}: {what} has more than {limit_bytes} bytes.",
        hint=_ASK_AGAIN,
        parameters={"limit_bytes": limit_bytes},
    )


def make_newer_format(number: int, read_by: str, newest: int) -> RavenError:
    return Invalid(
        "package.newer_format",
        f"The package is of format {number}, {_NOTHING}: this release reads formats up to {newest}.",
        hint=f"Upgrade Raven Scan to {read_by} or later, which reads it."
        if read_by
        else "Upgrade Raven Scan to the release that wrote it.",
        parameters={"format": number, "read_by": read_by, "newest": newest},
    )


def make_bad_content(file: str, problem: str) -> RavenError:
    return Invalid(
        "package.bad_content",
        f"The package is refused, {_NOTHING}: its {file} cannot be used: {problem}.",
        hint=_ASK_AGAIN,
        parameters={"file": file},
    )


def make_unknown_signer(fingerprint: str, public_key: str) -> RavenError:
    return Forbidden(
        "package.unknown_signer",
        f"The package is signed by a stranger, {_NOTHING}: the key {fingerprint} is not trusted here.",
        hint="Ask whoever sent it for their public key by another way (`raven keys show` there), compare the"
        " fingerprint, then have an administrator trust it: raven keys trust KEY --name NAME.",
        parameters={"fingerprint": fingerprint, "public_key": public_key},
    )


def make_key_revoked(fingerprint: str, name: str, since: str) -> RavenError:
    return Forbidden(
        "package.key_revoked",
        f"The package is signed with a key that was revoked, {_NOTHING}: {name!r} ({fingerprint}), on {since}.",
        hint="Ask whoever sent it to sign it with a key that is trusted.",
        parameters={"fingerprint": fingerprint, "name": name},
    )


def make_signature_wrong(fingerprint: str) -> RavenError:
    return Damaged(
        "package.signature_wrong",
        f"The package was changed, {_NOTHING}: its manifest is not what the key {fingerprint} signed.",
        hint=_ASK_AGAIN,
        parameters={"fingerprint": fingerprint},
    )


def make_file_missing(file: str) -> RavenError:
    return Damaged(
        "package.file_missing",
        f"The package lacks a file, {_NOTHING}: {file}.",
        hint=_ASK_AGAIN,
        parameters={"file": file},
    )


def make_file_unexpected(file: str) -> RavenError:
    return Damaged(
        "package.file_unexpected",
        f"The package has a file that nobody signed, {_NOTHING}: {file}.",
        hint=_ASK_AGAIN,
        parameters={"file": file},
    )


def make_file_changed(file: str) -> RavenError:
    return Damaged(
        "package.file_changed",
        f"The package was changed, {_NOTHING}: {file} is not what was signed.",
        hint=_ASK_AGAIN,
        parameters={"file": file},
    )


def make_weights_changed(model_name: str) -> RavenError:
    return Damaged(
        "package.weights_damaged",
        f"The stored weights of {model_name!r} are not what they were; nothing was exported.",
        hint="Restore them from a backup.",
        parameters={"name": model_name},
    )


def make_bad_stored_configuration() -> RavenError:
    return Damaged(
        "package.configuration_damaged",
        "The model's stored configuration is not what was stored, or none of a training here; nothing was exported.",
        hint="Restore it from a backup: `raven models verify` tells what else is damaged.",
    )


def make_not_made(model_name: str) -> RavenError:
    return NotFound(
        "package.not_made",
        f"There is no such package of {model_name!r}: one is kept for a day after it was made.",
        hint="Make it again: `raven models export`, or POST …/package.",
        parameters={"name": model_name},
    )


def make_bad_key() -> RavenError:
    return Invalid(
        "package_key.bad_key",
        "This is no public Ed25519 key.",
        hint="Give the line that `raven keys show` prints there (ssh-ed25519 …), or a file that holds it.",
    )


def make_key_not_found(ref: str) -> RavenError:
    return NotFound(
        "package_key.not_found",
        f"No key {ref[:100]!r} is trusted here.",
        hint="The list shows their names: raven keys list.",
        parameters={"ref": ascii(ref[:100])},
    )


def make_key_changes() -> RavenError:
    return Busy(
        "package_key.changes",
        "The platform's own key is revoked again and again.",
        hint="Try again.",
    )


def make_key_taken(name: str, problem: str, hint: str) -> RavenError:
    return Conflict("package_key.taken", problem, hint=hint, parameters={"name": name})
