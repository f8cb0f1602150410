"""`raven presets`: training parameters under a name, from a run that went well."""

from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.asking import confirm
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.training_runs.schemas import PresetOut

app = typer.Typer(
    no_args_is_help=True,
    help="Presets: keep a run's parameters under a name, for `raven runs create --preset`.",
)

PresetRef = Annotated[
    str, typer.Argument(metavar="PRESET", help="Name or id of the preset.", show_default=False)
]


@app.command()
def save(
    name: Annotated[str, typer.Argument(help="Of the new preset.", show_default=False)],
    run: Annotated[str, typer.Option("--run", help="Name or id of the run whose parameters they are.")],
    as_json: JsonFlag = False,
) -> None:
    """Keep a run's parameters under a name."""
    output = Output(as_json)
    with open_raven() as raven:
        preset = raven.presets.create(name=name, run=run)
    _show_preset(output, preset)
    output.say(f"Next: raven runs create … --preset {preset.name}", style="dim")


@app.command("list")
def list_presets(
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List presets."""
    with open_raven() as raven:
        page = raven.presets.list(limit=limit, cursor=cursor)

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_next, print_table  # noqa: PLC0415

        print_table(
            console,
            ("Name", "Architecture", "From the run", "By", "Created"),
            [
                (preset.name, preset.architecture, preset.run_name, preset.created_by, preset.created_at)
                for preset in page.items
            ],
            empty="There are no presets yet: raven presets save --help",
        )
        print_next(console, page.next)

    Output(as_json).show(page.model_dump(mode="json"), render)


@app.command()
def show(preset: PresetRef, as_json: JsonFlag = False) -> None:
    """Show a preset's parameters."""
    with open_raven() as raven:
        found = raven.presets.get(preset)
    _show_preset(Output(as_json), found)


@app.command()
def delete(
    preset: PresetRef,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Delete a preset. Runs that were created with it keep their parameters."""
    with open_raven() as raven:
        found = raven.presets.get(preset)
        confirm(f"Delete the preset {found.name!r}?", yes=yes)
        raven.presets.delete(str(found.id))
    Output(as_json).show(
        {"deleted": {"id": str(found.id), "name": found.name}},
        lambda console: console.print(f"The preset {found.name!r} is deleted.", markup=False),
    )


def _show_preset(output: Output, preset: "PresetOut") -> None:
    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_facts  # noqa: PLC0415

        # What was for a first try, or for one machine, is not kept; its default says nothing.
        given = preset.parameters.model_dump(
            mode="json", exclude_none=True, exclude={"fraction", "loader_processes"}
        )
        print_facts(
            console,
            {
                "Preset": preset.name,
                "Architecture": preset.architecture,
                "From the run": preset.run_name,
                **{name.replace("_", " ").capitalize(): value for name, value in given.items()},
                "Created": preset.created_at,
            },
        )

    output.show(preset.model_dump(mode="json"), render)
