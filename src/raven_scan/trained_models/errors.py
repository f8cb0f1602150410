"""Why something about a trained model is refused."""

from collections.abc import Sequence
from difflib import get_close_matches
from uuid import UUID

from raven_scan.kernel.dependents import Use
from raven_scan.kernel.errors import Conflict, Invalid, NotFound, RavenError

_SHOWN_VERSIONS = 5


def make_not_found(ref: str | UUID) -> RavenError:
    return NotFound(
        "trained_model.not_found",
        f"There is no trained model {str(ref)[:100]!r}.",
        hint="The list of trained models shows the names: `raven models list`.",
        parameters={"ref": ascii(str(ref)[:100])},
    )


def make_name_taken(name: str, *, hint: str = "Choose another name.") -> RavenError:
    return Conflict(
        "trained_model.name_taken",
        f"There is a trained model named {name!r} already.",
        hint=hint,
        parameters={"name": name},
    )


def make_unknown_architecture(name: str, known: list[str]) -> RavenError:
    close = get_close_matches(name, known, n=1)
    return Invalid(
        "trained_model.unknown_architecture",
        f"There is no architecture {name[:100]!r}.",
        hint=(f"Did you mean {close[0]}? " if close else "") + f"Known are: {', '.join(known)}.",
        parameters={"architecture": name[:100].encode("ascii", "backslashreplace").decode(), "known": known},
    )


def make_is_builtin(name: str, verb: str) -> RavenError:
    """`verb`: what was asked, such as `deleted`."""
    return Conflict(
        "trained_model.is_builtin",
        f"The trained model {name!r} is builtin, and cannot be {verb}.",
        hint="It is an architecture's starting weights, and takes no room.",
        parameters={"name": name},
    )


def make_is_published(name: str, versions: Sequence[Use] = ()) -> RavenError:
    """`versions`: of published names, that stand for it."""
    shown = ", ".join(f"{use.name} ({use.note})" for use in versions[:_SHOWN_VERSIONS])
    if len(versions) > _SHOWN_VERSIONS:
        shown += f" and {len(versions) - _SHOWN_VERSIONS} more"
    return Conflict(
        "trained_model.is_published",
        f"The trained model {name!r} is published{f' as {shown}' if shown else ''}: detection may ask for it.",
        hint=f"Withdraw it first: `raven models withdraw {versions[0].name if versions else 'NAME'} --reason …`",
        parameters={"name": name, "versions": [use.name for use in versions]},
    )


def make_no_file(name: str, file: str) -> RavenError:
    return NotFound(
        "trained_model.no_file",
        f"The trained model {name!r} has no {file}.",
        hint="A builtin model has no files, an imported one has weights, and one that was trained has both.",
        parameters={"name": name, "file": file},
    )
