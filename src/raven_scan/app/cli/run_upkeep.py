"""`raven runs edit`, `priority`, `delete` and `artifacts`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raven_scan.app.cli.asking import confirm
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.run_display import show_run
from raven_scan.app.cli.run_settings import RunRef, naming_options
from raven_scan.app.cli.session import open_raven
from raven_scan.app.cli.written_files import ForceFlag, check_place

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
    with open_raven() as raven, naming_options():
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


def list_artifacts(
    run: RunRef,
    download: Annotated[
        Path | None, typer.Option("--download", metavar="FOLDER", help="Write them into this folder.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Only this one; can be given several times."),
    ] = None,
    force: ForceFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Show what a run has to download: log, metrics, parameters, checkpoints, the files of its model."""
    output = Output(as_json)
    with open_raven() as raven:
        items = raven.runs.artifacts(run).items
        if unknown := set(only or ()) - {each.name for each in items}:
            raise typer.BadParameter(
                f"This run has no {', '.join(sorted(unknown))}; it has {', '.join(each.name for each in items)}.",
                param_hint="--only",
            )
        chosen = [each for each in items if not only or each.name in only]
        files: dict[str, Path] = {}
        if download is not None:
            _make_folder(download)
            files = {each.name: download / each.name for each in chosen}
            for path in files.values():
                check_place(path, may_overwrite=force)
            for each in chosen:
                output.say(f"{each.name} …", style="dim")
                raven.runs.download_artifact(run, each, files[each.name])

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_size, print_table  # noqa: PLC0415

        rows = [
            (
                each.name,
                each.kind,
                format_size(each.size_bytes),
                (each.digest or "-")[:12],
                files.get(each.name, "-"),
            )
            for each in chosen
        ]
        columns: tuple[str, ...] = ("Name", "Kind", "Size", "SHA-256", "File")
        shown = len(columns) if files else len(columns) - 1
        print_table(console, columns[:shown], [row[:shown] for row in rows], empty="")

    documents: list[dict[str, Any]] = [
        each.model_dump(mode="json")
        | ({"file": str(files[each.name].absolute())} if each.name in files else {})
        for each in chosen
    ]
    output.show({"items": documents, "next": None}, render)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(
            f"{folder} cannot be made: {error.strerror}.", param_hint="--download"
        ) from error
