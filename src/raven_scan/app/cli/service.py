"""`raven serve` and `raven worker`: what runs until it is stopped."""

import os
import sys
from typing import TYPE_CHECKING, Any

import typer

from raven_scan.app.cli.output import JsonFlag, Output, print_json
from raven_scan.app.cli.run_times import parse_duration
from raven_scan.app.cli.session import read_settings
from raven_scan.jobs.devices import choose_devices, parse_slots

if TYPE_CHECKING:
    from raven_scan.app.serving import ServerAddress

_AFTER_DRAIN_S = 3.0
"""For handing the runs back, once their trainers have ended."""

_MIGRATIONS = "alembic"
_FIRST_MEMORY_RELEASE_S = 15.0
_MEMORY_INTERVAL_S = 60.0


def serve(
    host: str = typer.Option("127.0.0.1", "--host", help="Address to listen on; 0.0.0.0: all networks."),
    port: int = typer.Option(8700, "--port", min=0, max=65535, help="0: a free one."),
    worker: bool = typer.Option(True, "--worker/--no-worker", help="Execute runs in this process too."),
    as_json: JsonFlag = False,
) -> None:
    """Serve the API until Ctrl-C or SIGTERM, with a worker inside."""
    from raven_scan.app import serving  # noqa: PLC0415
    from raven_scan.app.log_output import set_up_logging  # noqa: PLC0415

    settings = read_settings()
    set_up_logging(settings.log_level, secrets=settings.list_secrets())
    output = Output(as_json)
    serving.serve(
        settings, host=host, port=port, has_worker=worker, announce=lambda address: _announce(output, address)
    )


def _announce(output: Output, address: "ServerAddress") -> None:
    where = "in RAVEN_TOKEN" if address.token_file is None else f"in {address.token_file}"
    if not address.is_private:
        output.say(
            "This server can be reached from other machines. Passwords and tokens travel unencrypted: put a "
            "proxy with TLS before it, and name it in RAVEN_TRUSTED_PROXIES.",
            style="bold yellow",
        )
    made = address.administrator
    password = None if made is None else made.one_time_password
    if output.as_json:
        document: dict[str, Any] = {
            "server": address.url,
            "token_file": None if address.token_file is None else str(address.token_file),
        }
        if made is not None and password is not None:
            document["administrator"] = {
                "name": made.user.name,
                "one_time_password": password.get_secret_value(),
            }
        # Flushed at once: whoever started this waits for the line.
        print_json(document)
        return
    if made is not None and password is not None:
        # On stdout: the log, which is kept, goes to stderr.
        print(  # noqa: T201
            f"There were no users yet. Sign in as {made.user.name!r} with the one-time password "
            f"{password.get_secret_value()}, and choose another; it is not shown again.",
            flush=True,
        )
    output.say(
        f"Raven Scan serves at {address.url}; the local administrator's token is {where}. Ctrl-C stops it."
    )


def work(
    slots: str | None = typer.Option(
        None,
        "--slots",
        metavar="DEVICES",
        help="What runs compute on, a run a slot: cpu:2, cuda:0,cuda:1, or cuda for all GPUs. "
        "Default: RAVEN_DEVICE, or what is found: all GPUs, or one slot of the CPU.",
    ),
    drain_timeout: str = typer.Option(
        "6s",
        "--drain-timeout",
        metavar="DURATION",
        help="How long its trainers may take to write a checkpoint when it is stopped, as 30s or 5m.",
    ),
    as_json: JsonFlag = False,
) -> None:
    """Execute runs that wait, until Ctrl-C or SIGTERM."""
    from raven_scan.app.worker_memory import import_structlog_alone, release_program_pages  # noqa: PLC0415

    # Before all others, which import it too.
    import_structlog_alone()

    from raven_scan.app.log_output import set_up_logging  # noqa: PLC0415
    from raven_scan.app.stop_signal import StopSignal, end_within  # noqa: PLC0415
    from raven_scan.app.wiring import build_platform  # noqa: PLC0415
    from raven_scan.app.worker import BackgroundWorker  # noqa: PLC0415
    from raven_scan.jobs.housekeeper import Housekeeper  # noqa: PLC0415

    settings = read_settings()
    devices = choose_devices(settings.device) if slots is None else parse_slots(slots)
    drain_s = parse_duration(drain_timeout, "--drain-timeout").total_seconds()
    set_up_logging(settings.log_level, secrets=settings.list_secrets())
    with StopSignal(drain_s + _AFTER_DRAIN_S) as stop, build_platform(settings) as platform:
        has_migrated = _MIGRATIONS in sys.modules
        if not has_migrated:
            background = BackgroundWorker(platform, devices=devices, drain_s=drain_s)
            background.start()
            _announce_worker(background.name, devices, as_json=as_json)
            keeper = Housekeeper(
                release_program_pages, interval_s=_MEMORY_INTERVAL_S, first_after_s=_FIRST_MEMORY_RELEASE_S
            )
            keeper.start()
            stop.wait()
            end_within(drain_s + _AFTER_DRAIN_S)
            background.stop()
    if has_migrated and not stop.is_asked:
        # The tables were brought up to date, once a release. What that imported would stay in memory.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this very program


def _announce_worker(name: str, devices: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json({"worker": name, "slots": devices})
        return
    # Not through Output, whose rich would stay in memory.
    print(  # noqa: T201
        f"Worker {name} waits for runs, on {', '.join(devices)}. Ctrl-C stops it; its runs write a checkpoint and"
        " go back to Waiting.",
        file=sys.stderr,
        flush=True,
    )
