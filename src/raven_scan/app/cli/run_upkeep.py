"""`raven runs edit`, `priority` and `delete`."""

from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.asking import confirm
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.run_display import show_run
from raven_scan.app.cli.run_settings import RunRef
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console


def edit(
    run: RunRef,
    name: Annotated[
        str | None, typer.Option("--name", help="A new name; a model that it has made keeps its own.")
    ] = None,
    notes: Annotated[
        str | None, typer.Option("--notes", help="What is to be known about it; '' takes notes away.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Rename a run, or write notes about it."""
    if name is None and notes is None:
        raise typer.BadParameter("Say what is to change: --name or --notes.")
    with open_raven() as raven:
        edited = raven.runs.edit(run, name=name, notes=notes)
    show_run(Output(as_json), edited)


def set_priority(
    run: RunRef,
    priority: Annotated[
        int, typer.Argument(help="From -1000 to 1000; of two that wait, the higher comes first.")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Put a run before or behind others in the queue."""
    with open_raven() as raven:
        changed = raven.runs.set_priority(run, priority)
    show_run(Output(as_json), changed)


def delete(
    run: RunRef,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Put a run into the trash. A model that it has made stays, and still tells where it is from."""
    output = Output(as_json)
    with open_raven() as raven:
        found = raven.runs.get(run)
        what = (
            "which waits and will be cancelled" if found.status == "Waiting" else f"which is {found.status}"
        )
        confirm(f"Delete the run {found.name!r}, {what}?", yes=yes)
        raven.runs.delete(str(found.id))

    def render(console: "Console") -> None:
        console.print(f"The run {found.name!r} is in the trash.", markup=False)

    output.show({"deleted": {"id": str(found.id), "name": found.name}}, render)
    output.say(f"To have it back: raven trash restore {found.id}", style="dim")
