"""The program `raven`: its commands, and how every error of theirs is told."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any

import typer

import raven_scan
from raven_scan.app.cli import (
    audit,
    backup,
    databases,
    datasets,
    demonstration,
    doctor,
    keys,
    models,
    notifications,
    policy,
    presets,
    queue,
    roles,
    runs,
    service,
    sessions,
    settings_display,
    sign_in,
    subscriptions,
    tokens,
    trash,
    users,
    workers,
)
from raven_scan.app.cli.exit_codes import EXIT_CODE_OF_KIND, INTERRUPTED, RUN_FAILED
from raven_scan.app.cli.output import Output, wants_json
from raven_scan.kernel.errors import RavenError

app = typer.Typer(
    name="raven",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Train detectors of waste in images, and look after what comes out.",
)
app.add_typer(datasets.app, name="datasets")
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="keys")
app.add_typer(runs.app, name="runs")
app.add_typer(presets.app, name="presets")
app.add_typer(policy.app, name="policy")
app.command("queue")(queue.list_queue)
app.add_typer(settings_display.app, name="settings")
app.command("workers")(workers.list_workers)
app.add_typer(trash.app, name="trash")
app.add_typer(notifications.app, name="notifications")
app.add_typer(subscriptions.app, name="subscriptions")
app.add_typer(audit.app, name="audit")
app.command("login")(sign_in.sign_in)
app.command("logout")(sign_in.sign_out)
app.command("password")(sign_in.change_password)
app.command("whoami")(sign_in.show_who)
app.add_typer(sessions.app, name="sessions")
app.add_typer(users.app, name="users")
app.add_typer(roles.app, name="roles")
app.add_typer(tokens.app, name="tokens")
app.add_typer(databases.app, name="db")
app.add_typer(backup.app, name="backup")
app.command("doctor")(doctor.examine)
app.command("serve")(service.serve)
app.command("worker")(service.work)
app.command("demo")(demonstration.demonstrate)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        print(raven_scan.__version__)  # noqa: T201
        raise typer.Exit


@app.callback()
def _describe_program(  # pyright: ignore[reportUnusedFunction]
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    del version


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and ends the process with its exit code."""
    code = run(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # `raven runs list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if code == INTERRUPTED:
        # A request that was given up may still be at work in a thread, which an ordinary end would wait for.
        os._exit(code)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Runs a command, tells its error if there is one, and returns the exit code."""
    output = Output(wants_json(arguments))
    try:
        code: Any = _build_commands()(list(arguments), prog_name="raven", standalone_mode=False)
    except RavenError as error:
        output.show_error(_describe_refusal(error, arguments))
        return EXIT_CODE_OF_KIND[error.kind]
    except typer.TyperException as error:
        output.show_error(_describe_usage_error(error))
        return error.exit_code
    except typer.Abort:
        code = INTERRUPTED
    except BrokenPipeError:
        return RUN_FAILED
    except Exception as error:  # noqa: BLE001 - the last place that can tell it
        if (loss := _find_database_loss(error)) is not None:
            output.show_error(loss.describe())
            return EXIT_CODE_OF_KIND[loss.kind]
        _show_unexpected(output, error)
        return RUN_FAILED
    if code == INTERRUPTED:
        output.show_error({"code": "interrupted", "message": "Interrupted.", "hint": "", "parameters": {}})
    return code if isinstance(code, int) else 0


@cache
def _build_commands() -> Callable[..., Any]:
    # Typer would build all of them anew for each call.
    return typer.main.get_command(app)


def _describe_refusal(error: RavenError, arguments: Sequence[str]) -> dict[str, Any]:
    if error.code != "request.invalid":
        return error.describe()
    from raven_scan.app.cli.typed_names import name_what_was_typed  # noqa: PLC0415

    return name_what_was_typed(error.describe(), typer.main.get_command(app), arguments)


def _describe_usage_error(error: typer.TyperException) -> dict[str, Any]:
    context = getattr(error, "ctx", None)
    command = "raven" if context is None else context.command_path
    return {
        "code": "usage",
        "message": error.format_message().replace(": Value error, ", ": ").replace(": Input ", ": it "),
        "hint": f"See `{command} --help`.",
        "parameters": {},
    }


def _find_database_loss(error: Exception) -> RavenError | None:
    if not type(error).__module__.startswith("sqlalchemy"):
        return None
    from sqlalchemy.exc import InterfaceError, OperationalError  # noqa: PLC0415

    from raven_scan.kernel.database import describe_database_loss  # noqa: PLC0415

    return describe_database_loss() if isinstance(error, OperationalError | InterfaceError) else None


def _show_unexpected(output: Output, error: Exception) -> None:
    import traceback  # noqa: PLC0415

    from raven_scan.kernel.long_work import describe_unexpected  # noqa: PLC0415

    traceback.print_exception(error)
    output.show_error(
        {**describe_unexpected(error), "hint": "This is a mistake in Raven Scan; please report it."}
    )
