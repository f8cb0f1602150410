"""`raven settings`: how the server that commands talk to is set up."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console


def list_settings(
    every: Annotated[bool, typer.Option("--all", help="Also those that nobody has set.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the settings of the server, or of this machine where no server is named; secrets are not shown."""
    with open_raven() as raven:
        page = raven.system.list_settings()
    items = [each for each in page.items if every or not each.is_default]

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_table  # noqa: PLC0415

        print_table(
            console,
            ("Setting", "Value", "Meaning"),
            [(each.name, _format(each.value), each.description) for each in items],
            empty="Every setting is as it comes: raven settings --all",
        )

    Output(as_json).show({"items": [each.model_dump(mode="json") for each in items], "next": None}, render)


def _format(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value)
