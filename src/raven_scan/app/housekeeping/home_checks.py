"""Looks at the settings, the data folder and its disk."""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from raven_scan.app.access_token import find_token, get_token_file
from raven_scan.app.housekeeping.checks import (
    Check,
    format_size,
    make_error,
    make_ok,
    make_repaired,
    make_warning,
)
from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.settings import Settings

_ERROR_FREE_BYTES = 1 << 30
_WARNING_FREE_BYTES = 10 << 30
_WARNING_FREE_FILES = 0.02

_OTHER_VARIABLES = frozenset({"RAVEN_JSON"})
_OUR_NAMES = frozenset({"postgres", "blobs", "runs", "work", "uploads", "downloads", "cache", "token"})


def check_variables(environment: Mapping[str, str]) -> Iterator[Check]:
    """A variable with a slip of the pen in its name is ignored, which nobody notices."""
    known = {f"RAVEN_{name.upper()}" for name in Settings.model_fields} | _OTHER_VARIABLES
    unknown = sorted(name for name in environment if name.startswith("RAVEN_") and name not in known)
    for name in unknown:
        meant = get_close_matches(name, known, 1)
        yield make_warning(
            "settings",
            f"{name} is set, but there is no such setting.",
            f"Did you mean {meant[0]}?" if meant else "Unset it; docs/settings.md describes each setting.",
        )
    if not unknown:
        yield make_ok("settings", "The settings are valid.")


def check_home(settings: Settings, *, repair: bool) -> Iterator[Check]:
    """Owner and permissions of the data folder and of what is in it."""
    home = settings.home
    if not home.exists():
        yield make_ok("home", f"{home} does not exist yet; the first command that needs it makes it.")
        return
    owner = home.stat().st_uid
    if not home.is_dir() or owner != os.geteuid():
        yield make_error(
            "home",
            f"{home} is not a folder of this user (uid {os.geteuid()}), but of uid {owner}.",
            "Run as its owner, or set RAVEN_HOME to another folder.",
        )
        return
    if not os.access(home, os.W_OK | os.X_OK):
        yield make_error(
            "home", f"{home} cannot be written to.", "Mount it writable, or free its permissions."
        )
        return
    problems = [*_check_openness(home, repair=repair), *_check_token(home, repair=repair)]
    yield from problems
    if not problems:
        yield make_ok("home", f"{home} admits only its owner.")


def check_disk(folder: Path) -> Iterator[Check]:
    """Room on the disk of a folder, or of the nearest one above it that exists."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    usage = shutil.disk_usage(existing)
    message = f"{format_size(usage.free)} of {format_size(usage.total)} are free on the disk of {folder}."
    hint = "Free some space, or move the data folder to a larger disk."
    if usage.free < _ERROR_FREE_BYTES:
        yield make_error("disk", message, hint)
    elif usage.free < _WARNING_FREE_BYTES:
        yield make_warning("disk", message, hint)
    else:
        yield make_ok("disk", message)
    system = os.statvfs(existing)
    if system.f_files and system.f_favail / system.f_files < _WARNING_FREE_FILES:
        yield make_warning(
            "disk",
            f"The file system of {folder} has room for {system.f_favail} more files only.",
            "Remove files, or move the data folder to a file system with more inodes.",
        )


def _check_openness(home: Path, *, repair: bool) -> Iterator[Check]:
    folders = [path for path in sorted(home.iterdir()) if path.name in _OUR_NAMES and path.is_dir()]
    for folder in folders:
        found = folder.lstat()
        if found.st_uid != os.geteuid():
            yield make_error(
                "home",
                f"{folder} belongs to uid {found.st_uid}.",
                f"Give it back: chown -R {os.geteuid()} '{folder}'.",
            )
        elif found.st_mode & 0o077:
            yield _narrow(folder, repair=repair)
    if home.stat().st_mode & 0o077:
        # A home such as /var/lib was not made for us, and others may need to enter it.
        is_ours = all(path.name in _OUR_NAMES or path.name.startswith(".") for path in home.iterdir())
        yield _narrow(home, repair=repair and is_ours)


def _narrow(folder: Path, *, repair: bool) -> Check:
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not repair:
        return make_warning(
            "home", f"Others may enter {folder} (mode {mode:04o}).", f"Keep them out: chmod 700 '{folder}'."
        )
    folder.chmod(0o700)
    return make_repaired("home", f"Others could enter {folder} (mode {mode:04o}); now only its owner can.")


def _check_token(home: Path, *, repair: bool) -> Iterator[Check]:
    try:
        find_token(home)
    except RavenError as error:
        if not repair:
            yield make_error("home", error.message, error.hint)
            return
        get_token_file(home).unlink(missing_ok=True)
        yield make_repaired("home", f"{error.message} It was removed; `raven serve` makes a new one.")
