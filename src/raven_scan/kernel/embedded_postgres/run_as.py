"""As whom PostgreSQL runs. It refuses user id 0, and initdb refuses a user without an entry in passwd."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from raven_scan.kernel.errors import Unavailable

SYSTEM_USER = "raven-postgres"

# Nothing of the caller's: PGDATA, PGOPTIONS, LD_LIBRARY_PATH and the like would change what runs.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class RunAs(StrEnum):
    """Which way root takes where no data exists yet; existing data decides by its owner."""

    AUTOMATIC = "automatic"
    NAMESPACE = "namespace"
    SYSTEM_USER = "system_user"


@dataclass(frozen=True)
class ServerUser:
    """The user that PostgreSQL's programs run as.

    Args:
        uid: owner of the data folder.
        namespace: command that goes before a program, to run it in a user namespace of its own, where `uid`
            has another number and no capability over anything outside.
    """

    uid: int
    gid: int
    namespace: tuple[str, ...] = ()

    def start(
        self,
        command: Sequence[str | Path],
        *,
        folder: Path | str,
        stdin: int = subprocess.DEVNULL,
        output: int = subprocess.PIPE,
        pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """Starts a program in `folder`, which the user need not be able to reach by its path.

        The folder is entered before the user is changed: folders above it may stay closed to that user.

        Args:
            command: the program and its arguments.
            folder: its working folder.
            stdin: descriptor, as for Popen.
            output: descriptor for both stdout and stderr, as for Popen.
            pass_fds: descriptors that the program inherits besides.
        """
        changes = self.uid != os.geteuid()
        return subprocess.Popen(
            [*self.namespace, *map(str, command)],
            cwd=folder,
            env=_ENVIRONMENT,
            umask=0o077,
            user=self.uid if changes else None,
            group=self.gid if changes else None,
            extra_groups=() if changes else None,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
        )


def choose_server_user(data: Path, run_as: RunAs) -> ServerUser:
    """The user for a data folder that exists, or for a new one.

    Raises:
        Unavailable: PostgreSQL can run as nobody that this process can be.
    """
    uid, gid = os.geteuid(), os.getegid()
    if data.exists():
        owner = data.stat()
        if owner.st_uid != uid:
            return _become_owner(data, owner)
        run_as = RunAs.NAMESPACE
    if uid != 0 and _has_account(uid):
        return ServerUser(uid, gid)
    if run_as is not RunAs.SYSTEM_USER and (namespace := _find_namespace()) is not None:
        return ServerUser(uid, gid, namespace)
    if uid != 0:
        raise Unavailable(
            "database.no_account",
            f"PostgreSQL needs an account for user id {uid}, and user namespaces are not permitted here.",
            hint="Add the user id to /etc/passwd, or set RAVEN_DATABASE_URL to a PostgreSQL server.",
            parameters={"uid": uid},
        )
    if run_as is RunAs.NAMESPACE:
        raise Unavailable(
            "database.namespace_not_permitted",
            "PostgreSQL does not run as root, and user namespaces, where root is another user, "
            "are not permitted here.",
            hint=f"Permit user namespaces, or give the data folder to an ordinary user "
            f"(chown -R {SYSTEM_USER} '{data}'), or set RAVEN_DATABASE_URL to a PostgreSQL server.",
            parameters={"folder": str(data)},
        )
    account = _get_system_account()
    return ServerUser(account.pw_uid, account.pw_gid)


def _become_owner(data: Path, owner: os.stat_result) -> ServerUser:
    if os.geteuid() != 0:
        raise Unavailable(
            "database.folder_not_ours",
            f"{data} belongs to user id {owner.st_uid}.",
            hint="Run as that user, or set RAVEN_HOME to another folder.",
            parameters={"folder": str(data), "owner_uid": owner.st_uid},
        )
    return ServerUser(owner.st_uid, owner.st_gid)


def _has_account(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _find_namespace() -> tuple[str, ...] | None:
    """The command that makes the namespace; None where it is not permitted or not installed."""
    account = next((entry for entry in pwd.getpwall() if entry.pw_name == "nobody"), None)
    unshare = shutil.which("unshare")
    if account is None or unshare is None:
        return None
    command = (
        unshare,
        "--user",
        f"--map-user={account.pw_uid}",
        f"--map-group={account.pw_gid}",
        "--",
    )
    tried = subprocess.run([*command, "true"], check=False, capture_output=True)
    return command if tried.returncode == 0 else None


def _get_system_account() -> pwd.struct_passwd:
    """The system user that exists for PostgreSQL alone; made at the first need."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    # Root's path in a cron job or a service often lacks these folders.
    search_path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    command = [
        shutil.which("useradd", path=search_path) or "useradd",
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir=/nonexistent",
        "--shell=/usr/sbin/nologin",
        SYSTEM_USER,
    ]
    try:
        made = subprocess.run(command, check=False, capture_output=True, text=True)
        complaint = made.stderr.strip()
    except OSError as error:
        complaint = f"useradd: {error.strerror}"
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise Unavailable(
            "database.no_account",
            f"PostgreSQL does not run as root, user namespaces are not permitted here, and the system user "
            f"{SYSTEM_USER} could not be made: {complaint}.",
            hint=f"Run as an ordinary user, or add a system user named {SYSTEM_USER}, "
            "or set RAVEN_DATABASE_URL to a PostgreSQL server.",
            parameters={"user": SYSTEM_USER},
        ) from None
