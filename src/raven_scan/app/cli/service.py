"""`raven serve` and `raven worker`: what runs until it is stopped."""

from typing import TYPE_CHECKING

import typer

from raven_scan.app.cli.output import JsonFlag, Output, print_json
from raven_scan.app.cli.session import read_settings

if TYPE_CHECKING:
    from raven_scan.app.serving import ServerAddress


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
            "This server can be reached from other machines. Everything but its health needs the token, which "
            "travels unencrypted: put a proxy with TLS before it.",
            style="bold yellow",
        )
    if output.as_json:
        # Flushed at once: whoever started this waits for the line.
        print_json(
            {
                "server": address.url,
                "token_file": None if address.token_file is None else str(address.token_file),
            }
        )
        return
    output.say(f"Raven Scan serves at {address.url}; the token is {where}. Ctrl-C stops it.")


def work(
    device: str | None = typer.Option(
        None, "--device", help="What runs compute on: cpu, or cuda:N. Default: RAVEN_DEVICE."
    ),
    slots: int = typer.Option(1, "--slots", min=1, max=64, help="Runs at a time."),
    as_json: JsonFlag = False,
) -> None:
    """Execute runs that wait, until Ctrl-C or SIGTERM."""
    from raven_scan.app.log_output import set_up_logging  # noqa: PLC0415
    from raven_scan.app.stop_signal import StopSignal, end_within  # noqa: PLC0415
    from raven_scan.app.wiring import build_platform  # noqa: PLC0415
    from raven_scan.app.worker import BackgroundWorker  # noqa: PLC0415

    settings = read_settings()
    set_up_logging(settings.log_level, secrets=settings.list_secrets())
    output = Output(as_json)
    with StopSignal() as stop, build_platform(settings) as platform:
        background = BackgroundWorker(platform, device=device, slots=slots)
        background.start()
        if as_json:
            print_json({"worker": background.name})
        else:
            output.say(
                f"Worker {background.name} waits for runs. Ctrl-C stops it; its runs go back to Waiting."
            )
        stop.wait()
        end_within()
        background.stop()
