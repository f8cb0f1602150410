"""The folder that holds everything of the embedded server, and who may enter it."""

import json
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raven_scan.kernel.errors import RavenError, Unavailable, make_error

MAJOR_VERSION = "18"
SOCKET_NAME = ".s.PGSQL.5432"

# sockaddr_un's path is 108 bytes with its closing zero.
_LONGEST_SOCKET_PATH_BYTES = 107


@dataclass(frozen=True)
class StateFolder:
    """`<home>/postgres`, mode 0700; its `data` may belong to another user (see `run_as`), nothing else."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def log_file(self) -> Path:
        return self.root / "server.log"

    @property
    def holders_file(self) -> Path:
        return self.root / "holders.json"

    @property
    def operations_lock(self) -> Path:
        """Held during each change of who holds the server, and while it is being stopped."""
        return self.root / "operations.lock"

    @property
    def guardian_lock(self) -> Path:
        """Held by the guardian as long as it lives."""
        return self.root / "guardian.lock"

    @property
    def server_lock(self) -> Path:
        """Held by PostgreSQL's processes, as long as one of them lives."""
        return self.root / "server.lock"

    @property
    def bell(self) -> Path:
        """A pipe with a name: a byte in it makes the guardian look at the holders."""
        return self.root / "bell"

    @property
    def _failure_file(self) -> Path:
        return self.root / "failure.json"

    @property
    def _password_file(self) -> Path:
        return self.root / "password"

    @property
    def _socket_folder_file(self) -> Path:
        return self.root / "socket_folder"

    def prepare(self) -> None:
        """Makes what is missing, admits only the owner, and refuses a folder that cannot be trusted.

        Raises:
            Unavailable: it cannot be made, or belongs to somebody else.
        """
        try:
            prepare_home(self.root.parent)
            with suppress(FileExistsError):
                self.root.mkdir(mode=0o700)
            found = self.root.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                raise Unavailable(
                    "database.folder_not_ours",
                    f"{self.root} is not a folder of the user who runs this.",
                    hint="Run as the user whose folder it is, or set RAVEN_HOME to another folder.",
                    parameters={"folder": str(self.root), "owner_uid": found.st_uid},
                )
            if stat.S_IMODE(found.st_mode) != 0o700:
                _narrow(self.root)
            with suppress(FileExistsError):
                os.mkfifo(self.bell, 0o600)
        except OSError as error:
            raise make_folder_error(self.root, error) from error

    def check_version(self) -> None:
        """Refuses data of another major version, which PostgreSQL cannot read.

        Raises:
            Unavailable: that is what is there.
        """
        with suppress(FileNotFoundError):
            found = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
            if found != MAJOR_VERSION:
                raise Unavailable(
                    "database.other_version",
                    f"The database in {self.data} was made by PostgreSQL {found}; "
                    f"this release comes with PostgreSQL {MAJOR_VERSION}. Nothing was changed.",
                    hint="Use the release that made it to dump it, or set RAVEN_HOME to another folder.",
                    parameters={"folder": str(self.data), "found": found, "needed": MAJOR_VERSION},
                )

    def read_password(self) -> str:
        try:
            return self._password_file.read_text(encoding="ascii")
        except FileNotFoundError:
            raise Unavailable(
                "database.password_missing",
                f"The embedded database's password is gone: {self._password_file} does not exist.",
                hint="Restore that file from the backup that holds the data folder.",
                parameters={"file": str(self._password_file)},
            ) from None

    def make_password(self) -> str:
        """The password that a first start gave, or a new one."""
        if not self._password_file.exists():
            write_file(self._password_file, secrets.token_urlsafe(32))
        return self.read_password()

    def write_failure(self, error: RavenError) -> None:
        write_file(self._failure_file, json.dumps(error.describe()))

    def find_failure(self) -> RavenError | None:
        """Why the last guardian gave up."""
        try:
            return make_error(json.loads(self._failure_file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def forget_failure(self) -> None:
        self._failure_file.unlink(missing_ok=True)

    def read_log_tail(self, *, from_byte: int = 0, lines: int = 12) -> list[str]:
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(from_byte, log.seek(0, os.SEEK_END) - 8192))
                return log.read().decode(errors="replace").splitlines()[-lines:]
        except FileNotFoundError:
            return []

    def prepare_socket_folder(self, server_uid: int) -> str:
        """Where the server shall listen: in its data folder, or in a short one where its path is too long.

        $XDG_RUNTIME_DIR would be removed at the user's logout, under a server that goes on; so it is /tmp.
        The folder's name is drawn at random once and kept, so that nobody can be there first. One that was
        removed is made again; one that somebody else has made meanwhile is given up for a new name.

        Returns:
            As PostgreSQL's `unix_socket_directories`; `.` is the data folder.
        """
        socket = os.fsencode(self.data / SOCKET_NAME)
        # libpq takes a comma for the end of a host, and a colon for the start of a port in some places.
        if (
            len(socket) <= _LONGEST_SOCKET_PATH_BYTES
            and not set(b",:") & set(socket)
            and _takes_sockets(self)
        ):
            self._socket_folder_file.unlink(missing_ok=True)
            return "."
        kept = self.find_short_socket_folder()
        if kept is None or not _claim_folder(kept, server_uid):
            kept = Path(tempfile.mkdtemp(prefix=f"raven-{os.geteuid()}-", dir="/tmp"))
            write_file(self._socket_folder_file, f"{self.root.stat().st_ino} {kept}")
            os.chown(kept, server_uid, -1)
        return str(kept)

    def find_short_socket_folder(self) -> Path | None:
        """None where the server listens in its data folder."""
        try:
            inode, _, folder = self._socket_folder_file.read_text(encoding="utf-8").partition(" ")
        except FileNotFoundError:
            return None
        # A copy of a home must not take the original's socket.
        return Path(folder) if inode == str(self.root.stat().st_ino) else None


def prepare_home(home: Path) -> None:
    """Makes the home, which admits only its owner.

    A folder that exists is narrowed while it is empty. One that already holds something was not made for us
    (think of a home set to /var/lib): it is left as it is, and what we put in it admits only its owner.
    """
    try:
        home.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if home.stat().st_uid == os.geteuid() and not any(home.iterdir()):
            home.chmod(0o700)


def write_file(path: Path, text: str) -> None:
    """Writes to a temporary name, mode 0600, and renames; whoever reads sees the old or the new.

    The temporary name is fixed, so that kills leave no heap of them: callers hold the lock that guards it.
    """
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def make_folder_error(folder: Path, error: OSError) -> Unavailable:
    """The refusal of a folder that does not do what the server needs of it."""
    parameters: dict[str, Any] = {"folder": str(folder), "filesystem": _find_filesystem(folder)}
    return Unavailable(
        "database.folder_unusable",
        f"The embedded database cannot live in {folder} (filesystem {parameters['filesystem']}): "
        f"{error.strerror or error}.",
        hint="Set RAVEN_HOME to a folder on a local disk that keeps permissions and locks and has room, "
        "or RAVEN_DATABASE_URL to a PostgreSQL server.",
        parameters=parameters,
    )


def _narrow(folder: Path) -> None:
    folder.chmod(0o700)
    if stat.S_IMODE(folder.stat().st_mode) != 0o700:
        raise OSError(0, "it does not keep permissions")


def _claim_folder(folder: Path, server_uid: int) -> bool:
    """Makes the folder, or takes it where it is ours and admits nobody else."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        os.chown(folder, server_uid, -1)
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700
    return private and found.st_uid == server_uid


def _takes_sockets(state: StateFolder) -> bool:
    """Whether the filesystem can hold sockets; some that a container mounts cannot."""
    probe = state.root / ".socket-probe"
    try:
        probe.unlink(missing_ok=True)
        os.mknod(probe, stat.S_IFSOCK | 0o600)
        probe.unlink()
    except OSError:
        return False
    return True


def _find_filesystem(folder: Path) -> str:
    """Type of the filesystem that the folder is, or would be, on."""
    existing = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
    device = existing.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == number:
            return kind.split()[0]
    return "unknown"
