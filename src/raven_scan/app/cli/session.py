"""The API that a command talks to: a server, or the same application in this process."""

import gc
import os
import signal
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from threading import Timer
from typing import TYPE_CHECKING

from raven_scan.kernel.errors import Invalid

if TYPE_CHECKING:  # all of this is imported when a command runs, so that help and mistakes are quick
    from raven_scan.app.wiring import Platform
    from raven_scan.client import RavenClient
    from raven_scan.kernel.settings import Settings

_PATIENCE_S = 1.5


def read_settings() -> "Settings":
    """From the environment. Raises Invalid, naming the variable."""
    from pydantic import ValidationError  # noqa: PLC0415

    from raven_scan.kernel.settings import Settings  # noqa: PLC0415

    try:
        return Settings()
    except ValidationError as error:
        # Values stay unsaid: one of them may be a password.
        problems = [
            {"field": f"RAVEN_{str(each['loc'][0]).upper()}", "message": f"{each['msg']}."}
            for each in error.errors(include_input=False, include_url=False)
        ]
        raise Invalid(
            "settings.invalid",
            " ".join(f"{problem['field']}: {problem['message']}" for problem in problems),
            hint="Correct or unset the variable; docs/settings.md describes each.",
            parameters={"problems": problems},
        ) from None


class Session:
    """A connection to the API, for a command's length.

    Attributes:
        raven: the client.
        platform: what it reaches in this process; None where it reaches a server.
    """

    def __init__(self, raven: "RavenClient", platform: "Platform | None") -> None:
        self.raven = raven
        self.platform = platform

    @contextmanager
    def executing(self) -> Generator[None]:
        """While somebody waits here for a run: without a server, runs are executed in this process."""
        if self.platform is None:
            yield
            return
        from raven_scan.app.worker import BackgroundWorker  # noqa: PLC0415

        worker = BackgroundWorker(self.platform)
        # Asked to end, it hands its run back, as after Ctrl-C.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        worker.start()
        try:
            yield
        finally:
            worker.stop()
            signal.signal(signal.SIGTERM, before)

    @contextmanager
    def recovering(self) -> Generator[None]:
        """While somebody waits here for what another process executes: where it is killed, that is noticed."""
        if self.platform is None:
            yield
            return
        from raven_scan.access.types import WORKER  # noqa: PLC0415
        from raven_scan.jobs.housekeeper import Housekeeper  # noqa: PLC0415

        recovery, evaluations = self.platform.recovery, self.platform.evaluation_execution

        def recover() -> None:
            recovery.recover_lost_runs(WORKER)
            evaluations.recover_lost(WORKER)

        housekeeper = Housekeeper(recover)
        housekeeper.start()
        try:
            yield
        finally:
            housekeeper.stop()


@contextmanager
def open_session() -> Generator[Session]:
    """Opens the server that the settings name; with none set, the platform in this process."""
    from raven_scan.client import RavenClient  # noqa: PLC0415

    settings = read_settings()
    if settings.server is None:
        with open_platform() as (platform, raven):
            yield Session(raven, platform)
        return
    with RavenClient(settings.server, _find_token_for(settings)) as raven:
        yield Session(raven, None)


@contextmanager
def open_raven() -> Generator["RavenClient"]:
    """The client, for commands that wait for no run."""
    with open_session() as session:
        yield session.raven


@contextmanager
def open_platform() -> Generator[tuple["Platform", "RavenClient"]]:
    """The platform in this process, and a client of it."""
    settings = read_settings()
    with ExitStack() as stack:
        with _saying_what_takes_long(settings), _collecting_no_garbage():
            from raven_scan.app.log_output import set_up_logging  # noqa: PLC0415
            from raven_scan.app.server import build_app  # noqa: PLC0415
            from raven_scan.app.wiring import build_platform  # noqa: PLC0415
            from raven_scan.client import RavenClient  # noqa: PLC0415

            # Errors are told by the command itself; of the log, people asked for nothing unless they said so.
            level = settings.log_level if "RAVEN_LOG_LEVEL" in os.environ else "ERROR"
            set_up_logging(level, secrets=settings.list_secrets())
            platform = stack.enter_context(build_platform(settings))
            application = build_app(platform, token=None, allow_server_paths=True)
        yield platform, stack.enter_context(RavenClient.in_process(application))


@contextmanager
def _saying_what_takes_long(settings: "Settings") -> Generator[None]:
    """The first command makes a database, and each starts it: on a terminal that is said, where it takes long."""
    if not sys.stderr.isatty():
        yield
        return
    where = settings.home if settings.database_url is None else "RAVEN_DATABASE_URL"
    told = Timer(_PATIENCE_S, sys.stderr.write, [f"Opening the database of {where} …\n"])
    told.daemon = True
    told.start()
    try:
        yield
    finally:
        told.cancel()


@contextmanager
def _collecting_no_garbage() -> Generator[None]:
    """What a command builds first stays: looking for garbage in it takes a quarter of a short command's time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _find_token_for(settings: "Settings") -> str | None:
    if settings.token is not None:
        return settings.token.get_secret_value()
    from urllib.parse import urlsplit  # noqa: PLC0415

    from raven_scan.app.access_token import find_token  # noqa: PLC0415
    from raven_scan.app.cli.saved_tokens import find_saved_token  # noqa: PLC0415
    from raven_scan.kernel.addresses import is_loopback  # noqa: PLC0415

    saved = find_saved_token(settings.server or "")
    if saved is not None:
        return saved.token
    # The data folder's token is for servers on this machine; a foreign one must not get it.
    if not is_loopback(urlsplit(settings.server or "").hostname or ""):
        return None
    token = find_token(settings.home)
    return None if token is None else token.get_secret_value()
