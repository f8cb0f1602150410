"""`raven settings`: how the server that commands talk to is set up, and what is changed while it runs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.platform_settings.schemas import PlatformSettingOut

app = typer.Typer()

_SOURCES = {"platform": "the platform", "environment": "the environment", "default": "-"}


@app.callback(invoke_without_command=True)
def list_settings(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also those that nobody has set.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the settings of the server, or of this machine where no server is named; secrets are not shown.

    `set` and `unset` change the contact while the server runs: what is set on the platform counts before the
    environment variable.
    """
    if context.invoked_subcommand is not None:
        return
    with open_raven() as raven:
        page = raven.system.list_settings()
    items = [each for each in page.items if every or not each.is_default]

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_table  # noqa: PLC0415

        print_table(
            console,
            ("Setting", "Value", "Set in", "Meaning"),
            [
                (each.name, _format(each.value), _SOURCES.get(each.source, each.source), each.description)
                for each in items
            ],
            empty="Every setting is as it comes: raven settings --all",
        )

    Output(as_json).show({"items": [each.model_dump(mode="json") for each in items], "next": None}, render)


@app.command("set")
def set_setting(
    setting: Annotated[
        str,
        typer.Argument(
            metavar="NAME=VALUE", help="As contact='it@example.org, ext. 42'.", show_default=False
        ),
    ],
    as_json: JsonFlag = False,
) -> None:
    """Change a setting while the server runs; it counts before its environment variable."""
    name, equals, value = setting.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{setting!r} is no NAME=VALUE.", param_hint="NAME=VALUE")
    with open_raven() as raven:
        changed = raven.system.set(name, value)
    _show(Output(as_json), changed)


@app.command()
def unset(
    name: Annotated[str, typer.Argument(help="As contact.", show_default=False)], as_json: JsonFlag = False
) -> None:
    """Have the environment variable of a setting count again."""
    with open_raven() as raven:
        changed = raven.system.unset(name)
    _show(Output(as_json), changed)


def _show(output: Output, setting: "PlatformSettingOut") -> None:
    def render(console: "Console") -> None:
        told = {
            "platform": f"{setting.name}: {setting.value}",
            "environment": f"{setting.name}: {setting.value} (of {setting.variable})",
            "default": f"{setting.name}: none; {setting.variable} is not set either.",
        }
        console.print(told[setting.source], markup=False, highlight=False, soft_wrap=True)

    output.show(setting.model_dump(mode="json"), render)


def _format(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value)
