"""`raven doctor`: is everything well that the platform stands on?"""

import os
from typing import TYPE_CHECKING

import typer

from raven_scan.app.cli.exit_codes import RUN_FAILED
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import read_settings

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.app.housekeeping.checks import Check


def examine(
    repair: bool = typer.Option(
        False, "--repair", help="Repair what can be repaired without losing anything."
    ),
    deep: bool = typer.Option(False, "--deep", help="Read every blob, and compare it with its digest."),
    as_json: JsonFlag = False,
) -> int:
    """Look at database, storage, queue, devices and versions, and say what is not well."""
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415
    from raven_scan.app.housekeeping import doctor  # noqa: PLC0415
    from raven_scan.app.housekeeping.checks import CheckState  # noqa: PLC0415
    from raven_scan.app.housekeeping.home_checks import check_variables  # noqa: PLC0415
    from raven_scan.app.log_output import set_up_logging  # noqa: PLC0415

    output = Output(as_json)
    settings = read_settings()
    set_up_logging("ERROR", secrets=settings.list_secrets())
    checks = list(check_variables(os.environ))
    with display_work(output.message_console) as progress:
        checks += doctor.examine(settings, progress, deep=deep, repair=repair)
    error_count = sum(check.state is CheckState.ERROR for check in checks)
    document = {
        "checks": [check.describe() for check in checks],
        "errors": error_count,
        "warnings": sum(check.state is CheckState.WARNING for check in checks),
        "repaired": sum(check.repaired for check in checks),
    }
    output.show(document, lambda console: _print_checks(console, checks))
    return RUN_FAILED if error_count else 0


def _print_checks(console: "Console", checks: "list[Check]") -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from raven_scan.app.housekeeping.checks import CheckState  # noqa: PLC0415

    words = {
        CheckState.OK: ("ok", "green"),
        CheckState.WARNING: ("warning", "yellow"),
        CheckState.ERROR: ("error", "bold red"),
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        word, style = ("repaired", "cyan") if check.repaired else words[check.state]
        said = Text(check.message)
        if check.hint:
            said.append(f"\n{check.hint}", style="yellow")
        table.add_row(Text(word, style=style), Text(check.name), said)
    console.print(table)
