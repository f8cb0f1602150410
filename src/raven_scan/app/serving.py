"""`raven serve`: the API on a socket, with a worker inside, until it is asked to stop."""

import errno
import gc
import os
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import structlog
import uvicorn
from starlette.types import ASGIApp

from raven_scan.access.oidc_api import OIDC_PATH
from raven_scan.access.types import LOCAL_ADMINISTRATOR, UserWithPassword
from raven_scan.app.access_token import get_token_file, read_or_make_token
from raven_scan.app.front_door import FrontDoor, ScreenGuard
from raven_scan.app.request_log import RequestLog
from raven_scan.app.server import build_app
from raven_scan.app.sign_in import LOOPBACK_NAMES, HostCheck
from raven_scan.app.stop_signal import StopSignal, end_within
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.app.worker import BackgroundWorker
from raven_scan.jobs.housekeeper import Housekeeper
from raven_scan.kernel.addresses import is_loopback
from raven_scan.kernel.embedded_postgres.state_folder import prepare_home
from raven_scan.kernel.errors import Conflict, Forbidden, Invalid, RavenError
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.events_wakeups import RunWaker

_GRACE_FOR_REQUESTS_S = 3
_SWITCH_INTERVAL_S = 0.0005
"""How long a thread computes before another has its turn. A request goes from the thread of the sockets to two others
and back; at Python's 5 ms each step may wait for whatever longer answer is being made (benchmarks/api.py)."""

_OBJECTS_BETWEEN_COLLECTIONS = 5_000
"""A page of a list makes some thousands: Python's 700 would look for rubbish several times while it is being made."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server listens.

    Attributes:
        url: for clients on this machine.
        token_file: where the token is kept; None where RAVEN_TOKEN gave it.
        is_private: whether only this machine reaches it.
        administrator: the account that was made because there was none, to be told once.
    """

    url: str
    token_file: Path | None
    is_private: bool
    administrator: UserWithPassword | None


def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    has_worker: bool,
    announce: Callable[[ServerAddress], None],
) -> None:
    """Serves until SIGTERM or Ctrl-C.

    Args:
        settings: of the platform.
        host: address to listen on.
        port: 0 chooses a free one.
        has_worker: run jobs in this process too.
        announce: told once, when requests are answered.

    Raises:
        Conflict: `serve.port_in_use`.
        Forbidden: the port is not for this user, or the token file is not private.
        Invalid: the host is not this machine's.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    with StopSignal() as stop, _listen(host, port) as listener:
        prepare_home(settings.home)
        token = settings.token or read_or_make_token(settings.home)
        with build_platform(settings) as platform:
            address = ServerAddress(
                url=_make_url(host, listener),
                token_file=None if settings.token else get_token_file(settings.home),
                is_private=is_loopback(host),
                administrator=platform.users.create_first_administrator(LOCAL_ADMINISTRATOR),
            )
            worker = BackgroundWorker(platform) if has_worker else None
            keeper = None
            if worker is None and platform.holding is not None:
                keeper = Housekeeper(platform.holding.ensure_running)
                keeper.start()
            host_names = _list_host_names(settings, host) if address.is_private else None
            app = build_app(
                platform,
                token=token,
                allow_server_paths=False,
                host_names=host_names,
                has_worker=lambda: worker is not None,
            )
            server = uvicorn.Server(
                uvicorn.Config(
                    FrontDoor(app, _build_screens(platform, app.state.run_waker, host_names)),
                    log_config=None,
                    access_log=False,
                    lifespan="on",
                    proxy_headers=bool(settings.trusted_proxies),
                    forwarded_allow_ips=list(settings.trusted_proxies),
                    server_header=False,
                    timeout_graceful_shutdown=_GRACE_FOR_REQUESTS_S,
                )
            )

            def answer_requests() -> None:
                try:
                    server.run(sockets=[listener])
                finally:
                    stop.ask()

            # The socket listens already; what connects before the thread is up waits in its backlog.
            # A daemon: a request that does not end must not hold the process.
            requests = threading.Thread(target=answer_requests, name="requests", daemon=True)
            requests.start()
            if worker is not None:
                worker.start()
            # What is here now stays: to look through it again and again for what can be freed would stop all requests
            # for a tenth of a second, every few seconds (benchmarks/api.py).
            gc.collect()
            gc.freeze()
            gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
            _log.info("server.started", url=address.url, worker=has_worker)
            announce(address)
            stop.wait()
            end_within()
            _log.info("server.stopping")
            app.state.run_waker.close()
            server.should_exit = True
            # Requests that wait for a model end now, not when it has answered.
            platform.detections.close()
            if worker is not None:
                worker.stop()
            if keeper is not None:
                keeper.stop()
            requests.join()
    _log.info("server.stopped")


def _build_screens(platform: Platform, waker: RunWaker, host_names: Sequence[str] | None) -> ASGIApp:
    # NiceGUI reads it as it is imported. It keeps nothing there for us.
    os.environ.setdefault("NICEGUI_STORAGE_PATH", str(platform.settings.home / "work" / "screens"))
    # Half a second, for servers alone.
    from raven_scan.web.screens import build_screens  # noqa: PLC0415

    has_oidc = platform.oidc.provider_name is not None
    screens = build_screens(platform, waker, oidc_path=OIDC_PATH if has_oidc else None)
    # The last one added is the outermost.
    screens.add_middleware(ScreenGuard, public_url=platform.settings.public_url, host_names=host_names)
    screens.add_middleware(HostCheck, names=host_names)
    screens.add_middleware(RequestLog)
    return screens


def _list_host_names(settings: Settings, host: str) -> list[str]:
    """What a server on this machine alone goes by; a proxy before it may hand on its own name."""
    public = urlsplit(settings.public_url or "").hostname
    return [*LOOPBACK_NAMES, host, *([public] if public else [])]


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise _describe_listen_error(host, port, error) from None
    except (OverflowError, UnicodeError) as error:
        raise Invalid("serve.bad_address", f"{host}:{port} is no address: {error}.") from None
    # Connections inherit it. Without, a small answer waits 40 ms for the receipt of its own header.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _describe_listen_error(host: str, port: int, error: OSError) -> RavenError:
    parameters = {"host": host, "port": port}
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return Invalid(
            "serve.foreign_address",
            f"{host} is not an address of this machine.",
            hint="Use 127.0.0.1 for this machine alone, 0.0.0.0 for all its networks.",
            parameters=parameters,
        )
    if error.errno == errno.EADDRINUSE:
        return Conflict(
            "serve.port_in_use",
            f"Something listens on {host} port {port} already.",
            hint="Choose another with --port, or --port 0 for a free one.",
            parameters=parameters,
        )
    return Forbidden(
        "serve.port_refused",
        f"This user may not listen on {host} port {port}: {error.strerror}.",
        hint="Choose a port above 1023 with --port.",
        parameters=parameters,
    )


def _make_url(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    # Where it listens on every address, it is this machine's own that works from here.
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a comparison
    return f"http://[{own}]:{port}" if ":" in own else f"http://{own}:{port}"
